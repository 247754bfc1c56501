//! COMPRESS=DEFLATE (RFC 4978): the two directions of a connection, deflated under TLS.
//!
//! Invariants:
//! * inflating gives no more than its reader has room for, so that every limit of [`wire`](crate::wire) holds for what comes
//!   out, however little went in: there is no bomb;
//! * the compressor (some 300 KiB) lives from the first octet of an answer to its flush: a session that waits keeps only the
//!   inflater's window (some 45 KiB);
//! * what is sent in one answer is never compressed with the words of another: a compressor made anew knows nothing. Within
//!   one answer mail of several senders does share a window, which RFC 4978 §6 accepts; nothing secret of the protocol
//!   (tokens, passwords) is ever in an answer, so CRIME has nothing to guess at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::output::Sink;

/// Octets read of the client at once.
const INPUT: usize = 4 * 1024;
/// Compressed octets gathered before they are written: a TLS record.
const OUTPUT: usize = 16 * 1024;
/// Octets compressed at once.
const PIECE: usize = 32 * 1024;

/// What comes from the client, as it is or inflated.
pub(super) struct Inbound<R> {
    inner: R,
    inflater: Option<Box<Inflater>>,
}

struct Inflater {
    state: Decompress,
    input: [u8; INPUT],
    start: usize,
    end: usize,
}

impl<R> Inbound<R> {
    pub(super) fn new(inner: R) -> Self {
        Inbound { inner, inflater: None }
    }

    /// From now on the client sends deflated octets.
    pub(super) fn inflate(&mut self) {
        let state = Decompress::new(false);
        self.inflater = Some(Box::new(Inflater { state, input: [0; INPUT], start: 0, end: 0 }));
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Inbound<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Inbound { inner, inflater } = self.get_mut();
        let Some(inflater) = inflater else { return Pin::new(inner).poll_read(cx, buf) };
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            // Even without input: the window may hold more than there was room for.
            let Inflater { state, input, start, end } = &mut **inflater;
            let (before_in, before_out) = (state.total_in(), state.total_out());
            let status = state
                .decompress(&input[*start..*end], buf.initialize_unfilled(), FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // Both are bounded by the slices given.
            let taken = (state.total_in() - before_in) as usize;
            let given = (state.total_out() - before_out) as usize;
            *start += taken;
            if given > 0 {
                buf.advance(given);
                return Poll::Ready(Ok(()));
            }
            if status == Status::StreamEnd {
                return Poll::Ready(Ok(()));
            }
            if *start < *end {
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                continue;
            }
            let mut fresh = ReadBuf::new(input);
            ready!(Pin::new(&mut *inner).poll_read(cx, &mut fresh))?;
            (*start, *end) = (0, fresh.filled().len());
            if *end == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// What goes to the client, deflated.
pub(super) struct Outbound {
    inner: Sink,
    /// Made by the first octet after a flush.
    state: Option<Compress>,
    /// Deflated and not yet written: from `sent`.
    output: Vec<u8>,
    sent: usize,
}

impl Outbound {
    pub(super) fn new(inner: Sink) -> Self {
        Outbound { inner, state: None, output: Vec::new(), sent: 0 }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.output[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.output.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Ends the block, so that the client can inflate all that was sent, and lets the compressor go.
    fn finish(&mut self) -> io::Result<()> {
        let Some(mut state) = self.state.take() else { return Ok(()) };
        loop {
            self.output.reserve(OUTPUT);
            state.compress_vec(&[], &mut self.output, FlushCompress::Sync).map_err(io::Error::other)?;
            // Room was left: there was nothing more to write.
            if self.output.len() < self.output.capacity() {
                return Ok(());
            }
        }
    }
}

impl AsyncWrite for Outbound {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.output.len() >= OUTPUT {
            ready!(this.poll_drain(cx))?;
        }
        let piece = &buf[..buf.len().min(PIECE)];
        let state = this.state.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        let mut taken = 0;
        while taken < piece.len() {
            this.output.reserve(OUTPUT);
            let before = state.total_in();
            state.compress_vec(&piece[taken..], &mut this.output, FlushCompress::None).map_err(io::Error::other)?;
            // Bounded by the slice given.
            taken += (state.total_in() - before) as usize;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.finish()?;
        ready!(this.poll_drain(cx))?;
        this.output = Vec::new();
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.finish()?;
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
