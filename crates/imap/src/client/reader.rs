//! From octets to responses: lines and literals under hard limits, no grammar.
//!
//! A response comes as one piece of memory, its literals inside as they were on the wire. While [`ResponseReader::stream`] is
//! on, the literal of a whole message (`BODY[]`) is not kept: its size is given, its octets are drawn chunk by chunk, and in the
//! response that follows `NIL` stands where it was.
//!
//! Every method but drawing into a sink is cancel-safe: what was read stays in the reader.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::{ClientError, MAX_LITERALS, MAX_TEXT, MAX_TEXT_BEFORE, READ};

type Result<T> = std::result::Result<T, ClientError>;

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two octets, either way: a server that searches a large folder without an index is silent for a while.
    pub silence: Duration,
    /// For the whole answer to a command: a server that sends one octet a minute is no better than a silent one.
    pub answer: Duration,
    /// For each [`Patience::RATE`] octets of a message, besides: large ones take their time on slow lines.
    pub more: Duration,
}

impl Patience {
    /// Octets that [`Patience::more`] is given for.
    pub const RATE: u64 = 64 * 1024;
}

impl Default for Patience {
    fn default() -> Self {
        Patience { silence: Duration::from_secs(60), answer: Duration::from_secs(300), more: Duration::from_secs(16) }
    }
}

/// What [`ResponseReader::next`] saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole response with its line end.
    Response(Bytes),
    /// A whole message of so many octets: draw them by [`ResponseReader::chunk`] before the next call.
    Message(u64),
}

/// Cuts a server's octets into responses.
#[derive(Debug)]
pub struct ResponseReader<S> {
    inner: S,
    buffer: BytesMut,
    /// What of the buffer was looked at.
    scanned: usize,
    /// Where the line under way begins.
    line: usize,
    /// Octets of text, and of literals, of the response under way.
    text: usize,
    literals: u64,
    /// What came before a message that was drawn.
    head: Vec<u8>,
    /// Octets of a message still to be drawn.
    message: u64,
    streaming: bool,
    authenticated: bool,
    patience: Patience,
    deadline: Instant,
}

impl<S> ResponseReader<S> {
    /// Reads from `inner`.
    pub fn new(inner: S, patience: Patience) -> Self {
        ResponseReader {
            inner,
            buffer: BytesMut::new(),
            scanned: 0,
            line: 0,
            text: 0,
            literals: 0,
            head: Vec::new(),
            message: 0,
            streaming: false,
            authenticated: false,
            patience,
            deadline: Instant::now() + patience.answer,
        }
    }

    /// Messages are given as they come from now on, or no more.
    pub fn stream(&mut self, on: bool) {
        self.streaming = on;
    }

    /// The larger limits apply from now on.
    pub fn authenticated(&mut self) {
        self.authenticated = true;
    }

    /// An answer begins to be waited for.
    pub fn begin(&mut self) {
        self.deadline = Instant::now() + self.patience.answer;
    }

    /// How long it waits.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// The stream, when nothing was read beyond the last response.
    ///
    /// # Errors
    /// [`ClientError::Injected`].
    pub fn into_inner(self) -> Result<S> {
        if self.buffer.is_empty() && self.head.is_empty() && self.message == 0 {
            Ok(self.inner)
        } else {
            Err(ClientError::Injected)
        }
    }

    /// The stream underneath.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    fn max_text(&self) -> usize {
        if self.authenticated { MAX_TEXT } else { MAX_TEXT_BEFORE }
    }

    /// Looks for the end of a response in what was read; none: more must be read.
    fn scan(&mut self) -> Result<Option<Piece>> {
        loop {
            // Inside a literal that has not come whole.
            if self.scanned > self.buffer.len() {
                return Ok(None);
            }
            let Some(found) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') else {
                self.scanned = self.buffer.len();
                let pending = self.buffer.len() - self.line;
                return if self.text + pending > self.max_text() {
                    Err(ClientError::TooMuch("a response without end"))
                } else {
                    Ok(None)
                };
            };
            let end = self.scanned + found + 1;
            self.text += end - self.line;
            if self.text > self.max_text() {
                return Err(ClientError::TooMuch("a response without end"));
            }
            let line = &self.buffer[self.line..end];
            let first = if self.head.is_empty() { &self.buffer[..end] } else { &self.head[..] };
            let literal = if may_hold_literals(first) { announced(line) } else { None };
            let Some((brace, size)) = literal else {
                let rest = self.buffer.split_to(end).freeze();
                let response = if self.head.is_empty() {
                    rest
                } else {
                    let mut whole = std::mem::take(&mut self.head);
                    whole.extend_from_slice(&rest);
                    whole.into()
                };
                (self.scanned, self.line, self.text, self.literals) = (0, 0, 0, 0);
                return Ok(Some(Piece::Response(response)));
            };
            if self.streaming && is_message(&self.buffer[self.line..self.line + brace]) {
                let start = self.buffer.split_to(end);
                self.head.extend_from_slice(&start[..self.line + brace]);
                self.head.extend_from_slice(b"NIL");
                (self.scanned, self.line) = (0, 0);
                self.message = size;
                self.deadline +=
                    self.patience.more * u32::try_from(size / Patience::RATE).unwrap_or(u32::MAX).min(1 << 16);
                return Ok(Some(Piece::Message(size)));
            }
            self.literals = self.literals.saturating_add(size);
            if self.literals > MAX_LITERALS || (!self.authenticated && self.literals > MAX_TEXT_BEFORE as u64) {
                return Err(ClientError::TooMuch("literals larger than anything asked for"));
            }
            // Bounded just above.
            self.scanned = end + size as usize;
            self.line = self.scanned;
        }
    }
}

impl<S: AsyncRead + Unpin> ResponseReader<S> {
    /// The next response, or a message that begins.
    ///
    /// # Errors
    /// [`ClientError`]: the connection is of no more use.
    pub async fn next(&mut self) -> Result<Piece> {
        while self.message > 0 {
            self.chunk().await?;
        }
        loop {
            if let Some(piece) = self.scan()? {
                return Ok(piece);
            }
            self.fill(true).await?;
        }
    }

    /// The next response, however long it takes to come: for IDLE. Cancel it to stop waiting.
    ///
    /// # Errors
    /// As [`ResponseReader::next`], but for silence.
    pub async fn next_whenever(&mut self) -> Result<Piece> {
        loop {
            if let Some(piece) = self.scan()? {
                return Ok(piece);
            }
            self.fill(false).await?;
        }
    }

    /// Octets of the message under way; none at its end.
    ///
    /// # Errors
    /// As [`ResponseReader::next`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if self.message == 0 {
            return Ok(None);
        }
        if self.buffer.is_empty() {
            self.fill(true).await?;
        }
        let length = (self.buffer.len() as u64).min(self.message);
        self.message -= length;
        // At most the length of the buffer.
        Ok(Some(self.buffer.split_to(length as usize).freeze()))
    }

    async fn fill(&mut self, within_limits: bool) -> Result<()> {
        self.buffer.reserve(READ);
        // One read at most beyond what is there: memory follows what comes.
        let read = self.inner.read_buf(&mut self.buffer);
        let octets = if within_limits {
            let end = self.deadline.min(Instant::now() + self.patience.silence);
            timeout_at(end, read).await.map_err(|_| ClientError::Silent)??
        } else {
            read.await?
        };
        if octets == 0 { Err(ClientError::Closed) } else { Ok(()) }
    }
}

impl<S: AsyncWrite + Unpin> ResponseReader<S> {
    /// Sends octets.
    ///
    /// # Errors
    /// The connection, or a server that takes nothing.
    pub async fn send(&mut self, octets: &[u8]) -> Result<()> {
        for piece in octets.chunks(READ) {
            timeout(self.patience.silence, self.inner.write_all(piece)).await.map_err(|_| ClientError::Silent)??;
        }
        Ok(())
    }

    /// Sends what waits to be sent.
    ///
    /// # Errors
    /// As [`ResponseReader::send`].
    pub async fn flush(&mut self) -> Result<()> {
        Ok(timeout(self.patience.silence, self.inner.flush()).await.map_err(|_| ClientError::Silent)??)
    }

    /// Ends our side.
    pub async fn shutdown(&mut self) {
        // Whether the server hears of it does not matter any more.
        let _ = timeout(Duration::from_secs(1), self.inner.shutdown()).await;
    }
}

/// Text for people may end with braces: status responses, continuations and tagged ones hold no literal.
fn may_hold_literals(response: &[u8]) -> bool {
    let Some(rest) = response.strip_prefix(b"* ") else { return false };
    let word = rest.split(|b| matches!(b, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
    !["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|status| word.eq_ignore_ascii_case(status.as_bytes()))
}

/// Where the announcement `{12}` or `{12+}` at the end of a line begins, and its size.
fn announced(line: &[u8]) -> Option<(usize, u64)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inside = line.strip_suffix(b"}")?;
    let inside = inside.strip_suffix(b"+").unwrap_or(inside);
    let brace = inside.iter().rposition(|b| !b.is_ascii_digit()).filter(|at| inside[*at] == b'{')?;
    let digits = std::str::from_utf8(&inside[brace + 1..]).ok().filter(|digits| !digits.is_empty())?;
    // More than 64 bits: larger than anything.
    Some((brace, digits.parse().unwrap_or(u64::MAX)))
}

/// Whether what comes before an announcement names a whole message: `BODY[] `, `BODY[]<100> `.
fn is_message(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"~").unwrap_or(line);
    let Some(mut name) = line.strip_suffix(b" ") else { return false };
    if let Some(origin) = name.strip_suffix(b">") {
        let digits = origin.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        name = origin[..origin.len() - digits].strip_suffix(b"<").unwrap_or_default();
    }
    name.len() >= 6 && name[name.len() - 6..].eq_ignore_ascii_case(b"BODY[]")
}
