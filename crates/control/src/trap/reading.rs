//! A message made readable: its header, its MIME tree, its text. Everything in it was written by somebody else: it is escaped where it is
//! shown, and bounded here.

use mail::header::{self, Transfer, TransferDecoder, decode_words};
use mail::mime::{Part, Structure};
use serde::Serialize;

use super::record::{MAX_FIELD, MAX_FIELDS};
use super::{MARK, boxes};

/// Parts of the tree that are told.
const MAX_PARTS: usize = 200;
/// Characters of the text that are told.
const MAX_SHOWN: usize = 20_000;

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Its fields, in order, values unfolded and left encoded.
    pub fields: Vec<(String, String)>,
    /// The subject, decoded.
    pub subject: String,
    /// Its parts, outermost first.
    pub parts: Vec<Leaf>,
    /// Its first plain text, decoded.
    pub text: Option<String>,
}

/// A part of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leaf {
    /// How deep: 0 for the message itself.
    pub level: usize,
    /// `text/plain`.
    pub kind: String,
    /// Its file name.
    pub name: Option<String>,
    /// Octets of its body as it stands in the message.
    pub octets: usize,
}

/// Reads a message. Whatever the octets, there is something to show.
#[must_use]
pub fn read(message: &[u8]) -> Reading {
    let structure = Structure::of(message);
    let mut parts = Vec::new();
    let mut text = None;
    walk(message, &structure.root, 0, &mut parts, &mut text);
    let fields = fields(message);
    let subject = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("subject"));
    Reading { subject: subject.map(|(_, value)| decode_words(value)).unwrap_or_default(), fields, parts, text }
}

/// The header fields, bounded.
#[must_use]
pub fn fields(message: &[u8]) -> Vec<(String, String)> {
    let end = header::end(message).unwrap_or(message.len());
    let short =
        |text: String| if text.chars().count() > MAX_FIELD { text.chars().take(MAX_FIELD).collect() } else { text };
    header::Fields::new(&message[..end])
        .take(MAX_FIELDS)
        .map(|field| (short(field.name.to_owned()), short(field.value())))
        .collect()
}

/// The run a message says it is of: by its mark, or by `[controle RUN]` in its subject.
#[must_use]
pub fn mark(fields: &[(String, String)]) -> Option<String> {
    let of = |name: &str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let by_hand = || {
        let subject = decode_words(of("Subject")?);
        let (_, rest) = subject.split_once("[controle ")?;
        Some(rest.split_once(']')?.0.to_owned())
    };
    let run = of(MARK).map(|value| value.trim().to_owned()).or_else(by_hand)?;
    boxes::read_local(&format!("x+{run}")).1
}

fn walk(message: &[u8], part: &Part, level: usize, parts: &mut Vec<Leaf>, text: &mut Option<String>) {
    if parts.len() == MAX_PARTS {
        return;
    }
    parts.push(leaf(part, level));
    if text.is_none() && part.is("text", "plain") {
        *text = Some(plain(message, part));
    }
    for child in part.children() {
        walk(message, child, level + 1, parts, text);
    }
}

fn leaf(part: &Part, level: usize) -> Leaf {
    Leaf {
        level,
        kind: format!("{}/{}", part.media_type, part.subtype),
        name: part.filename(),
        octets: usize::try_from(part.size()).unwrap_or(usize::MAX),
    }
}

/// The text of a leaf, decoded and cut.
fn plain(message: &[u8], part: &Part) -> String {
    let range = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
    // At most four octets for a character, and base64 makes three of four.
    let start = range(part.body.start);
    let end = range(part.body.end).min(start.saturating_add(MAX_SHOWN * 6));
    let mut decoder = TransferDecoder::new(Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity));
    let mut octets = Vec::new();
    decoder.push(&message[start..end.max(start)], &mut octets);
    decoder.finish(&mut octets);
    let charset = part.param("charset").unwrap_or_else(|| "utf-8".to_owned());
    header::characters(&charset, &octets).chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"Subject: =?utf-8?Q?=5Bcontrole_ab12=5D_=C3=A9t=C3=A9?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nw6l0w6k=\r\n--b\r\nContent-Type: application/zip; name=IHE_XDM.zip\r\n\r\nPK\r\n--b--\r\n";

    #[test]
    fn a_message_is_told_as_a_tree() {
        let reading = read(MESSAGE);
        assert_eq!((reading.subject.as_str(), reading.text.as_deref()), ("[controle ab12] été", Some("été")));
        let kinds: Vec<_> = reading.parts.iter().map(|part| (part.level, part.kind.as_str())).collect();
        assert_eq!(kinds, [(0, "multipart/mixed"), (1, "text/plain"), (1, "application/zip")]);
        assert_eq!(reading.parts[2].name.as_deref(), Some("IHE_XDM.zip"));
        assert_eq!(mark(&reading.fields).as_deref(), Some("ab12"));
        let marked = fields(b"X-Vaguemestre-Controle: r-1\r\nSubject: [controle r-2]\r\n\r\n");
        assert_eq!(mark(&marked).as_deref(), Some("r-1"));
        assert_eq!(mark(&fields(b"X-Vaguemestre-Controle: a b\r\n\r\n")), None);
        assert_eq!(mark(&fields(b"Subject: a\r\n\r\n")), None);
    }

    proptest! {
        #[test]
        fn whatever_the_octets_there_is_something(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let reading = read(&octets);
            prop_assert!(!reading.parts.is_empty() && reading.fields.len() <= MAX_FIELDS);
        }
    }
}
