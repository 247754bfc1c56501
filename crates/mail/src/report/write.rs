//! Writing a report.

use super::{Recipient, Report, ReportError, Returned, text, xtext};
use crate::date::{Moment, format_rfc5322};
use crate::header::{self, HeaderError, Writer, parse_addresses};

/// Octets kept of what a remote server said: an SMTP reply line has 512 at most (RFC 5321 §4.5.3.1.5).
const MAX_REMOTE: usize = 600;
/// Longest line of quoted-printable (RFC 2045 §6.7).
const QUOTED_LINE: usize = 76;

impl Report {
    /// The report as a message: header, empty line, body, lines ended by CRLF. Its envelope sender must be empty.
    ///
    /// # Errors
    /// When there is no recipient, an address is not one, or a value that is ours cannot stand in a header.
    pub fn write(&self) -> Result<Vec<u8>, ReportError> {
        if self.recipients.is_empty() {
            return Err(ReportError::NoRecipient);
        }
        let (status, returned) = (self.status()?, self.returned());
        let human = quoted_printable(&text::body(self));
        let boundary = boundary(&self.message_id, &[human.as_bytes(), &status, &returned.body]);
        let mut out = self.header(&boundary)?;
        out.extend_from_slice(b"\r\n");
        part(&mut out, &boundary, "text/plain; charset=utf-8", "quoted-printable", human.as_bytes());
        part(&mut out, &boundary, "message/delivery-status", "7bit", &status);
        if let Some(kind) = returned.kind {
            let encoding = if returned.body.is_ascii() { "7bit" } else { "8bit" };
            part(&mut out, &boundary, kind, encoding, &returned.body);
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Ok(out)
    }

    fn header(&self, boundary: &str) -> Result<Vec<u8>, ReportError> {
        let mut w = Writer::new();
        w.raw("Date", &format_rfc5322(self.date))?;
        w.raw("From", &format!("Service de messagerie <{}>", one_address(&self.from)?))?;
        w.raw("To", &one_address(&self.to)?)?;
        w.text("Subject", text::subject(text::main_action(self)))?;
        w.raw("Message-ID", &self.message_id)?;
        if let Some(id) = self.original_id() {
            w.raw("In-Reply-To", &id)?;
            w.raw("References", &id)?;
        }
        w.raw("Auto-Submitted", "auto-replied")?;
        w.raw("MIME-Version", "1.0")?;
        let kind = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        w.raw("Content-Type", &kind)?;
        Ok(w.finish())
    }

    /// The Message-ID of the message reported on, when it looks like one.
    fn original_id(&self) -> Option<String> {
        let (Returned::Header(raw) | Returned::Message(raw)) = &self.returned else { return None };
        let id = header::find(raw, "Message-ID")?;
        let plain =
            id.len() <= 250 && id.starts_with('<') && id.ends_with('>') && id.bytes().all(|b| b.is_ascii_graphic());
        plain.then_some(id)
    }

    fn status(&self) -> Result<Vec<u8>, HeaderError> {
        let mut w = Writer::new();
        if let Some(id) = &self.envelope_id {
            w.raw("Original-Envelope-Id", &ascii(id))?;
        }
        w.raw("Reporting-MTA", &format!("dns; {}", ascii(&self.reporting_mta)))?;
        date(&mut w, "Arrival-Date", self.arrival)?;
        let mut out = w.finish();
        for recipient in &self.recipients {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&recipient.status()?);
        }
        Ok(out)
    }

    fn returned(&self) -> ReturnedPart {
        let (raw, whole) = match &self.returned {
            Returned::Nothing => return ReturnedPart { kind: None, body: Vec::new() },
            Returned::Header(raw) => (raw, false),
            Returned::Message(raw) => (raw, raw.len() <= Returned::MAX),
        };
        if whole {
            return ReturnedPart { kind: Some("message/rfc822"), body: raw.clone() };
        }
        let end = header::end(raw).unwrap_or(raw.len());
        // A header beyond the limit is cut at a line end.
        let end = match raw[..end.min(Returned::MAX)].iter().rposition(|b| *b == b'\n') {
            Some(last) if end > Returned::MAX => last + 1,
            _ => end.min(Returned::MAX),
        };
        ReturnedPart { kind: Some("text/rfc822-headers"), body: raw[..end].to_vec() }
    }
}

struct ReturnedPart {
    kind: Option<&'static str>,
    body: Vec<u8>,
}

impl Recipient {
    fn status(&self) -> Result<Vec<u8>, HeaderError> {
        let mut w = Writer::new();
        if let Some(original) = &self.original {
            let kind: String = original.kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            w.raw("Original-Recipient", &typed(&kind, &original.address))?;
        }
        w.raw("Final-Recipient", &typed("rfc822", &self.address))?;
        w.raw("Action", self.action.name())?;
        w.raw("Status", &self.status.to_string())?;
        if let Some(mta) = &self.remote_mta {
            w.raw("Remote-MTA", &format!("dns; {}", ascii(mta)))?;
        }
        if let Some(diagnostic) = &self.diagnostic {
            w.raw("Diagnostic-Code", &format!("smtp; {}", ascii(diagnostic)))?;
        }
        date(&mut w, "Last-Attempt-Date", self.last_attempt)?;
        date(&mut w, "Will-Retry-Until", self.will_retry_until)?;
        Ok(w.finish())
    }
}

fn date(w: &mut Writer, name: &str, moment: Option<Moment>) -> Result<(), HeaderError> {
    if let Some(moment) = moment {
        w.raw(name, &format_rfc5322(moment))?;
    }
    Ok(())
}

/// `rfc822; a@b`, or `utf-8; \x{E9}@b` for an address that is not ASCII.
fn typed(kind: &str, address: &str) -> String {
    let address = safe(address);
    if address.is_ascii() && !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind}; {address}");
    }
    format!("utf-8; {}", xtext::encode_unicode(&address))
}

/// The address, when it is one and nothing more.
fn one_address(text: &str) -> Result<String, ReportError> {
    let list = parse_addresses(text, 2);
    match &*list.addresses {
        [address] if list.clean => address.address().filter(|a| a == text).ok_or(ReportError::Address),
        _ => Err(ReportError::Address),
    }
}

/// A foreign text on one line, without control characters, of bounded length.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_REMOTE));
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()) {
        let room = MAX_REMOTE.saturating_sub(out.len() + 1);
        if !out.is_empty() {
            out.push(' ');
        }
        if word.len() > room {
            out.extend(word.char_indices().take_while(|(i, c)| i + c.len_utf8() <= room).map(|(_, c)| c));
            return out.trim_end().to_owned();
        }
        out.push_str(word);
    }
    out
}

/// The same in ASCII.
fn ascii(text: &str) -> String {
    safe(text).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// A boundary that none of the bodies holds. It bears the report's own Message-ID, which whoever wrote the message given back
/// could not know: with numbers alone, a message that holds them all would cost one search of it for each.
fn boundary(message_id: &str, bodies: &[&[u8]]) -> String {
    let id: String = message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let mut number = 0u32;
    loop {
        let boundary = format!("=_avis_{id}_{number}_");
        let needle = boundary.as_bytes();
        if !bodies.iter().any(|b| b.windows(needle.len()).any(|w| w == needle)) {
            return boundary;
        }
        number += 1;
    }
}

fn part(out: &mut Vec<u8>, boundary: &str, kind: &str, encoding: &str, body: &[u8]) {
    let head = format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Quoted-printable of text with CRLF lines.
fn quoted_printable(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for (i, line) in text.split("\r\n").enumerate() {
        if i > 0 {
            out.push_str("\r\n");
        }
        let mut column = 0;
        let bytes = line.as_bytes();
        for (at, b) in bytes.iter().enumerate() {
            let last = at + 1 == bytes.len();
            let plain = (b.is_ascii_graphic() && *b != b'=') || (matches!(b, b' ' | b'\t') && !last);
            let width = if plain { 1 } else { 3 };
            if column + width >= QUOTED_LINE {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain {
                out.push(char::from(*b));
            } else {
                out.push('=');
                out.push(char::from(HEX[usize::from(b >> 4)]));
                out.push(char::from(HEX[usize::from(b & 15)]));
            }
            column += width;
        }
    }
    out
}
