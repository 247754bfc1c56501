//! Reading a message: what it is, who wrote it, what it says, which documents it carries. ECO.3.1.x, ECO-RECEIPT.
//!
//! [`Message::open`] takes the octets of a message and tells everything at once, without any I/O. Nothing in it is believed: what
//! does not fit together is told as a [`Warning`] or as the [`ArchiveFault`] of one archive, and the rest is still read.
//!
//! Invariants:
//! * every octet string is a message; only one that is too large is refused. Nothing panics, nothing is quadratic;
//! * memory: the message once, at most [`MAX_ARCHIVES`] archives within the limits of [`mssante::xdm::open`] and
//!   [`Limits::inflated`] octets in all, [`MAX_TEXT`] octets of text;
//! * texts shown hold no control character and no mark that turns the direction of writing; names of files have no path;
//! * the documents of a receipt, notice or bounce are those that are given back: [`Message::documents`] of such a message is empty.

mod body;
mod bounce;
mod correspondent;
mod documents;
mod error;
mod identity;
mod kind;
mod notice;
mod parts;
#[cfg(test)]
mod tests;
mod warning;

use mail::date::Moment;
use mail::header::{self, Fields};
use mail::mime::{self, Scanner, Structure};
use mssante::headers::ReceivedHeaders;
use mssante::subject;
use tokio::io::{AsyncRead, AsyncReadExt};

pub use body::{MAX_TEXT, Text};
pub use bounce::{Bounce, Cause, Delivery, Outcome, Source};
pub use correspondent::{Correspondent, Nature, PatientAddress};
pub use documents::{Archive, ArchiveFault, MAX_ARCHIVES, ReceivedDocument};
pub use error::ReadError;
pub use identity::DocumentPatient;
pub use kind::{About, Belief, Kind};
pub use notice::{Form, Integration, Notice, Receipt};
pub use parts::{Attachment, MAX_ATTACHMENTS, safe_file_name};
pub use warning::Warning;

/// Largest message read unless told otherwise, in octets: twice what operators let through (10 to 25 MB).
pub const MAX_MESSAGE: u64 = 50 * 1024 * 1024;
/// Octets of a message's header that are read: a hundred times an honest one's.
const MAX_HEADER: usize = 512 * 1024;
/// Characters of a subject that are shown.
const MAX_SUBJECT: usize = 500;
/// Message identifiers kept of `References`: RFC 5322 sets no limit, threads have some tens.
const MAX_REFERENCES: usize = 1000;
/// Longest message identifier kept, in octets: a line has 998.
const MAX_ID: usize = 998;

/// What bounds the reading of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the message.
    pub octets: u64,
    /// Octets of documents, all archives together, once inflated.
    pub inflated: u64,
    /// Of the structure.
    pub mime: mime::Limits,
}

impl Default for Limits {
    /// [`MAX_MESSAGE`]; 128 MiB inflated.
    fn default() -> Self {
        Limits { octets: MAX_MESSAGE, inflated: 128 * 1024 * 1024, mime: mime::Limits::default() }
    }
}

/// The subject of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// Decoded, on one line, technical prefix included.
    pub full: String,
    /// As people are to see it: without `XDM/1.0/DDM+` (ECO.3.1.3).
    pub shown: String,
    /// Whether it carries the mark of a mail with documents.
    pub marked: bool,
}

impl Subject {
    /// From the value of a `Subject` field.
    #[must_use]
    pub fn of(value: &str) -> Self {
        let full = body::one_line(&header::decode_words(value), MAX_SUBJECT);
        Subject { shown: subject::for_display(&full).trim().to_owned(), marked: subject::is_marked(&full), full }
    }
}

/// A message that was read.
pub struct Message {
    octets: Vec<u8>,
    structure: Structure,
    /// Its subject.
    pub subject: Subject,
    /// Who wrote it.
    pub from: Vec<Correspondent>,
    /// Where answers go; empty when to who wrote it.
    pub reply_to: Vec<Correspondent>,
    /// To whom.
    pub to: Vec<Correspondent>,
    /// Copies.
    pub cc: Vec<Correspondent>,
    /// By the sender's clock.
    pub date: Option<Moment>,
    /// `Message-ID`, with its angle brackets.
    pub message_id: Option<String>,
    /// The messages it answers.
    pub in_reply_to: Vec<String>,
    /// The conversation so far, oldest first.
    pub references: Vec<String>,
    /// Whether a program wrote it by itself (RFC 3834).
    pub automatic: bool,
    /// Whether it came through a list: nobody of it is to be answered automatically.
    pub from_list: bool,
    /// The X-MSS fields with their defects.
    pub headers: ReceivedHeaders,
    /// The addresses a receipt is asked for (`Disposition-Notification-To`); empty when none is.
    pub receipt_to: Vec<String>,
    /// Where the server that delivered it would have bounced it (`Return-Path`); empty text for the empty path.
    pub return_path: Option<String>,
    /// What it says.
    pub text: Option<Text>,
    /// Its IHE_XDM archives, those that cannot be opened too.
    pub archives: Vec<Archive>,
    /// Every other piece, PDF copies of documents included.
    pub attachments: Vec<Attachment>,
    /// What it is.
    pub kind: Kind,
    /// What does not fit together.
    pub warnings: Vec<Warning>,
}

impl std::fmt::Debug for Message {
    /// Neither names nor content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("octets", &self.octets.len())
            .field("message_id", &self.message_id)
            .field("kind", &self.kind.code())
            .field("archives", &self.archives.len())
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}

impl Message {
    /// Reads the octets of a message. Takes some milliseconds for most and up to a second for the largest archives: a program that
    /// must not wait calls [`Message::read`].
    ///
    /// # Errors
    /// [`ReadError::TooLarge`].
    pub fn open(octets: Vec<u8>, limits: Limits) -> Result<Message, ReadError> {
        if octets.len() as u64 > limits.octets {
            return Err(ReadError::TooLarge { limit: limits.octets });
        }
        let mut scanner = Scanner::new(limits.mime);
        scanner.push(&octets);
        let structure = scanner.finish();
        let end = usize::try_from(structure.header_range().end).unwrap_or(usize::MAX).min(octets.len());
        let block = &octets[..end.min(MAX_HEADER)];
        let of = |name: &str| header::find(block, name);
        let automatic = of("Auto-Submitted")
            .is_some_and(|value| !value.split([';', '(']).next().unwrap_or_default().trim().eq_ignore_ascii_case("no"));
        let precedence = of("Precedence").unwrap_or_default();
        let from_list = of("List-Id").is_some()
            || of("List-Unsubscribe").is_some()
            || ["list", "bulk", "junk"].iter().any(|word| precedence.eq_ignore_ascii_case(word));
        let mut message = Message {
            subject: Subject::of(structure.envelope.subject.as_deref().unwrap_or_default()),
            from: correspondent::of_field(block, "From"),
            reply_to: correspondent::of_field(block, "Reply-To"),
            to: correspondent::of_field(block, "To"),
            cc: correspondent::of_field(block, "Cc"),
            date: structure.sent,
            message_id: of("Message-ID").and_then(|value| message_ids(&value).into_iter().next()),
            in_reply_to: of("In-Reply-To").map(|value| message_ids(&value)).unwrap_or_default(),
            references: of("References").map(|value| message_ids(&value)).unwrap_or_default(),
            automatic,
            from_list,
            headers: x_mss(block),
            receipt_to: correspondent::of_field(block, "Disposition-Notification-To")
                .into_iter()
                .map(|asked| asked.text)
                .collect(),
            return_path: of("Return-Path").map(|value| value.trim().trim_matches(['<', '>']).trim().to_owned()),
            text: None,
            archives: Vec::new(),
            attachments: Vec::new(),
            kind: Kind::Mail,
            warnings: Vec::new(),
            octets: Vec::new(),
            structure: Structure::of(b""),
        };
        let found = parts::find(&structure.root);
        message.text = body::of(&octets, &found.texts);
        message.attachments = found.attachments;
        message.kind = kind::of(&octets, &structure, &message);
        message.structure = structure;
        message.octets = octets;
        if message.kind == Kind::Mail {
            let opened = documents::open(&message, &found.archives, limits.inflated);
            message.archives = opened;
            documents::match_copies(&mut message);
        } else {
            // What is given back is an attachment like another.
            message.attachments.extend(found.archives);
        }
        message.warnings = warning::of(&message);
        correspondent::mark_application(&mut message);
        Ok(message)
    }

    /// Reads a message from where it comes, and opens it where it does not keep others waiting.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(reader: &mut (impl AsyncRead + Unpin), limits: Limits) -> Result<Message, ReadError> {
        let mut octets = Vec::new();
        reader.take(limits.octets.saturating_add(1)).read_to_end(&mut octets).await?;
        tokio::task::spawn_blocking(move || Message::open(octets, limits))
            .await
            .unwrap_or_else(|cut| Err(ReadError::Io(std::io::Error::other(cut))))
    }

    /// The message as it came.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The message as it came, given up.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// Its structure.
    #[must_use]
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The value of a header field, decoded; the first of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let end = usize::try_from(self.structure.header_range().end).unwrap_or(usize::MAX).min(self.octets.len());
        header::find(&self.octets[..end.min(MAX_HEADER)], name).map(|value| header::decode_words(&value))
    }

    /// The documents of all archives, in order.
    pub fn documents(&self) -> impl Iterator<Item = &ReceivedDocument> {
        self.archives.iter().flat_map(|archive| &archive.documents)
    }

    /// The patient of the documents, as the metadata name them (ECO.2.1.2); none without documents or when they name several.
    #[must_use]
    pub fn patient(&self) -> Option<DocumentPatient> {
        identity::of(self.documents())
    }

    /// The octets of an attachment, its transfer encoding undone.
    #[must_use]
    pub fn content(&self, attachment: &Attachment) -> Vec<u8> {
        attachment.decoded(&self.octets)
    }

    /// The message that is given back inside a receipt, a notice or a bounce, or that is forwarded; header alone for some bounces.
    #[must_use]
    pub fn original(&self) -> Option<Vec<u8>> {
        kind::original(&self.octets, &self.structure)
    }
}

/// The identifiers in the value of a field, each with its angle brackets, in order. Blanks inside are taken out, as folding puts
/// some there.
pub(crate) fn message_ids(value: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let Some(end) = rest.find('>') else { break };
        let id: String = rest[..=end].chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        if (3..=MAX_ID).contains(&id.len()) && ids.len() < MAX_REFERENCES {
            ids.push(id);
        }
        rest = &rest[end + 1..];
    }
    ids
}

fn x_mss(block: &[u8]) -> ReceivedHeaders {
    let fields: Vec<(String, String)> = Fields::new(block)
        .filter(|field| field.name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("X-MSS-")))
        .map(|field| (field.name.to_owned(), field.value()))
        .collect();
    ReceivedHeaders::read(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}
