//! The connection: octets in and out, and lines cut under hard limits. Used by both sides.
//!
//! Invariants:
//! * a line ends with CRLF and with nothing else; a CR or an LF alone is never skipped over nor taken for an end
//!   ([`Cut::Bare`]), since two servers that read line ends differently are what SMTP smuggling lives on (OPE-09);
//! * memory is bounded: [`BUFFER`] octets of input and about [`OUTPUT_HIGH`] of output;
//! * what was a line is wiped from the buffer: it may have been a token.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trust::tls::TlsStream;
use zeroize::{Zeroize, Zeroizing};

/// Input held: the longest line (an AUTH of RFC 4954) and a decent piece of a message.
pub(crate) const BUFFER: usize = 32 * 1024;
/// Output held back, for a pipelined group, before it is written whether or not more commands wait.
const OUTPUT_HIGH: usize = 16 * 1024;
/// How much of an over-long line is read and dropped, to answer it properly, before the connection is given up.
const MAX_SKIPPED: usize = 256 * 1024;
/// How long the peer may take to read our last word after an error…
const LINGER: Duration = Duration::from_secs(1);
/// …and how much of what it goes on sending is read meanwhile: closing on unread octets resets the connection, which may
/// destroy that last word.
const LINGER_OCTETS: usize = 1024 * 1024;

/// A connection, in clear or not.
pub(crate) enum Socket {
    /// In clear.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Taken for a handshake that did not succeed, or closed.
    Gone,
}

impl Socket {
    fn gone() -> io::Error {
        io::ErrorKind::NotConnected.into()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Socket::Gone => Poll::Ready(Err(Self::gone())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
            Socket::Gone => Poll::Ready(Err(Self::gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Socket::Gone => Poll::Ready(Err(Self::gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// What [`Lines::cut`] found at the head of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// A line, without its CRLF, taken out.
    Line(Zeroizing<Vec<u8>>),
    /// No whole line yet.
    More,
    /// A line over the limit ended here; it was dropped.
    TooLong,
    /// A CR without LF or an LF without CR. Nothing after it can be trusted.
    Bare,
    /// A line so long that it is not worth waiting for its end.
    Flood,
}

/// The input buffer, and the lines in it.
#[derive(Default)]
pub struct Lines {
    /// Allocated at the first octet.
    buffer: Vec<u8>,
    start: usize,
    /// Octets after `start` already searched.
    searched: usize,
    /// Octets of the current line already dropped for being too long; `None`: it is not.
    skipped: Option<usize>,
}

impl Lines {
    /// What has come and was not consumed.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Adds octets: for tests and fuzzing; the connection reads straight into the buffer.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Takes `count` octets off the head and wipes them.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.buffer[self.start..self.start + count].zeroize();
        self.pass(count);
    }

    /// Takes `count` octets of a message off the head: nothing secret in the sense of a token, and too many to wipe one by one.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn pass(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.start, "more octets are passed than there are");
        self.start += count;
        self.searched = self.searched.saturating_sub(count);
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Cuts one line of at most `limit` octets, CRLF included.
    pub fn cut(&mut self, limit: usize) -> Cut {
        let pending = &self.buffer[self.start..];
        let end = pending[self.searched..].iter().position(|b| matches!(b, b'\r' | b'\n')).map(|at| at + self.searched);
        let Some(end) = end else {
            self.searched = pending.len();
            return self.unfinished(limit);
        };
        match (pending[end], pending.get(end + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', None) => {
                self.searched = end;
                return self.unfinished(limit);
            }
            _ => return Cut::Bare,
        }
        let too_long = self.skipped.take().is_some() || end + 2 > limit;
        let line = if too_long { Vec::new() } else { pending[..end].to_vec() };
        self.searched = 0;
        self.consume(end + 2);
        if too_long { Cut::TooLong } else { Cut::Line(Zeroizing::new(line)) }
    }

    fn unfinished(&mut self, limit: usize) -> Cut {
        if self.skipped.is_none() && self.pending().len() > limit {
            self.skipped = Some(0);
        }
        if let Some(skipped) = self.skipped {
            // A CR that may be the first half of a line end stays.
            let drop = self.searched;
            self.consume(drop);
            self.searched = 0;
            self.skipped = Some(skipped + drop);
            if skipped + drop > MAX_SKIPPED {
                return Cut::Flood;
            }
        }
        Cut::More
    }

    /// Makes room and says where to read.
    fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.copy_within(self.start.., 0);
            let left = self.buffer.len() - self.start;
            self.buffer[left..].zeroize();
            self.buffer.truncate(left);
            self.start = 0;
        }
        if self.buffer.capacity() < BUFFER {
            // Exact, so that growing never leaves copies behind afterwards.
            self.buffer.reserve_exact(BUFFER - self.buffer.len());
        }
        &mut self.buffer
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// A connection with its buffers.
pub(crate) struct Wire {
    socket: Socket,
    pub(crate) lines: Lines,
    out: Vec<u8>,
    /// Octets of `out` already written: a flush given up half-way goes on where it was.
    written: usize,
}

impl Wire {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, lines: Lines::default(), out: Vec::new(), written: 0 }
    }

    /// Reads what there is; 0 at the end. Never more than fits in the buffer, which callers keep consuming.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        let space = self.lines.space();
        let room = BUFFER.saturating_sub(space.len());
        if room == 0 {
            // Cannot be: every caller cuts lines or consumes before it asks for more.
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        (&mut self.socket).take(room as u64).read_buf(space).await
    }

    /// Puts octets in the output; they leave at [`Wire::flush`].
    pub(crate) fn queue(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Whether enough output waits to be written at once.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= OUTPUT_HIGH
    }

    /// Writes the output.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.written += n,
            }
        }
        self.out.zeroize();
        self.written = 0;
        self.socket.flush().await
    }

    /// Forgets the output not written: the peer reads no more, but may have said something.
    pub(crate) fn drop_output(&mut self) {
        self.out.zeroize();
        self.written = 0;
    }

    /// The TCP connection, for a handshake. What came in clear and was not read is forgotten with everything else.
    pub(crate) fn take_plain(&mut self) -> Option<TcpStream> {
        if !faults::is_on(faults::Fault::Injection) && !faults::is_on(faults::Fault::InjectedAnswers) {
            self.lines = Lines::default();
        }
        self.out.clear();
        self.written = 0;
        match std::mem::replace(&mut self.socket, Socket::Gone) {
            Socket::Plain(tcp) => Some(tcp),
            other => {
                self.socket = other;
                None
            }
        }
    }

    /// Goes on in clear: a defect of `faults`.
    pub(crate) fn back_to_clear(&mut self, tcp: TcpStream) {
        self.socket = Socket::Plain(tcp);
    }

    /// Goes on under TLS.
    pub(crate) fn upgrade(&mut self, tls: TlsStream<TcpStream>) {
        self.socket = Socket::Tls(Box::new(tls));
    }

    /// Writes what is left and closes. With `linger`, lets our last word reach a peer that is still sending.
    pub(crate) async fn close(mut self, linger: bool) {
        let _ = timeout(LINGER, async {
            self.flush().await?;
            self.socket.shutdown().await?;
            let mut scratch = vec![0; if linger { 4096 } else { 0 }];
            let mut read = 0;
            while linger && read < LINGER_OCTETS {
                match self.socket.read(&mut scratch).await? {
                    0 => break,
                    n => read += n,
                }
            }
            io::Result::Ok(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Cut {
        Cut::Line(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn lines(octets: &[u8]) -> Lines {
        let mut lines = Lines::default();
        lines.push(octets);
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let mut ok = lines(b"NOOP\r\nQUIT\r\n");
        assert_eq!((ok.cut(100), ok.cut(100), ok.cut(100)), (line("NOOP"), line("QUIT"), Cut::More));
        for bad in [&b"NOOP\nQUIT\r\n"[..], b"NOOP\rQUIT\r\n", b"\n", b"NOOP\r\r\n"] {
            assert_eq!(lines(bad).cut(100), Cut::Bare, "{bad:?}");
        }
        assert_eq!(lines(b"NOOP\r").cut(100), Cut::More);
    }

    // OPE-09: a line over the limit is answered, and what follows it is read as usual.
    #[test]
    fn a_long_line_is_dropped_whole() {
        let mut exact = lines(b"12345678\r\n");
        assert_eq!(exact.cut(10), line("12345678"));
        let mut over = lines(b"123456789\r\nNOOP\r\n");
        assert_eq!((over.cut(10), over.cut(10)), (Cut::TooLong, line("NOOP")));
        let mut flood = Lines::default();
        let mut last = Cut::More;
        for _ in 0..=MAX_SKIPPED / 1000 {
            flood.push(&[b'x'; 1000]);
            last = flood.cut(10);
            assert!(flood.pending().len() <= 1000);
        }
        assert_eq!(last, Cut::Flood);
    }

    proptest! {
        /// However the octets arrive, the same lines come out.
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), any::<u8>()], 0..200),
            sizes in proptest::collection::vec(1usize..7, 1..200),
            limit in 3usize..40,
        ) {
            fn all(lines: &mut Lines, limit: usize, out: &mut Vec<Cut>) -> bool {
                loop {
                    match lines.cut(limit) {
                        Cut::More => return true,
                        Cut::Bare => { out.push(Cut::Bare); return false; }
                        other => out.push(other),
                    }
                }
            }
            let mut whole = Vec::new();
            all(&mut lines(&text), limit, &mut whole);
            let mut pieces = Vec::new();
            let mut fed = Lines::default();
            let mut rest = &text[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                fed.push(head);
                rest = tail;
                if !all(&mut fed, limit, &mut pieces) { break; }
            }
            prop_assert_eq!(whole, pieces);
        }
    }
}
