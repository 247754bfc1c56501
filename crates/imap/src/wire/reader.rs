//! The reader of commands, a machine whose only await is the one that fills its buffer.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use zeroize::{Zeroize, Zeroizing};

use super::literal::{ANNOUNCEMENT, after_word, announced, is_message, tag};
use super::{
    BUFFER, Event, Injected, Line, MAX_CHUNK, MAX_LITERAL_COUNT, MAX_RAW_LINE, MAX_TEXT, MAX_TEXT_AUTHENTICATE,
    MAX_TEXT_BEFORE, Phase, Refusal,
};

/// Reads commands from a client.
#[derive(Debug)]
pub struct CommandReader<R> {
    inner: R,
    pub(super) phase: Phase,
    /// Read in advance; what counts is `start..end`. There is none while the client says nothing: thousands wait.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The command or line being gathered.
    pub(super) command: Zeroizing<Vec<u8>>,
    /// Where in `command` its last line begins.
    line: usize,
    /// Octets of `command` that are literals, and how many literals.
    literals: (usize, usize),
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// In a line of a command.
    Text,
    /// In a literal that is gathered.
    Literal(usize),
    /// In the message of APPEND: octets left, and whether the client waits for a continuation and none was drawn yet.
    Message { left: u64, waiting: bool },
    /// In the text after a literal of APPEND.
    Tail,
    /// In what is read and forgotten.
    Discard(Discard),
}

/// The rest of a command that is not wanted.
#[derive(Debug)]
pub(super) struct Discard {
    /// Octets left of a literal; the text of a line follows.
    literal: u64,
    /// The last octets of the line.
    tail: Vec<u8>,
    /// Octets of text forgotten.
    text: u64,
    /// Octets that may still be forgotten.
    pub(super) left: u64,
    /// What to say in the end; `None` when the answer was given.
    pub(super) answer: Option<(Option<String>, Refusal)>,
}

impl<R: AsyncRead + Unpin> CommandReader<R> {
    /// A reader of what comes from `inner`.
    pub fn new(inner: R, phase: Phase) -> Self {
        CommandReader {
            inner,
            phase,
            buffer: Box::default(),
            start: 0,
            end: 0,
            command: Zeroizing::default(),
            line: 0,
            literals: (0, 0),
            state: State::Text,
        }
    }

    /// Changes the limits, once the client is known.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// What this reads from, to look at; reading from it directly would lose the order of octets.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// What this reads from, to change how it does; nothing may be buffered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Whether octets were read that no event has given yet. After STARTTLS there must be none.
    pub fn has_buffered(&self) -> bool {
        self.start != self.end || !self.command.is_empty()
    }

    /// What this reads from, to begin TLS on it.
    ///
    /// # Errors
    /// [`Injected`] when the client sent something that it should have sent under TLS; both are then dropped.
    pub fn into_inner(self) -> Result<R, Injected> {
        if self.has_buffered() { Err(Injected) } else { Ok(self.inner) }
    }

    /// The next event.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when it ends within a command.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            match &mut self.state {
                State::Text => {
                    if !self.available().await? {
                        return if self.command.is_empty() { Ok(Event::End) } else { Err(eof()) };
                    }
                    if let Some(event) = self.text() {
                        return Ok(event);
                    }
                }
                State::Literal(0) => self.state = State::Text,
                State::Literal(_) => {
                    if !self.available().await? {
                        return Err(eof());
                    }
                    self.gather();
                }
                // Refused without having been drawn: the client does not send it.
                State::Message { waiting: true, .. } => self.reset(),
                State::Message { left, waiting: false } => {
                    let discard = Discard::new(*left, self.phase.discard_message(), None);
                    self.state = State::Discard(discard);
                }
                // Nobody waits for the end of it.
                State::Tail => self.refuse_tail(0),
                State::Discard(_) => match self.discard().await? {
                    Err(fatal) => return Ok(Event::Fatal(fatal)),
                    Ok(Discard { answer: Some((tag, reason)), .. }) => return Ok(Event::Refused { tag, reason }),
                    Ok(_) => {}
                },
            }
        }
    }

    /// The next raw line, whatever it holds: DONE, the client's side of AUTHENTICATE. At most [`MAX_RAW_LINE`] octets.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when it ends within a line.
    pub async fn line(&mut self) -> io::Result<Line> {
        loop {
            if matches!(self.state, State::Discard(_)) {
                return Ok(match self.discard_line().await? {
                    Err(fatal) => Line::Fatal(fatal),
                    Ok(()) => Line::Refused(Refusal::TooLong),
                });
            }
            if !self.available().await? {
                return if self.command.is_empty() { Ok(Line::End) } else { Err(eof()) };
            }
            let (piece, ended) = self.piece();
            if self.command.len() + piece > MAX_RAW_LINE + 2 {
                self.reset();
                self.state = State::Discard(Discard::new(0, self.phase.discard(), None));
                continue;
            }
            self.take(piece);
            if !ended {
                continue;
            }
            let mut line = self.finish();
            if line.ends_with(b"\r\n") {
                let text = line.len() - 2;
                line.truncate(text);
                return Ok(Line::Text(line));
            }
            return Ok(Line::Refused(Refusal::BareLineFeed));
        }
    }

    /// The next piece of the message of APPEND, at most `most` octets and never more than [`MAX_CHUNK`]; nothing when the
    /// message is over.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when it ends within the message.
    pub async fn literal_chunk(&mut self, most: u64) -> io::Result<Bytes> {
        let State::Message { left, waiting } = &mut self.state else {
            return Ok(Bytes::new());
        };
        *waiting = false;
        let most = usize::try_from((*left).min(most)).unwrap_or(MAX_CHUNK).min(MAX_CHUNK);
        if most == 0 {
            return Ok(Bytes::new());
        }
        let chunk = if self.start < self.end {
            let most = most.min(self.end - self.start);
            let chunk = Bytes::copy_from_slice(&self.buffer[self.start..self.start + most]);
            // A message is no token: not wiped octet by octet.
            self.start += most;
            chunk
        } else {
            // Read past the buffer, and never past the message.
            let mut chunk = BytesMut::with_capacity(most);
            let mut limited = (&mut self.inner).take(most as u64);
            if limited.read_buf(&mut chunk).await? == 0 {
                return Err(eof());
            }
            chunk.freeze()
        };
        if let State::Message { left, .. } = &mut self.state {
            *left -= chunk.len() as u64;
        }
        Ok(chunk)
    }

    /// Takes text from the buffer, which is not empty; an event when the command is over, refused, or must wait.
    fn text(&mut self) -> Option<Event> {
        let (piece, ended) = self.piece();
        if self.command.len() - self.literals.0 + piece > self.max_text() + 2 {
            self.refuse(Refusal::TooLong, 0);
            return None;
        }
        self.take(piece);
        if !ended {
            return None;
        }
        let line = &self.command[self.line..];
        let (line, end) = match line.strip_suffix(b"\r\n") {
            Some(line) => (line, Ok(())),
            None => (line.strip_suffix(b"\n").unwrap_or(line), Err(Refusal::BareLineFeed)),
        };
        let literal = announced(line);
        let without_end = self.line + line.len();
        let Some(literal) = literal else {
            let mut command = self.finish();
            if let Err(reason) = end {
                return Some(Event::Refused { tag: tag(&command), reason });
            }
            command.truncate(without_end);
            return Some(Event::Command(command));
        };
        let message = end.is_ok() && is_message(&self.command[..without_end], self.line + literal.at);
        if message {
            self.command.truncate(without_end);
            let head = self.finish();
            self.state = State::Message { left: literal.size, waiting: literal.synchronizing };
            return Some(Event::Append { head, size: literal.size, synchronizing: literal.synchronizing });
        }
        let room = self.phase.literals() - self.literals.0;
        let accepted = end.and_then(|()| match usize::try_from(literal.size) {
            Ok(_) if self.literals.1 >= MAX_LITERAL_COUNT => Err(Refusal::TooManyLiterals),
            Ok(size) if size <= room => Ok(size),
            _ => Err(Refusal::LiteralTooLarge),
        });
        match accepted {
            Ok(size) => {
                self.literals.1 += 1;
                self.state = State::Literal(size);
                literal.synchronizing.then_some(Event::Continue)
            }
            // The client reads the answer instead of a continuation, and does not send the literal.
            Err(reason) if literal.synchronizing => {
                let command = self.finish();
                Some(Event::Refused { tag: tag(&command), reason })
            }
            Err(reason) => {
                self.refuse(reason, literal.size);
                None
            }
        }
    }

    /// Takes octets of a literal from the buffer, which is not empty.
    fn gather(&mut self) {
        if let State::Literal(left) = self.state {
            let piece = left.min(self.end - self.start);
            self.take(piece);
            self.literals.0 += piece;
            self.state = State::Literal(left - piece);
            self.line = self.command.len();
        }
    }

    /// Forgets the command so far and what is left of it, a literal of `literal` octets first.
    pub(super) fn refuse(&mut self, reason: Refusal, literal: u64) {
        let line = self.line;
        let command = self.finish();
        let mut discard = Discard::new(literal, self.phase.discard(), Some((tag(&command), reason)));
        if literal == 0 {
            // An announcement may lie across the place where the limit was reached.
            discard.tail.extend_from_slice(&command[line.max(command.len().saturating_sub(ANNOUNCEMENT))..]);
        }
        self.state = State::Discard(discard);
    }

    /// Reads to the end of the command and forgets it; afterwards the next command begins.
    async fn discard(&mut self) -> io::Result<Result<Discard, Refusal>> {
        loop {
            if let State::Discard(Discard { literal, left, .. }) = &self.state
                && *literal > *left
            {
                return Ok(Err(self.give_up()));
            }
            if !self.available().await? {
                return Err(eof());
            }
            let (piece, ended) = self.piece();
            let State::Discard(discard) = &mut self.state else {
                return Ok(Err(Refusal::TooMuch));
            };
            if discard.literal > 0 {
                let octets = (self.end - self.start).min(usize::try_from(discard.literal).unwrap_or(usize::MAX));
                discard.literal -= octets as u64;
                discard.left = discard.left.saturating_sub(octets as u64);
                self.consume(octets);
                continue;
            }
            discard.text += piece as u64;
            discard.tail.extend_from_slice(&self.buffer[self.start..self.start + piece]);
            let forgotten = discard.tail.len().saturating_sub(ANNOUNCEMENT);
            discard.tail.drain(..forgotten);
            match discard.left.checked_sub(piece as u64) {
                Some(left) => discard.left = left,
                None => return Ok(Err(self.give_up())),
            }
            let line = discard.tail.strip_suffix(b"\n").unwrap_or_default();
            let literal = announced(line.strip_suffix(b"\r").unwrap_or(line)).filter(|l| ended && !l.synchronizing);
            if let Some(literal) = literal {
                discard.literal = literal.size;
                discard.tail.clear();
            }
            self.consume(piece);
            if ended
                && literal.is_none()
                && let State::Discard(discard) = std::mem::replace(&mut self.state, State::Text)
            {
                self.reset();
                return Ok(Ok(discard));
            }
        }
    }

    /// Reads to the end of the line and forgets it.
    async fn discard_line(&mut self) -> io::Result<Result<(), Refusal>> {
        loop {
            if !self.available().await? {
                return Err(eof());
            }
            let (piece, ended) = self.piece();
            let State::Discard(discard) = &mut self.state else {
                return Ok(Ok(()));
            };
            match discard.left.checked_sub(piece as u64) {
                Some(left) => discard.left = left,
                None => return Ok(Err(self.give_up())),
            }
            self.consume(piece);
            if ended {
                self.reset();
                return Ok(Ok(()));
            }
        }
    }

    /// Nothing more will be understood: forgets all that was read.
    fn give_up(&mut self) -> Refusal {
        self.consume(self.end - self.start);
        self.reset();
        Refusal::TooMuch
    }

    /// Reads and forgets what the client still sends, to its end or up to `most` octets. To be done after the last word and the
    /// end of our own side: closing on octets nobody read resets the connection, and a reset may destroy that last word before
    /// the client has seen it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn forget(&mut self, most: usize) -> io::Result<()> {
        self.command.zeroize();
        self.buffer.zeroize();
        self.buffer = vec![0; BUFFER].into_boxed_slice();
        (self.start, self.end) = (0, 0);
        let mut read = 0;
        while read < most {
            match self.inner.read(&mut self.buffer).await? {
                0 => break,
                n => read += n,
            }
        }
        Ok(())
    }

    /// Waits until the connection ends, reading on as far as there is room; for ever when there is none left. What it
    /// reads is given by the next event. Nothing is lost when it is cancelled.
    pub async fn hung_up(&mut self) {
        loop {
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
                if self.buffer.is_empty() {
                    self.buffer = vec![0; BUFFER].into_boxed_slice();
                }
            }
            if self.end == self.buffer.len() {
                return std::future::pending().await;
            }
            match self.inner.read(&mut self.buffer[self.end..]).await {
                Ok(0) | Err(_) => return,
                Ok(n) => self.end += n,
            }
        }
    }

    /// Sees to it that the buffer holds something; `false` at the end of the stream. The only place that waits.
    pub(super) async fn available(&mut self) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // All of it was consumed, and wiped.
            self.buffer = Box::default();
            let inner = &mut self.inner;
            let (buffer, end) = std::future::poll_fn(|cx| {
                // On the stack, as long as this look takes.
                let mut octets = [0; BUFFER];
                let mut read = ReadBuf::new(&mut octets);
                std::task::ready!(Pin::new(&mut *inner).poll_read(cx, &mut read))?;
                let end = read.filled().len();
                let mut buffer = vec![0; if end > 0 { BUFFER } else { 0 }].into_boxed_slice();
                buffer[..end].copy_from_slice(read.filled());
                octets[..end].zeroize();
                Poll::Ready(io::Result::Ok((buffer, end)))
            })
            .await?;
            (self.buffer, self.end) = (buffer, end);
        }
        Ok(self.start < self.end)
    }

    /// How much of the buffer belongs to the current line, and whether the line ends there.
    pub(super) fn piece(&self) -> (usize, bool) {
        let here = &self.buffer[self.start..self.end];
        match here.iter().position(|b| *b == b'\n') {
            Some(lf) => (lf + 1, true),
            None => (here.len(), false),
        }
    }

    /// Moves octets from the buffer to the command.
    pub(super) fn take(&mut self, octets: usize) {
        if self.phase == Phase::NotAuthenticated && self.command.capacity() == 0 {
            // What may be a token is not moved while it grows, which would leave copies behind.
            self.command.reserve_exact(MAX_TEXT_AUTHENTICATE + 2);
        }
        self.command.extend_from_slice(&self.buffer[self.start..self.start + octets]);
        self.consume(octets);
    }

    /// Drops octets from the buffer, and wipes them: they may be a token.
    fn consume(&mut self, octets: usize) {
        self.buffer[self.start..self.start + octets].zeroize();
        self.start += octets;
    }

    /// The command gathered; the next one begins.
    pub(super) fn finish(&mut self) -> Zeroizing<Vec<u8>> {
        let command = std::mem::take(&mut self.command);
        self.reset();
        command
    }

    pub(super) fn reset(&mut self) {
        self.command = Zeroizing::default();
        self.line = 0;
        self.literals = (0, 0);
        self.state = State::Text;
    }

    pub(super) fn max_text(&self) -> usize {
        match self.phase {
            Phase::Authenticated => MAX_TEXT,
            Phase::NotAuthenticated if after_word(&self.command, b"AUTHENTICATE").is_some() => MAX_TEXT_AUTHENTICATE,
            Phase::NotAuthenticated => MAX_TEXT_BEFORE,
        }
    }
}

impl Discard {
    pub(super) fn new(literal: u64, left: u64, answer: Option<(Option<String>, Refusal)>) -> Self {
        Discard { literal, tail: Vec::new(), text: 0, left, answer }
    }
}

pub(super) fn eof() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
