//! A message being written.

use std::path::PathBuf;

use mssante::headers::{DocumentFacts, Nil};
use mssante::label::Label;
use mssante::{Address, Ins};
use time::OffsetDateTime;

use super::{Attachment, ComposeError, MessageId, Origin, Outgoing, Recipient, Source, assemble};
use crate::content::Content;
use crate::documents::DocumentSet;

/// Most recipients of a message: RFC 5321 §4.5.3.1.8 promises no more.
pub const MAX_RECIPIENTS: usize = 100;
/// What no message exceeds, in octets, whatever limit is set: the spool's room.
pub const MAX_MESSAGE: u64 = 256 * 1024 * 1024;
/// What Mon espace santé takes, in octets (client.md §2.6).
pub const PATIENT_LIMIT: u64 = 25_000_000;

/// Who writes.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The BAL.
    pub address: Address,
    /// Its display name, which is compulsory (ECO.2.2.7).
    pub label: Label,
}

/// How large a message may be, in octets. The operator's own limit is known when it is sent ([`crate::send`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Any message.
    pub message: u64,
    /// One with a patient among its recipients.
    pub patient: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: MAX_MESSAGE, patient: PATIENT_LIMIT }
    }
}

/// Health documents that go with a message, and all that follows from them. Only a checked set of documents makes one.
#[derive(Clone)]
pub(super) struct Carried {
    /// `IHE_XDM.zip`.
    pub(super) archive: Source,
    /// The PDF copies, under the names of the convention.
    pub(super) pdfs: Vec<(String, Source)>,
    /// X-MSS-CODECDA and X-MSS-INS.
    pub(super) facts: DocumentFacts,
    /// The subject (ECO.2.1.3).
    pub(super) subject: String,
    /// The patient's INS, when the documents hold it.
    pub(super) ins: Option<Ins>,
}

/// What a message answers or forwards.
pub(super) struct Thread {
    pub(super) origin: Origin,
    pub(super) prefix: &'static str,
}

/// A message being written. What is wrong with it is told by [`Draft::build`].
///
/// ```
/// # use lps::compose::{Draft, Recipient, Sender};
/// # use mssante::label::Label;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sender = Sender {
///     address: "marie.martin@alpha.formation.mssante.fr".parse()?,
///     label: Label::personal(Some("Dr"), "Marie", "Martin", Some("Cabinet des Lilas"))?,
/// };
/// let message = Draft::new("3734".parse()?, sender)
///     .to(Recipient::new("paul.durand@alpha.formation.mssante.fr".parse()?)?)
///     .subject("Avis demandé")
///     .text("Bonjour Paul,\n…")
///     .build_blocking()?;
/// assert_eq!(message.recipients().len(), 1);
/// # Ok(()) }
/// ```
#[must_use]
pub struct Draft {
    pub(super) nil: Nil,
    pub(super) sender: Sender,
    pub(super) to: Vec<Recipient>,
    pub(super) cc: Vec<Recipient>,
    pub(super) bcc: Vec<Recipient>,
    pub(super) reply_to: Option<Address>,
    pub(super) subject: Option<String>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) documents: Option<Carried>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) forwarded: Option<Source>,
    pub(super) thread: Option<Thread>,
    pub(super) end_of_exchange: bool,
    pub(super) read_receipt: bool,
    pub(super) message_id: Option<MessageId>,
    pub(super) date: Option<OffsetDateTime>,
    pub(super) limits: Limits,
    pub(super) folder: Option<PathBuf>,
}

impl Draft {
    /// A message of this BAL, made by the product of this reference (X-MSS-NIL: [`crate::space`] holds it).
    pub fn new(nil: Nil, sender: Sender) -> Self {
        Self {
            nil,
            sender,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: None,
            subject: None,
            text: None,
            html: None,
            documents: None,
            attachments: Vec::new(),
            forwarded: None,
            thread: None,
            end_of_exchange: false,
            read_receipt: false,
            message_id: None,
            date: None,
            limits: Limits::default(),
            folder: None,
        }
    }

    /// Adds a recipient.
    pub fn to(mut self, recipient: Recipient) -> Self {
        self.to.push(recipient);
        self
    }

    /// Adds one who is written to for information.
    pub fn cc(mut self, recipient: Recipient) -> Self {
        self.cc.push(recipient);
        self
    }

    /// Adds one whom the others do not see.
    pub fn bcc(mut self, recipient: Recipient) -> Self {
        self.bcc.push(recipient);
        self
    }

    /// Where answers are to go, when not to the BAL (ECO.2.2.5). A patient then answers this address and no other.
    pub fn reply_to(mut self, address: Address) -> Self {
        self.reply_to = Some(address);
        self
    }

    /// The subject. Not for a message with documents, whose subject is composed from them.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The text, with line ends of any kind.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The text in HTML beside the plain one (ECO.2.2.4).
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// Adds a file.
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// The documents, with all that follows from them: archive, PDF copies, X-MSS-CODECDA, X-MSS-INS, subject.
    pub fn documents(self, set: &DocumentSet) -> Self {
        let content = |content: &Content| Source::Content(content.clone());
        self.carry(Carried {
            archive: content(&set.xdm),
            pdfs: set.pdfs.iter().map(|(name, pdf)| (name.clone(), content(pdf))).collect(),
            facts: set.facts.clone(),
            subject: set.subject.clone(),
            ins: set.headers.iter().find_map(|header| header.patient.ins()).map(|(ins, _)| ins),
        })
    }

    pub(super) fn carry(mut self, documents: Carried) -> Self {
        self.documents = Some(documents);
        self
    }

    /// This message answers another: In-Reply-To, References, and the subject when none is given. To whom it goes is said apart
    /// ([`Recipient::answering`]).
    pub fn answer(mut self, origin: Origin) -> Self {
        self.thread = Some(Thread { origin, prefix: "Re:" });
        self
    }

    /// This message forwards another, whole. Its octets are sent as they are.
    pub fn forward(mut self, origin: Origin, message: Source) -> Self {
        self.thread = Some(Thread { origin, prefix: "Fwd:" });
        self.forwarded = Some(message);
        self
    }

    /// The patient may no longer answer, until a message comes that does not say so: X-MSS-MES: FIN (ECO.2.2.8).
    pub fn end_of_exchange(mut self) -> Self {
        self.end_of_exchange = true;
        self
    }

    /// Asks for a receipt when the message is read or integrated: Disposition-Notification-To (ECO.2.3.2). A patient cannot
    /// refuse it. The notice of delivery (DSN) is asked for when sending.
    pub fn ask_receipt(mut self) -> Self {
        self.read_receipt = true;
        self
    }

    /// Its date; now, in UTC, when not said.
    pub fn date(mut self, date: OffsetDateTime) -> Self {
        self.date = Some(date);
        self
    }

    /// Its identifier, for a program that makes them; a new one otherwise.
    pub fn message_id(mut self, id: MessageId) -> Self {
        self.message_id = Some(id);
        self
    }

    /// How large it may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where a large message waits to be sent; the system's folder for temporary files when not said.
    pub fn spool_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Makes the message, on a thread that may wait for a disk.
    ///
    /// # Errors
    /// [`ComposeError`]: nothing is left behind.
    pub async fn build(self) -> Result<Outgoing, ComposeError> {
        match tokio::task::spawn_blocking(move || self.build_blocking()).await {
            Ok(built) => built,
            Err(error) => Err(ComposeError::Io { what: "making the message", source: std::io::Error::other(error) }),
        }
    }

    /// Makes the message; waits for the disk.
    ///
    /// # Errors
    /// As for [`Draft::build`].
    pub fn build_blocking(self) -> Result<Outgoing, ComposeError> {
        assemble::assemble(self)
    }
}
