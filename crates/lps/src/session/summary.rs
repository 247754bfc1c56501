//! A message as a list shows it: what one FETCH gives without the body.
//!
//! Invariants: the header is kept as the server sent it, cut to [`MAX_HEADER`] at the end of a field, and decoded only when a
//! field is asked for: 50,000 summaries cost their octets and little more. Nothing here is checked or believed; it is what the
//! sender wrote.

use mail::date::Moment;
use mail::header::{self, Address};
use time::OffsetDateTime;

/// Octets of header kept of one message: the fields asked for have some 2 KB; References may grow, a hostile header more.
pub const MAX_HEADER: usize = 16 * 1024;
/// Addresses of one field that are read.
pub const MAX_ADDRESSES: usize = 500;
/// Names of attachments kept of one message.
pub const MAX_NAMES: usize = 100;

/// The fields asked for in a listing.
pub const FIELDS: [&str; 16] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Content-Type",
    "Disposition-Notification-To",
    "X-MSS-NIL",
    "X-MSS-CODECDA",
    "X-MSS-INS",
    "X-MSS-MES",
];

/// A person or application named in a header.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Correspondent {
    /// The display name, decoded; empty when there is none.
    pub name: String,
    /// `local@domain`, as written.
    pub address: String,
}

/// A message of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its number in the folder, as long as the folder's UIDVALIDITY is the same.
    pub uid: u32,
    /// `\Seen`, `$MDNSent`… as the server writes them.
    pub flags: Vec<String>,
    /// When it came into the folder.
    pub internal_date: Option<OffsetDateTime>,
    /// Octets of the whole message.
    pub size: u64,
    /// When it or its flags last changed, where the server counts (CONDSTORE); else 0.
    pub modseq: u64,
    /// Names of the parts that have one, decoded: attachments. Not safe as paths.
    pub attachments: Vec<String>,
    header: Box<[u8]>,
}

impl Summary {
    /// From what a server told.
    #[must_use]
    pub fn new(uid: u32, flags: Vec<String>, internal_date: Option<OffsetDateTime>, size: u64, header: &[u8]) -> Self {
        let header = cut(header).into();
        Summary { uid, flags, internal_date, size, modseq: 0, attachments: Vec::new(), header }
    }

    /// The header fields as they came: those of [`FIELDS`].
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Whether a flag or keyword is set (any case).
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f.eq_ignore_ascii_case(flag))
    }

    /// The first field of that name, unfolded, encoded words untouched.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<String> {
        header::find(&self.header, name)
    }

    /// The first field of that name as text for people.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|value| header::decode_words(&value))
    }

    /// `Subject`, decoded, technical prefix included.
    #[must_use]
    pub fn subject(&self) -> String {
        self.text("Subject").unwrap_or_default()
    }

    /// `From`.
    #[must_use]
    pub fn from(&self) -> Vec<Correspondent> {
        self.correspondents("From")
    }

    /// `To`.
    #[must_use]
    pub fn to(&self) -> Vec<Correspondent> {
        self.correspondents("To")
    }

    /// `Cc`.
    #[must_use]
    pub fn cc(&self) -> Vec<Correspondent> {
        self.correspondents("Cc")
    }

    /// Everybody in the fields of that name.
    #[must_use]
    pub fn correspondents(&self, name: &str) -> Vec<Correspondent> {
        let mut found = Vec::new();
        for field in header::Fields::new(&self.header).filter(|field| field.is(name)) {
            let room = MAX_ADDRESSES.saturating_sub(found.len());
            let list = header::parse_addresses(&field.value(), room);
            found.extend(list.addresses.iter().filter_map(|address| {
                let Address::Mailbox { name, .. } = address else { return None };
                let name = name.as_deref().map(header::decode_words).unwrap_or_default();
                Some(Correspondent { name, address: address.address()? })
            }));
        }
        found
    }

    /// `Date`, as the sender's clock had it.
    #[must_use]
    pub fn date(&self) -> Option<Moment> {
        self.raw("Date").and_then(|value| mail::date::parse_rfc5322(&value))
    }

    /// `Message-ID` with its angle brackets.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.ids("Message-ID").into_iter().next()
    }

    /// `In-Reply-To`, each with its angle brackets.
    #[must_use]
    pub fn in_reply_to(&self) -> Vec<String> {
        self.ids("In-Reply-To")
    }

    /// `References`, oldest first.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        self.ids("References")
    }

    /// Whom the sender asks a receipt to be sent to.
    #[must_use]
    pub fn disposition_notification_to(&self) -> Vec<Correspondent> {
        self.correspondents("Disposition-Notification-To")
    }

    /// The X-MSS fields, read with tolerance.
    #[must_use]
    pub fn x_mss(&self) -> mssante::headers::ReceivedHeaders {
        let fields: Vec<(String, String)> = header::Fields::new(&self.header)
            .filter(|field| field.name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("X-MSS-")))
            .map(|field| (field.name.to_owned(), field.value()))
            .collect();
        mssante::headers::ReceivedHeaders::read(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The media type in lower case, parameters left out: `multipart/report`. `text/plain` when none is told.
    #[must_use]
    pub fn content_type(&self) -> String {
        let value = self.raw("Content-Type").unwrap_or_else(|| "text/plain".to_owned());
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn ids(&self, name: &str) -> Vec<String> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let mut ids = Vec::new();
        let mut rest = value.as_str();
        while let Some(start) = rest.find('<') {
            rest = &rest[start..];
            let Some(end) = rest.find('>') else { break };
            let id: String = rest[..=end].chars().filter(|c| !c.is_whitespace()).collect();
            if id.len() > 2 {
                ids.push(id);
            }
            rest = &rest[end + 1..];
        }
        ids
    }
}

/// As many whole fields as fit.
fn cut(header: &[u8]) -> &[u8] {
    if header.len() <= MAX_HEADER {
        return header;
    }
    let end = header::Fields::new(header).map(|field| field.range.end).take_while(|end| *end <= MAX_HEADER).last();
    &header[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: =?utf-8?Q?Ren=C3=A9?= <rene@alpha.mssante.fr>\r\nTo: a@b.mssante.fr,\r\n c@d.mssante.fr\r\n\
        Subject: =?utf-8?B?w4l0w6k=?=\r\nDate: Sun, 22 Nov 2026 06:40:10 +0100\r\nMessage-ID: <1@alpha>\r\n\
        References: <a@x>\r\n <b@x> junk <c@\r\n\tx>\r\nX-MSS-NIL: 3734\r\nContent-Type: Multipart/Mixed; boundary=x\r\n\r\n";

    #[test]
    fn fields_are_decoded() {
        let summary = Summary::new(7, vec!["\\Seen".into()], None, 10, HEADER);
        assert_eq!(summary.subject(), "Été");
        assert_eq!(summary.from(), [Correspondent { name: "René".into(), address: "rene@alpha.mssante.fr".into() }]);
        assert_eq!(summary.to().len(), 2);
        assert_eq!(summary.message_id().as_deref(), Some("<1@alpha>"));
        assert_eq!(summary.references(), ["<a@x>", "<b@x>", "<c@x>"]);
        assert_eq!(summary.date().map(|d| d.unix), Some(1_795_326_010));
        assert_eq!(summary.content_type(), "multipart/mixed");
        assert!(summary.has("\\SEEN") && !summary.has("\\Deleted"));
        assert!(summary.cc().is_empty() && summary.in_reply_to().is_empty());
    }

    #[test]
    fn a_header_without_end_is_cut_between_fields() {
        let mut header = HEADER[..HEADER.len() - 2].to_vec();
        header.extend_from_slice(b"References: ");
        header.extend(std::iter::repeat_n(b'x', 1024 * 1024));
        let summary = Summary::new(1, Vec::new(), None, 0, &header);
        assert!(summary.header().len() <= MAX_HEADER);
        assert_eq!(summary.subject(), "Été");
    }
}
