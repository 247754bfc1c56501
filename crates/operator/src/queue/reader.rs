//! A stored message as a stream of octets, as it is relayed: without the Return-Path that was written for those of its recipients who
//! are here (RFC 5321 §4.4: only the server that delivers writes one).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use store::Body;
use tokio::io::{AsyncRead, ReadBuf};

use crate::backends::incoming::RETURN_PATH;

/// Octets read from the store at a time.
const PIECE: usize = 64 * 1024;

type Reading = Pin<Box<dyn Future<Output = store::Result<Bytes>> + Send>>;

/// Reads a body to its end, from behind the Return-Path it may begin with: our own trace fields stand first, so that it is ours.
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
            if this.offset == 0 && this.piece.starts_with(RETURN_PATH.as_bytes()) {
                // An address has 320 octets at most: the line ends in the first piece.
                let end = this.piece.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
                this.offset = end as u64;
                this.piece.advance(end);
            }
            this.offset += this.piece.len() as u64;
        }
        let count = this.piece.len().min(out.remaining());
        out.put_slice(&this.piece[..count]);
        this.piece.advance(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use store::Spooled;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_return_path_is_for_those_here_only() {
        let long = format!("Received: here\r\n\r\n{}", "x".repeat(3 * PIECE));
        for (stored, relayed) in [
            ("Return-Path: <a@b.fr>\r\nReceived: here\r\n\r\nbody\r\n".to_owned(), "Received: here\r\n\r\nbody\r\n"),
            (format!("Return-Path: <>\r\n{long}"), &long),
            // What the author wrote stays.
            (
                "Received: here\r\nReturn-Path: <a@b.fr>\r\n\r\n".into(),
                "Received: here\r\nReturn-Path: <a@b.fr>\r\n\r\n",
            ),
            (long.clone(), &long),
            (String::new(), ""),
        ] {
            let mut octets = String::new();
            let body = Spooled::from_bytes(stored).body();
            BodyReader::new(body).read_to_string(&mut octets).await.expect("read");
            assert!(octets == relayed);
        }
    }
}
