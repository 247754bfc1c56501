//! The socket under TLS: several records in one system call, and what was received acknowledged when nothing is said.
//!
//! OpenSSL hands its socket one record of 16 KiB at a time, and each such call costs more than encrypting the record. A long write
//! is therefore encrypted into memory, up to [`MOST`] octets, and sent at once.
//!
//! A peer that sends the rest of something in a segment of its own (a literal's line end, a message's last line, EHLO after the last
//! flight of a handshake) and has not set TCP_NODELAY holds it back until we acknowledge what went before (Nagle), and the system
//! waits 40 ms with that, hoping that our answer takes it along. When we wait for more without having said anything, there is
//! no answer to come: the system is told ([`Gather::acknowledge`]).
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
    /// Acknowledges what was received.
    acknowledge: Option<fn(&S)>,
    /// Whether something was received and nothing sent since.
    owes: bool,
}

impl<S> Gather<S> {
    pub(super) fn new(io: S) -> Self {
        Gather { io, gathering: false, held: Vec::new(), sent: 0, acknowledge: None, owes: false }
    }

    /// What is received is acknowledged so when the rest is waited for and nothing was sent.
    pub(super) fn acknowledge(&mut self, how: fn(&S)) {
        self.acknowledge = Some(how);
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
            self.owes = false;
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
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.owes = true;
        } else if read.is_pending()
            && std::mem::take(&mut self.owes)
            && let Some(acknowledge) = self.acknowledge
        {
            acknowledge(&self.io);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathering {
            self.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_send(cx))?;
        self.owes = false;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A socket that counts how often it is told to acknowledge.
    struct Socket(DuplexStream, AtomicUsize);

    impl AsyncRead for Socket {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn what_came_is_acknowledged_when_more_is_waited_for_without_a_word() {
        let (mut peer, ours) = duplex(1000);
        let mut gather = Gather::new(Socket(ours, AtomicUsize::new(0)));
        let told = |gather: &Gather<Socket>| gather.socket().1.swap(0, Ordering::Relaxed);
        let mut octets = [0; 100];
        /// Waits a moment for what does not come.
        async fn wait(gather: &mut Gather<Socket>) {
            let mut octets = [0; 1];
            let waited = tokio::time::timeout(std::time::Duration::from_millis(1), gather.read(&mut octets)).await;
            waited.expect_err("nothing comes");
        }
        // The last words of a handshake, read before anybody could say how they are acknowledged.
        peer.write_all(b"Finished").await.expect("room");
        assert_eq!(gather.read(&mut octets).await.expect("read"), 8);
        gather.acknowledge(|socket| {
            socket.1.fetch_add(1, Ordering::Relaxed);
        });
        wait(&mut gather).await;
        assert_eq!(told(&gather), 1);
        wait(&mut gather).await;
        assert_eq!(told(&gather), 0, "nothing came since");
        // Half a command: there is no answer yet.
        peer.write_all(b"a APPEND x {3}").await.expect("room");
        assert_eq!(gather.read(&mut octets).await.expect("read"), 14);
        assert_eq!(told(&gather), 0, "the rest may be there");
        wait(&mut gather).await;
        assert_eq!(told(&gather), 1);
        // A whole one: the answer tells it.
        peer.write_all(b"\r\n").await.expect("room");
        assert_eq!(gather.read(&mut octets).await.expect("read"), 2);
        gather.write_all(b"+ go on\r\n").await.expect("room");
        wait(&mut gather).await;
        assert_eq!(told(&gather), 0);
        // The same for an answer that was gathered.
        peer.write_all(b"abc\r\n").await.expect("room");
        assert_eq!(gather.read(&mut octets).await.expect("read"), 5);
        gather.gather();
        gather.write_all(b"a OK Done\r\n").await.expect("kept");
        std::future::poll_fn(|cx| gather.poll_send(cx)).await.expect("room");
        wait(&mut gather).await;
        assert_eq!(told(&gather), 0);
    }
}
