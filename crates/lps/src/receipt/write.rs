//! The octets of an answer.

use std::io::Write;

use mail::date::{Moment, format_rfc5322};
use mail::header::Writer;
use mssante::Address;
use mssante::headers::{DocumentFacts, OutgoingHeaders};
use time::OffsetDateTime;

use super::{MAX_LINE, ReceiptError, Respondent, Stamp, header_of};
use crate::compose::{Outgoing, SpoolWriter};
use crate::read::{Attachment, Message};

/// Octets of base64 made from one line's 57.
const BASE64_LINE: usize = 57;
/// Longest subject written, in characters: a prefix before what was received.
const MAX_SUBJECT: usize = 400;

/// Header of an answer.
pub(super) struct Head<'a> {
    pub respondent: &'a Respondent,
    pub stamp: &'a Stamp,
    pub to: Vec<Address>,
    pub subject: String,
    /// What is answered.
    pub about: &'a Message,
    /// Of the documents re-attached.
    pub facts: Option<DocumentFacts>,
}

/// Body of an answer.
pub(super) enum Body {
    /// A report of disposition: words, fields, and the message (`whole`) or its header.
    Mdn { human: String, fields: Vec<u8>, whole: bool },
    /// An ordinary mail: words, the message, its archive and PDF copies again.
    Mail { human: String },
}

/// Writes an answer. What does not fit under the limit is left out: first what is attached again, then the message, of which the
/// header stays.
pub(super) fn answer(head: Head<'_>, body: Body) -> Result<Outgoing, ReceiptError> {
    let octets = head.about.octets();
    let as_it_is = Shape::of(octets);
    let (whole, attach): (bool, bool) = match body {
        Body::Mdn { whole, .. } => (whole, false),
        Body::Mail { .. } => (true, true),
    };
    let mut choices = vec![(false, false)];
    if whole {
        choices.insert(0, (true, false));
    }
    if attach {
        choices.insert(0, (true, true));
    }
    for (whole, attach) in choices {
        let mut out = SpoolWriter::new(head.respondent.folder.clone(), head.respondent.limit);
        match write(&head, &body, as_it_is, whole, attach, &mut out) {
            Ok(eight_bit) => {
                let spool = out.finish()?;
                return Ok(Outgoing::ready(
                    head.respondent.sender.address.clone(),
                    None,
                    head.to,
                    head.stamp.id.clone(),
                    head.subject,
                    head.stamp.date,
                    (spool, eight_bit),
                ));
            }
            Err(ReceiptError::Io(why)) if why.kind() == std::io::ErrorKind::FileTooLarge => {}
            Err(other) => return Err(other),
        }
    }
    Err(ReceiptError::TooLarge(head.respondent.limit))
}

/// Whether a message can stand in another as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    SevenBit,
    EightBit,
    /// A NUL, a bare CR or LF, a line too long: no server takes it.
    IllFormed,
}

impl Shape {
    fn of(octets: &[u8]) -> Shape {
        let mut eight = false;
        let mut rest = octets;
        while !rest.is_empty() {
            let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            // The last line may have no end.
            let Some(text) = line.strip_suffix(b"\r\n").or_else(|| (!line.ends_with(b"\n")).then_some(line)) else {
                return Shape::IllFormed;
            };
            if text.len() > MAX_LINE || text.iter().any(|b| matches!(b, 0 | b'\r')) {
                return Shape::IllFormed;
            }
            eight |= !text.is_ascii();
        }
        if eight { Shape::EightBit } else { Shape::SevenBit }
    }
}

/// Writes it all; whether it holds octets above 127.
fn write(
    head: &Head<'_>,
    body: &Body,
    shape: Shape,
    whole: bool,
    attach: bool,
    out: &mut SpoolWriter,
) -> Result<bool, ReceiptError> {
    // The right side of a Message-ID is a domain, its left side 32 hexadecimal digits of ours.
    let token: String =
        head.stamp.id.inner().chars().take_while(|c| *c != '@').filter(char::is_ascii_alphanumeric).take(40).collect();
    let boundary = format!("=_recu_{token}");
    let (kind, human) = match body {
        Body::Mdn { human, .. } => ("multipart/report; report-type=disposition-notification", human),
        Body::Mail { human } => ("multipart/mixed", human),
    };
    out.write_all(&header(head, kind, &boundary, attach)?)?;
    part(out, &boundary, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n")?;
    base64(out, human.as_bytes())?;
    if let Body::Mdn { fields, .. } = body {
        part(out, &boundary, "Content-Type: message/disposition-notification\r\n")?;
        out.write_all(fields)?;
    }
    let octets = head.about.octets();
    let mut eight_bit = false;
    match (whole, shape) {
        (true, Shape::SevenBit | Shape::EightBit) => {
            eight_bit = shape == Shape::EightBit;
            let encoding = if eight_bit { "8bit" } else { "7bit" };
            let name = match body {
                Body::Mdn { .. } => "",
                Body::Mail { .. } => "Content-Disposition: attachment; filename=\"message_original.eml\"\r\n",
            };
            part(
                out,
                &boundary,
                &format!("Content-Type: message/rfc822\r\n{name}Content-Transfer-Encoding: {encoding}\r\n"),
            )?;
            out.write_all(octets)?;
        }
        (true, Shape::IllFormed) => {
            // It cannot stand as a message; as a file it is whole.
            part(
                out,
                &boundary,
                "Content-Type: application/octet-stream; name=\"message_original.eml\"\r\nContent-Disposition: attachment; filename=\"message_original.eml\"\r\nContent-Transfer-Encoding: base64\r\n",
            )?;
            base64(out, octets)?;
        }
        (false, _) => {
            let block = header_of(octets);
            match Shape::of(block) {
                Shape::IllFormed => {
                    part(out, &boundary, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: base64\r\n")?;
                    base64(out, block)?;
                }
                shape => {
                    eight_bit = shape == Shape::EightBit;
                    let encoding = if eight_bit { "8bit" } else { "7bit" };
                    part(
                        out,
                        &boundary,
                        &format!("Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: {encoding}\r\n"),
                    )?;
                    out.write_all(block)?;
                }
            }
        }
    }
    if attach {
        again(out, &boundary, head.about)?;
    }
    out.write_all(format!("\r\n--{boundary}--\r\n").as_bytes())?;
    Ok(eight_bit)
}

/// The archives and the PDF copies of the documents, attached again as the volet wants.
fn again(out: &mut SpoolWriter, boundary: &str, message: &Message) -> Result<(), ReceiptError> {
    let copies = message.documents().filter_map(|document| message.attachments.get(document.copy?));
    let archives = message.archives.iter().map(|archive| &archive.attachment);
    let pieces: Vec<&Attachment> = archives.chain(copies).collect();
    for piece in pieces {
        let kind = if piece.is_pdf() { "application/pdf" } else { "application/zip" };
        // RFC 2231 for the name; nothing in it can end the field: every octet that is no letter or digit is written as %XX.
        let name: String = piece
            .name
            .bytes()
            .map(|b| {
                if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect();
        part(
            out,
            boundary,
            &format!(
                "Content-Type: {kind}\r\nContent-Disposition: attachment;\r\n filename*=UTF-8''{name}\r\nContent-Transfer-Encoding: base64\r\n"
            ),
        )?;
        base64(out, &message.content(piece))?;
    }
    Ok(())
}

fn header(head: &Head<'_>, kind: &str, boundary: &str, attach: bool) -> Result<Vec<u8>, ReceiptError> {
    let mut w = Writer::new();
    let sender = &head.respondent.sender;
    w.raw("Date", &format_rfc5322(moment(head.stamp.date)))?;
    // Folding is the writer's.
    w.raw("From", &sender.label.to_from_field(&sender.address).replace("\r\n ", " "))?;
    let to: Vec<String> = head.to.iter().map(ToString::to_string).collect();
    w.raw("To", &to.join(", "))?;
    let subject: String = mssante::text::one_line(&head.subject).chars().take(MAX_SUBJECT).collect();
    w.text("Subject", &subject)?;
    w.raw("Message-ID", head.stamp.id.as_str())?;
    // Only what looks like an identifier is quoted.
    let about = head.about.message_id.as_deref().and_then(|id| id.parse::<crate::compose::MessageId>().ok());
    if let Some(id) = about {
        w.raw("In-Reply-To", id.as_str())?;
        w.raw("References", id.as_str())?;
    }
    w.raw("Auto-Submitted", "auto-replied")?;
    let facts = head.facts.clone().filter(|_| attach);
    for (name, value) in (OutgoingHeaders { nil: head.respondent.nil.clone(), documents: facts, mes: None }).fields() {
        w.raw(name, &value)?;
    }
    w.raw("MIME-Version", "1.0")?;
    w.raw("Content-Type", &format!("{kind}; boundary=\"{boundary}\""))?;
    Ok(w.finish())
}

fn moment(date: OffsetDateTime) -> Moment {
    Moment { unix: date.unix_timestamp(), offset_minutes: date.offset().whole_minutes() }
}

fn part(out: &mut SpoolWriter, boundary: &str, fields: &str) -> Result<(), ReceiptError> {
    Ok(out.write_all(format!("\r\n--{boundary}\r\n{fields}\r\n").as_bytes())?)
}

fn base64(out: &mut SpoolWriter, octets: &[u8]) -> Result<(), ReceiptError> {
    for line in octets.chunks(BASE64_LINE) {
        out.write_all(openssl::base64::encode_block(line).as_bytes())?;
        out.write_all(b"\r\n")?;
    }
    Ok(())
}
