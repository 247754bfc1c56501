//! What a message is: mail, or something told about a message that was sent.

use mail::mime::{Content, Part, Structure};

use super::{Bounce, Message, Notice, Receipt, body, bounce, notice};

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Somebody wrote.
    Mail,
    /// A read receipt: what a person, or a program for a person, did with a message.
    Receipt(Receipt),
    /// An integration notice: what the software of the receiver made of the documents.
    Notice(Notice),
    /// What a server did with a message: a delivery report, or a bounce without fields.
    Bounce(Bounce),
}

impl Kind {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Kind::Mail => "mail",
            Kind::Receipt(_) => "receipt",
            Kind::Notice(_) => "notice",
            Kind::Bounce(_) => "bounce",
        }
    }

    /// The message it is about; none for mail.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        match self {
            Kind::Mail => None,
            Kind::Receipt(receipt) => Some(&receipt.about),
            Kind::Notice(notice) => Some(&notice.about),
            Kind::Bounce(bounce) => Some(&bounce.about),
        }
    }
}

/// What says which message a receipt, notice or bounce is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The Message-IDs it gives, with their angle brackets: the field's first, then that of the message given back, then what it
    /// answers. No two alike.
    pub message_ids: Vec<String>,
    /// The envelope identifier of the sender (ENVID), from a delivery report.
    pub envelope_id: Option<String>,
}

/// Whether what is told can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Belief {
    /// It is about a message that was sent.
    Ours,
    /// It is about messages nobody here sent: to be shown as mail from a stranger, never acted on.
    Foreign,
    /// It does not say which message it is about: to be shown, never acted on.
    Unsaid,
}

impl About {
    /// Whether it is about a message that we sent: `sent` tells of a Message-ID (with angle brackets) or of an ENVID. All the
    /// identifiers given must be ours: one that names a message of ours beside another's is a forgery or of no use.
    #[must_use]
    pub fn belief(&self, sent: impl Fn(&str) -> bool) -> Belief {
        // What a server or program gives back comes first; In-Reply-To alone is written by anybody, and checked alike.
        match self.message_ids.first() {
            Some(id) if sent(id) => Belief::Ours,
            Some(_) => Belief::Foreign,
            None => match &self.envelope_id {
                Some(id) if sent(id) => Belief::Ours,
                Some(_) => Belief::Foreign,
                None => Belief::Unsaid,
            },
        }
    }

    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = String>) {
        /// Identifiers kept: three sources say one each.
        const MAX: usize = 8;
        for id in ids {
            if self.message_ids.len() < MAX && !self.message_ids.contains(&id) {
                self.message_ids.push(id);
            }
        }
    }
}

/// What this message is.
pub(super) fn of(octets: &[u8], structure: &Structure, message: &Message) -> Kind {
    let report = structure.root.is("multipart", "report").then(|| structure.root.param("report-type")).flatten();
    match report.map(|kind| kind.to_ascii_lowercase()).as_deref() {
        Some("disposition-notification") => {
            if let Some(kind) = notice::of_mdn(octets, structure, message) {
                return kind;
            }
        }
        Some("delivery-status") => {
            if let Some(bounce) = bounce::of_report(octets, structure, message) {
                return Kind::Bounce(bounce);
            }
        }
        _ => {}
    }
    if let Some(notice) = notice::of_mail(octets, structure, message) {
        return Kind::Notice(notice);
    }
    bounce::of_text(octets, structure, message).map_or(Kind::Mail, Kind::Bounce)
}

/// The Message-ID of the message inside, or of the header inside.
pub(super) fn inner_id(octets: &[u8], root: &Part) -> Option<String> {
    let children = root.children().iter();
    children.rev().find_map(|part| match &part.content {
        Content::Message(inner) => {
            inner.envelope.message_id.as_deref().and_then(|id| super::message_ids(id).into_iter().next())
        }
        Content::Leaf if part.is("text", "rfc822-headers") || part.is("message", "rfc822") => {
            let header = decoded(octets, part);
            mail::header::find(&header, "Message-ID").and_then(|id| super::message_ids(&id).into_iter().next())
        }
        _ => None,
    })
}

/// The message inside.
pub(super) fn original(octets: &[u8], structure: &Structure) -> Option<Vec<u8>> {
    let is_one = |part: &&Part| part.is("message", "rfc822") || part.is("text", "rfc822-headers");
    let part = structure.root.children().iter().rev().find(is_one)?;
    Some(match &part.content {
        Content::Message(_) => body::slice(octets, part.body.start, part.body.end).to_vec(),
        _ => decoded(octets, part),
    })
}

/// The octets of a part, its transfer encoding undone.
pub(super) fn decoded(octets: &[u8], part: &Part) -> Vec<u8> {
    use mail::header::{Transfer, TransferDecoder};
    let mut decoder = TransferDecoder::new(Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity));
    let mut out = Vec::new();
    decoder.push(body::slice(octets, part.body.start, part.body.end), &mut out);
    decoder.finish(&mut out);
    out
}
