//! A message ready to go: its envelope and its octets.

use std::fmt;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mssante::headers::DocumentFacts;
use mssante::{Address, Domain};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use super::{MessageId, Spool};
use crate::content::ContentReader;

/// Octets read at a time from a disk.
const BLOCK: usize = 64 * 1024;

/// A message ready to go. Its octets never change. Cheap to clone; `Debug` says nothing of what it holds.
#[derive(Clone)]
pub struct Outgoing {
    pub(crate) sender: Address,
    pub(crate) return_path: Option<Address>,
    pub(crate) recipients: Vec<Address>,
    pub(crate) message_id: MessageId,
    pub(crate) subject: String,
    pub(crate) date: OffsetDateTime,
    pub(crate) documents: Option<DocumentFacts>,
    pub(crate) eight_bit: bool,
    pub(crate) spool: Spool,
}

impl Outgoing {
    /// A message made elsewhere in the library, whole, with CRLF line ends: receipts and notices. `return_path` is `None` for
    /// those that nobody answers (RFC 8098 §3).
    #[must_use]
    pub(crate) fn ready(
        sender: Address,
        return_path: Option<Address>,
        recipients: Vec<Address>,
        message_id: MessageId,
        subject: String,
        date: OffsetDateTime,
        (spool, eight_bit): (Spool, bool),
    ) -> Self {
        Self { sender, return_path, recipients, message_id, subject, date, documents: None, eight_bit, spool }
    }

    /// The BAL it is from.
    #[must_use]
    pub fn sender(&self) -> &Address {
        &self.sender
    }

    /// Who is told of what goes wrong; `None` when nobody is.
    #[must_use]
    pub fn return_path(&self) -> Option<&Address> {
        self.return_path.as_ref()
    }

    /// Everybody it goes to, each once, blind copies among them.
    #[must_use]
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    /// The domains it goes to, each once.
    #[must_use]
    pub fn domains(&self) -> Vec<&Domain> {
        let mut domains: Vec<&Domain> = self.recipients.iter().map(Address::domain).collect();
        domains.sort();
        domains.dedup();
        domains
    }

    /// Its identifier.
    #[must_use]
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Its subject, as people read it but with the mark of CI-SIS documents.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its date.
    #[must_use]
    pub fn date(&self) -> OffsetDateTime {
        self.date
    }

    /// What its header says of the documents it carries.
    #[must_use]
    pub fn documents(&self) -> Option<&DocumentFacts> {
        self.documents.as_ref()
    }

    /// Its size in octets, as SMTP counts.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.spool.size()
    }

    /// Whether it holds octets above 127, which a server must then announce to take (8BITMIME): only when a message that has
    /// some is forwarded.
    #[must_use]
    pub fn is_eight_bit(&self) -> bool {
        self.eight_bit
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// SHA-256 of its octets.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        self.spool.digest()
    }

    /// Reads it from the beginning, a block at a time. Readers do not disturb each other.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let content = self.spool.content();
        let state = State::Ready { from: content.reader(), block: Vec::new(), taken: 0 };
        Reader { in_memory: content.is_in_memory(), state }
    }

    /// Writes it whole, e.g. to show what would be sent; answers how many octets.
    ///
    /// # Errors
    /// Those of `out`, or of the spool's file.
    pub async fn write_to(&self, out: &mut (dyn AsyncWrite + Unpin + Send)) -> io::Result<u64> {
        tokio::io::copy(&mut self.reader(), out).await
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({}, {} recipients, {} octets)", self.message_id, self.recipients.len(), self.size())
    }
}

/// Reads an [`Outgoing`].
pub struct Reader {
    in_memory: bool,
    state: State,
}

enum State {
    Ready {
        from: ContentReader,
        block: Vec<u8>,
        taken: usize,
    },
    Reading(JoinHandle<(ContentReader, io::Result<Vec<u8>>)>),
    /// The task that read is gone: the runtime ends.
    Lost,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Ready { from, .. } if this.in_memory => {
                    let count = from.read(into.initialize_unfilled())?;
                    into.advance(count);
                    return Poll::Ready(Ok(()));
                }
                State::Ready { block, taken, .. } if *taken < block.len() => {
                    let count = (block.len() - *taken).min(into.remaining());
                    into.put_slice(&block[*taken..*taken + count]);
                    *taken += count;
                    return Poll::Ready(Ok(()));
                }
                State::Ready { .. } => {
                    let State::Ready { mut from, mut block, .. } = std::mem::replace(&mut this.state, State::Lost)
                    else {
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    };
                    this.state = State::Reading(tokio::task::spawn_blocking(move || {
                        block.resize(BLOCK, 0);
                        let read = from.read(&mut block).map(|count| {
                            block.truncate(count);
                            block
                        });
                        (from, read)
                    }));
                }
                State::Reading(task) => {
                    let Ok((from, read)) = ready!(Pin::new(task).poll(cx)) else {
                        this.state = State::Lost;
                        continue;
                    };
                    let (block, failed) = match read {
                        Ok(block) => (block, None),
                        Err(error) => (Vec::new(), Some(error)),
                    };
                    let ended = block.is_empty();
                    this.state = State::Ready { from, block, taken: 0 };
                    match failed {
                        Some(error) => return Poll::Ready(Err(error)),
                        None if ended => return Poll::Ready(Ok(())),
                        None => {}
                    }
                }
                State::Lost => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}
