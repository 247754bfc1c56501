//! What follows a literal of APPEND: the end of the command, or text and another literal (RFC 3502, RFC 4469).

use std::io;

use tokio::io::AsyncRead;
use zeroize::Zeroizing;

use super::Refusal;
use super::literal::announced;
use super::reader::{CommandReader, Discard, State, eof};

/// What [`CommandReader::append_next`] saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Tail {
    /// The command is over, with this text after the literal, CRLF taken off: nothing, or the end of a list.
    End(Zeroizing<Vec<u8>>),
    /// Another literal follows, to be drawn like the first.
    Literal {
        /// The text since the last literal, up to and with the announcement.
        text: Zeroizing<Vec<u8>>,
        /// Octets of the literal.
        size: u64,
        /// Whether the client waits for a continuation.
        synchronizing: bool,
    },
}

impl<R: AsyncRead + Unpin> CommandReader<R> {
    /// What follows a literal of APPEND that was drawn whole. A refusal means `BAD`: whatever else the client sends of this
    /// command is forgotten by [`CommandReader::next`].
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when it ends before the command does.
    pub async fn append_next(&mut self) -> io::Result<Result<Tail, Refusal>> {
        match &self.state {
            State::Message { left: 0, .. } => self.state = State::Tail,
            State::Message { left, .. } => {
                // A message that was not drawn whole must not pass for one that was.
                self.state = State::Discard(Discard::new(*left, self.phase.discard_message(), None));
                return Ok(Err(Refusal::AfterMessage));
            }
            // Called again after it was cancelled.
            State::Tail => {}
            State::Discard(_) => return Ok(Err(Refusal::AfterMessage)),
            State::Text | State::Literal(_) => return Ok(Ok(Tail::End(Zeroizing::default()))),
        }
        loop {
            if !self.available().await? {
                return Err(eof());
            }
            let (piece, ended) = self.piece();
            if self.command.len() + piece > self.max_text() + 2 {
                self.refuse_tail(0);
                return Ok(Err(Refusal::TooLong));
            }
            self.take(piece);
            if ended {
                break;
            }
        }
        let (length, sound) = match self.command.strip_suffix(b"\r\n") {
            Some(line) => (line.len(), true),
            None => (self.command.len() - 1, false),
        };
        self.command.truncate(length);
        let literal = announced(&self.command);
        if !sound {
            match literal.filter(|literal| !literal.synchronizing) {
                Some(literal) => self.refuse_tail(literal.size),
                None => self.reset(),
            }
            return Ok(Err(Refusal::AfterMessage));
        }
        let text = self.finish();
        Ok(Ok(match literal {
            None => Tail::End(text),
            Some(literal) => {
                self.state = State::Message { left: literal.size, waiting: literal.synchronizing };
                Tail::Literal { text, size: literal.size, synchronizing: literal.synchronizing }
            }
        }))
    }

    /// Forgets the rest of an APPEND, a literal of `literal` octets first. The caller answers.
    pub(super) fn refuse_tail(&mut self, literal: u64) {
        self.refuse(Refusal::AfterMessage, literal);
        let left = self.phase.discard_message();
        if let State::Discard(discard) = &mut self.state {
            discard.answer = None;
            discard.left = left;
        }
    }
}
