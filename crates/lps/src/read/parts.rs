//! The pieces of a message: what is read, what is an archive of documents, what is attached.

use std::ops::Range;

use mail::header::{Transfer, TransferDecoder};
use mail::mime::{Content, Part};
use mssante::xdm;

use super::body;

/// Attachments listed of one message: the scanner finds 2000 parts at most, nobody attaches a thousand files.
pub const MAX_ATTACHMENTS: usize = 1000;
/// Octets kept of a file name: file systems take 255, and a program may put a number or a date before it.
const MAX_NAME: usize = 180;

/// A piece that is no document archive: a file, a picture, a PDF copy of a document, a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// A name that is safe as a file name: no path, no control character, never empty.
    pub name: String,
    /// Its media type, lower case.
    pub media_type: String,
    /// Octets as transferred; a third less once decoded from base64.
    pub size: u64,
    /// Whether the sender wants it shown within the text.
    pub inline: bool,
    /// `Content-ID`, by which HTML refers to it.
    pub id: Option<String>,
    pub(super) body: Range<u64>,
    pub(super) transfer: Transfer,
}

impl std::fmt::Debug for Attachment {
    /// Not the name: that of a copy is a patient's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({}, {} octets)", self.media_type, self.size)
    }
}

impl Attachment {
    pub(super) fn decoded(&self, octets: &[u8]) -> Vec<u8> {
        let raw = body::slice(octets, self.body.start, self.body.end);
        let mut decoder = TransferDecoder::new(self.transfer);
        let mut out = Vec::with_capacity(raw.len());
        decoder.push(raw, &mut out);
        decoder.finish(&mut out);
        out
    }

    /// Whether it is a PDF, by its type or, since some programs send `application/octet-stream`, by its name.
    #[must_use]
    pub fn is_pdf(&self) -> bool {
        self.media_type == "application/pdf"
            || self.media_type == "application/octet-stream" && self.name.to_ascii_lowercase().ends_with(".pdf")
    }
}

/// What was found.
pub(super) struct Found {
    /// Parts to be read as the text of the message.
    pub texts: Vec<Part>,
    pub archives: Vec<Attachment>,
    pub attachments: Vec<Attachment>,
}

/// Looks through a message; not into messages inside it.
pub(super) fn find(root: &Part) -> Found {
    let mut found = Found { texts: Vec::new(), archives: Vec::new(), attachments: Vec::new() };
    walk(root, &mut found);
    found
}

fn walk(part: &Part, found: &mut Found) {
    match &part.content {
        Content::Multipart(children) if part.is("multipart", "alternative") => alternatives(children, found),
        Content::Multipart(children) => children.iter().for_each(|child| walk(child, found)),
        Content::Leaf | Content::Message(_) => leaf(part, found),
    }
}

/// One text among several: the plain one when it is there. What is no text among them (a calendar, say) is attached.
fn alternatives(children: &[Part], found: &mut Found) {
    let before = found.texts.len();
    let plain = children.iter().find(|child| child.is("text", "plain") && child.size() > 0);
    // Without a plain one, the first that has a text, which may be inside `multipart/related`.
    match plain {
        Some(plain) => found.texts.push(plain.clone()),
        None => children.iter().for_each(|child| {
            if found.texts.len() == before {
                walk(child, found);
            }
        }),
    }
    for child in children.iter().filter(|child| child.is("multipart", "related")) {
        for inside in child.children().iter().filter(|inside| !inside.is_text()) {
            if plain.is_some() {
                walk(inside, found);
            }
        }
    }
}

fn leaf(part: &Part, found: &mut Found) {
    let attached = part.disposition.as_ref().is_some_and(|d| d.kind == "attachment");
    let name = part.filename();
    let readable = part.is("text", "plain") || part.is("text", "html");
    if readable && !attached && name.is_none() {
        if part.size() > 0 {
            found.texts.push(part.clone());
        }
        return;
    }
    let attachment = Attachment {
        name: safe_file_name(
            name.as_deref().unwrap_or_default(),
            &part.media_type,
            &part.subtype,
            found.attachments.len(),
        ),
        media_type: format!("{}/{}", part.media_type, part.subtype),
        size: part.size(),
        inline: !attached && part.disposition.is_some(),
        id: part.id.clone(),
        body: part.body.clone(),
        transfer: Transfer::from_name(&part.encoding).unwrap_or(Transfer::Identity),
    };
    if name.is_some_and(|name| xdm::is_archive_name(&name)) {
        if found.archives.len() < MAX_ATTACHMENTS {
            found.archives.push(attachment);
        }
    } else if found.attachments.len() < MAX_ATTACHMENTS {
        found.attachments.push(attachment);
    }
}

/// A name as a file may have it on any system: the last step of a path, without characters that mean something to a file system
/// or a shell's eye, without leading dots, cut with its extension kept. An empty one becomes `piece-N` with an extension of the
/// type.
#[must_use]
pub fn safe_file_name(name: &str, media_type: &str, subtype: &str, rank: usize) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let line = body::one_line(last, usize::MAX);
    let kept: String =
        line.chars().map(|c| if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c }).collect();
    let kept = kept.trim_matches([' ', '.']);
    if kept.is_empty() {
        let extension = match (media_type, subtype) {
            ("text", "plain") => "txt",
            ("text", "html") => "html",
            ("message", "rfc822") => "eml",
            ("application", "pdf") => "pdf",
            ("application", "zip") => "zip",
            (_, "xml") => "xml",
            ("image", "jpeg") => "jpg",
            ("image", "png") => "png",
            _ => "bin",
        };
        return format!("piece-{}.{extension}", rank + 1);
    }
    if kept.len() <= MAX_NAME {
        return kept.to_owned();
    }
    let cut = |text: &str, mut end: usize| {
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].trim_end_matches([' ', '.']).to_owned()
    };
    match kept.rsplit_once('.').filter(|(_, extension)| extension.len() <= 10) {
        Some((stem, extension)) => format!("{}.{extension}", cut(stem, MAX_NAME - extension.len() - 1)),
        None => cut(kept, MAX_NAME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (name, wanted) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.doc", "y.doc"),
            ("..", "piece-3.pdf"),
            ("", "piece-3.pdf"),
            (".bashrc", "bashrc"),
            ("a\0b\r\n:c.txt", "a b _c.txt"),
            ("\u{202e}fdp.exe", "fdp.exe"),
        ] {
            assert_eq!(safe_file_name(name, "application", "pdf", 2), wanted, "{name:?}");
        }
        let long = safe_file_name(&format!("{}.pdf", "é".repeat(300)), "application", "pdf", 0);
        assert!(long.len() <= MAX_NAME && long.ends_with("é.pdf"));
    }

    proptest! {
        #[test]
        fn a_name_is_always_a_name(name in "(\\PC|[./\\\\:\\x00-\\x1f]){0,120}") {
            let safe = safe_file_name(&name, "x", "y", 0);
            prop_assert!(!safe.is_empty() && !safe.starts_with('.') && safe.len() <= MAX_NAME);
            prop_assert!(!safe.contains(['/', '\\', '\0', '\n']) && safe != "..");
        }
    }
}
