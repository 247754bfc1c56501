//! Several TLS records in one system call.
//!
//! OpenSSL hands its socket one record of 16 KiB at a time, and each such call costs more than encrypting the record. A long write
//! is therefore encrypted into memory, up to [`MOST`] octets, and sent at once.
//!
//! Invariants: what is held is sent before anything else is; a write is not said to be done before all of it was given to the
//! socket, so that nobody has to flush who did not have to before; a flush gives the memory back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that go by one system call, at most one record more: beyond, a call costs nothing beside its octets.
pub(super) const MOST: usize = 64 * 1024;
/// The most clear text in a record.
pub(super) const RECORD: usize = 16 * 1024;
/// Room for the marks of the records of one call.
const ROOM: usize = MOST + RECORD;

/// The socket under TLS.
#[derive(Debug)]
pub(super) struct Gather<S> {
    io: S,
    /// Whether what is written stays here.
    gathering: bool,
    /// Encrypted and not sent: from `sent`.
    held: Vec<u8>,
    sent: usize,
}

impl<S> Gather<S> {
    pub(super) fn new(io: S) -> Self {
        Gather { io, gathering: false, held: Vec::new(), sent: 0 }
    }

    /// The socket.
    pub(super) fn socket(&self) -> &S {
        &self.io
    }

    /// What is written from now on stays here, until [`Gather::poll_send`].
    pub(super) fn gather(&mut self) {
        self.gathering = true;
        self.held.reserve_exact(ROOM);
    }

    /// Whether no more should be gathered.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= MOST
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    /// Gives what is held to the socket.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gathering = false;
        while self.sent < self.held.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.sent = 0;
        self.held.clear();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathering {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathering {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(cx))?;
        // The end of an answer: the next may be hours away.
        self.held = Vec::new();
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
