//! What is attached: its name by RFC 2231 when it is not plain (S12 of the reference), its octets in base64, read while they are
//! written. A forwarded message goes whole, as `message/rfc822`, which no encoding may touch (RFC 2045 §6.4).

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mssante::xdm::is_archive_name;

use super::ComposeError;
use crate::content::Content;

/// Longest name, in octets of UTF-8: encoded at three characters each, it stays on one line of 998.
const MAX_NAME: usize = 240;
/// Octets of one line of base64: 76 characters.
const LINE: usize = 57;
/// Lines encoded at a time: about 58 KiB.
const LINES: usize = 1024;
/// Longest line of a message (RFC 5322 §2.1.1), without its end.
const MAX_LINE: usize = 998;

/// Where octets come from.
#[derive(Clone)]
pub enum Source {
    /// They are at hand.
    Bytes(Vec<u8>),
    /// A file, read when the message is made.
    File(PathBuf),
    /// They wait in a temporary file.
    Content(Content),
}

impl Source {
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Source::Bytes(octets) => Box::new(Cursor::new(octets)),
            Source::File(path) => Box::new(File::open(path)?),
            Source::Content(content) => Box::new(content.reader()),
        })
    }
}

/// A file that goes with a message.
#[derive(Clone)]
pub struct Attachment {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) source: Source,
}

impl Attachment {
    /// With its name, its media type (`application/pdf`) and its octets.
    #[must_use]
    pub fn new(name: &str, media_type: &str, source: Source) -> Self {
        Self { name: name.to_owned(), media_type: media_type.to_owned(), source }
    }

    /// A file under its own name, its type told by the name.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let media_type = media_type_of(&name);
        Self { media_type: media_type.to_owned(), name, source: Source::File(path) }
    }

    /// What makes it unfit, if anything; `rank` is its place, from 1.
    pub(super) fn check(&self, rank: usize) -> Result<(), ComposeError> {
        if is_archive_name(&self.name) {
            return Err(ComposeError::ArchiveByHand);
        }
        self.check_form(rank)
    }

    pub(super) fn check_form(&self, rank: usize) -> Result<(), ComposeError> {
        let name = self.name.trim();
        let unfit =
            |c: char| c.is_control() || matches!(c, '/' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if name.is_empty() || name.len() > MAX_NAME || name.contains(unfit) {
            return Err(ComposeError::AttachmentName(rank));
        }
        let token = |part: &str| {
            (1..=60).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match self.media_type.split_once('/') {
            Some((kind, subtype)) if token(kind) && token(subtype) => {
                let composite = ["multipart", "message"].iter().any(|c| kind.eq_ignore_ascii_case(c));
                if composite { Err(ComposeError::MediaType(rank)) } else { Ok(()) }
            }
            _ => Err(ComposeError::MediaType(rank)),
        }
    }

    /// The fields of its part, with the empty line.
    pub(super) fn fields(&self) -> String {
        let name = self.name.trim();
        format!(
            "Content-Type: {};\r\n {}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n {}\r\n\r\n",
            self.media_type,
            parameter("name", name),
            parameter("filename", name)
        )
    }

    /// Its octets in base64.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<(), ComposeError> {
        let reading = |source| ComposeError::Io { what: "reading an attachment", source };
        let mut from = self.source.open().map_err(reading)?;
        let mut block = vec![0; LINE * LINES];
        let mut encoded = Vec::with_capacity(LINES * 78);
        let mut line = [0; LINE / 3 * 4];
        loop {
            let count = fill(&mut *from, &mut block).map_err(reading)?;
            encoded.clear();
            for piece in block[..count].chunks(LINE) {
                let length = STANDARD.encode_slice(piece, &mut line).expect("57 octets give 76 characters");
                encoded.extend_from_slice(&line[..length]);
                encoded.extend_from_slice(b"\r\n");
            }
            out.write_all(&encoded).map_err(writing)?;
            if count < block.len() {
                return Ok(());
            }
        }
    }
}

/// A failure to write the message.
pub(super) fn writing(source: io::Error) -> ComposeError {
    ComposeError::Io { what: "writing the message", source }
}

/// Reads until `block` is full or there is no more.
fn fill(from: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < block.len() {
        match from.read(&mut block[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// `name="…"`, or RFC 2231's `name*=UTF-8''…` when that cannot be.
fn parameter(attribute: &str, value: &str) -> String {
    let plain = value.bytes().all(|b| (b' '..=b'~').contains(&b) && !matches!(b, b'"' | b'\\' | b'%' | b'\''));
    // What looks like an encoded word would be taken for one by programs that decode inside quotes.
    if plain && !value.contains("=?") && value.len() <= 60 {
        return format!("{attribute}=\"{value}\"");
    }
    let mut encoded = format!("{attribute}*=UTF-8''");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The media type that goes with a name.
fn media_type_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "xml" => "text/xml",
        "txt" => "text/plain",
        "rtf" => "application/rtf",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "tif" | "tiff" => "image/tiff",
        "dcm" => "application/dicom",
        "hpr" | "hprim" => "text/plain",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "odt" => "application/vnd.oasis.opendocument.text",
        _ => "application/octet-stream",
    }
}

/// Whether a message to be forwarded holds octets above 127.
///
/// # Errors
/// [`ComposeError::IllFormedMessage`] when it cannot be sent as it is.
pub(super) fn examine_message(source: &Source) -> Result<bool, ComposeError> {
    let reading = |source| ComposeError::Io { what: "reading the forwarded message", source };
    let mut from = source.open().map_err(reading)?;
    let mut block = vec![0; 64 * 1024];
    let (mut eight_bit, mut after_cr, mut column) = (false, false, 0);
    loop {
        let count = fill(&mut *from, &mut block).map_err(reading)?;
        for &byte in &block[..count] {
            match byte {
                b'\n' if after_cr => column = 0,
                0 | b'\n' => return Err(ComposeError::IllFormedMessage),
                _ if after_cr => return Err(ComposeError::IllFormedMessage),
                b'\r' => {}
                _ => {
                    column += 1;
                    eight_bit |= byte > 127;
                }
            }
            after_cr = byte == b'\r';
            if column > MAX_LINE {
                return Err(ComposeError::IllFormedMessage);
            }
        }
        if count < block.len() {
            return if after_cr { Err(ComposeError::IllFormedMessage) } else { Ok(eight_bit) };
        }
    }
}

/// Copies a message as it is, ended by CRLF.
pub(super) fn copy_message(source: &Source, out: &mut impl Write) -> Result<(), ComposeError> {
    let reading = |source| ComposeError::Io { what: "reading the forwarded message", source };
    let mut from = source.open().map_err(reading)?;
    let mut block = vec![0; 64 * 1024];
    let mut last = 0;
    loop {
        let count = fill(&mut *from, &mut block).map_err(reading)?;
        out.write_all(&block[..count]).map_err(writing)?;
        last = block[..count].last().copied().unwrap_or(last);
        if count < block.len() {
            break;
        }
    }
    if last != b'\n' { out.write_all(b"\r\n").map_err(writing) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Attachment {
        Attachment::new(name, "application/pdf", Source::Bytes(vec![]))
    }

    #[test]
    fn names() {
        assert_eq!(parameter("name", "a b.pdf"), "name=\"a b.pdf\"");
        // The example of S12.
        let encoded = parameter("filename", "20220531_CR d'imagerie.pdf");
        assert_eq!(encoded, "filename*=UTF-8''20220531_CR%20d%27imagerie.pdf");
        assert_eq!(parameter("name", "é\".pdf"), "name*=UTF-8''%C3%A9%22.pdf");
        for bad in ["", " ", "a\r\nBcc: x", "a/b", "..\\b", "a\0", "a\u{202e}fdp.exe", &"é".repeat(121)] {
            assert!(matches!(named(bad).check(3), Err(ComposeError::AttachmentName(3))), "{bad:?}");
        }
        assert!(named(&"é".repeat(120)).check(1).is_ok());
        assert!(named(&"é".repeat(120)).fields().lines().all(|line| line.len() <= 998));
        assert!(matches!(named("ihe_xdm.ZIP").check(1), Err(ComposeError::ArchiveByHand)));
    }

    #[test]
    fn media_types() {
        for bad in ["", "pdf", "a/", "text/plain; x=y", "message/rfc822", "Multipart/mixed", "a/b\r\nc: d", "a/b/c"] {
            let attachment = Attachment::new("a", bad, Source::Bytes(vec![]));
            assert!(matches!(attachment.check(2), Err(ComposeError::MediaType(2))), "{bad:?}");
        }
        assert_eq!(Attachment::file("/tmp/CR.PDF").media_type, "application/pdf");
    }

    #[test]
    fn base64_in_lines() {
        for size in [0, 1, 56, 57, 58, LINE * LINES - 1, LINE * LINES, LINE * LINES + 1] {
            let octets: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut out = Vec::new();
            Attachment::new("a", "a/b", Source::Bytes(octets.clone())).write(&mut out).expect("memory");
            let text = String::from_utf8(out).expect("ASCII");
            assert!(text.lines().all(|line| line.len() <= 76));
            assert_eq!(STANDARD.decode(text.replace("\r\n", "")).expect("base64"), octets);
        }
    }

    #[test]
    fn messages_that_cannot_go_as_they_are() {
        let examine = |octets: &[u8]| examine_message(&Source::Bytes(octets.to_vec()));
        assert!(matches!(examine(b"A: b\r\n\r\nx\r\n"), Ok(false)));
        assert!(matches!(examine("A: b\r\n\r\né".as_bytes()), Ok(true)));
        let long = [b"A: b\r\n\r\n".as_slice(), &[b'x'; 999]].concat();
        for bad in [&b"a\nb"[..], b"a\rb", b"a\r", b"a\0", b"\r\r\n", &long] {
            assert!(matches!(examine(bad), Err(ComposeError::IllFormedMessage)), "{bad:?}");
        }
    }
}
