//! A message ready to go: its envelope and its octets.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mssante::headers::DocumentFacts;
use mssante::{Address, Domain};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use super::{MessageId, Spool};

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

    /// SHA-256 of its octets.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        self.spool.digest()
    }

    /// Reads it from the beginning, a block at a time. Readers do not disturb each other.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { spool: self.spool.clone(), at: 0, state: State::Ready { block: Vec::new(), taken: 0 } }
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
    spool: Spool,
    at: u64,
    state: State,
}

enum State {
    Ready { block: Vec<u8>, taken: usize },
    Reading(JoinHandle<io::Result<Vec<u8>>>),
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(octets) = this.spool.in_memory() {
            let rest = &octets[(this.at as usize).min(octets.len())..];
            let count = rest.len().min(into.remaining());
            into.put_slice(&rest[..count]);
            this.at += count as u64;
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut this.state {
                State::Ready { block, taken } if *taken < block.len() => {
                    let count = (block.len() - *taken).min(into.remaining());
                    into.put_slice(&block[*taken..*taken + count]);
                    *taken += count;
                    return Poll::Ready(Ok(()));
                }
                State::Ready { block, .. } => {
                    if this.at >= this.spool.size() {
                        return Poll::Ready(Ok(()));
                    }
                    let (spool, at, mut block) = (this.spool.clone(), this.at, std::mem::take(block));
                    this.state = State::Reading(tokio::task::spawn_blocking(move || {
                        block.resize(BLOCK, 0);
                        let count = spool.read_at(at, &mut block)?;
                        block.truncate(count);
                        // The size is known: an early end is a file that somebody cut.
                        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(block) }
                    }));
                }
                State::Reading(task) => {
                    let read = ready!(Pin::new(task).poll(cx)).map_err(io::Error::other).and_then(|read| read);
                    let (block, result) = match read {
                        Ok(block) => (block, Ok(())),
                        Err(error) => (Vec::new(), Err(error)),
                    };
                    this.at += block.len() as u64;
                    this.state = State::Ready { block, taken: 0 };
                    if let Err(error) = result {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }
}
