//! A stored message as a stream of octets.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use store::Body;
use tokio::io::{AsyncRead, ReadBuf};

/// Octets read from the store at a time.
const PIECE: usize = 64 * 1024;

type Reading = Pin<Box<dyn Future<Output = store::Result<Bytes>> + Send>>;

/// Reads a body from its beginning to its end.
pub struct BodyReader {
    body: Body,
    offset: u64,
    piece: Bytes,
    reading: Option<Reading>,
}

impl BodyReader {
    /// At the beginning.
    pub fn new(body: Body) -> Self {
        BodyReader { body, offset: 0, piece: Bytes::new(), reading: None }
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.piece.is_empty() {
            if this.offset >= this.body.len() {
                return Poll::Ready(Ok(()));
            }
            let reading = this.reading.get_or_insert_with(|| {
                let (body, offset) = (this.body.clone(), this.offset);
                Box::pin(async move { body.read(offset, PIECE).await })
            });
            let piece = ready!(reading.as_mut().poll(context));
            this.reading = None;
            this.piece = piece.map_err(io::Error::other)?;
            if this.piece.is_empty() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the stored message is shorter than it says",
                )));
            }
            this.offset += this.piece.len() as u64;
        }
        let count = this.piece.len().min(out.remaining());
        out.put_slice(&this.piece[..count]);
        this.piece.advance(count);
        Poll::Ready(Ok(()))
    }
}
