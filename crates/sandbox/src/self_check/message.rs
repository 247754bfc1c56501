//! The message of the self-check: a real one, with its CDA in an IHE XDM archive (ECO-DOC, ECO-HDR).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::date::{Moment, format_rfc5322};
use mail::header;
use mssante::headers::{DocumentFacts, OutgoingHeaders};
use mssante::xdm::{self, ARCHIVE_NAME, Integrity, Package, Sender, Software};
use mssante::{Address, subject};
use time::OffsetDateTime;

use crate::cast;
use crate::psc::keys::random_word;

/// A fictional report of biology.
const CDA: &str = include_str!("../../../../tests/fixtures/cda-n1-biologie.xml");
/// OID of the sandbox as a source of documents: under 2.25, where anyone may have one.
const SOURCE_ID: &str = "2.25.209182316127309415288123466234577126233";
/// Line length of base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;

/// A message ready to go.
pub(super) struct Mail {
    /// The whole of it.
    pub octets: Vec<u8>,
    /// Its subject, as it stands in the header.
    pub subject: String,
    message_id: String,
    boundary: String,
}

/// What went wrong: told as text, this is a check.
type Problem = String;

fn text<E: std::fmt::Display>(error: E) -> Problem {
    error.to_string()
}

/// Writes the message.
pub(super) fn compose(sender: &str, from: &Address, to: &Address) -> Result<Mail, Problem> {
    let person = cast::person(sender).ok_or("nobody of this identifier")?;
    let now = OffsetDateTime::now_utc();
    let built = xdm::build(&Package {
        documents: &[CDA.as_bytes()],
        sender: Sender { name: person.name(), organization: "HOPITAL ALPHA".into(), postal_address: None, phone: None },
        software: Software {
            name: "Vaguemestre".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            vendor: "Vaguemestre".into(),
        },
        source_id: SOURCE_ID,
        content_type: None,
        created: now,
    })
    .map_err(text)?;
    let subject = subject::for_documents(&built.headers).map_err(text)?;
    let headers = OutgoingHeaders {
        nil: "VAGUEMESTRE".parse().map_err(text)?,
        documents: DocumentFacts::of(&built.headers).map_err(text)?,
        mes: None,
    };
    let boundary = format!("=_{}", random_word(18));
    let message_id = format!("<{}@{}>", random_word(18), from.domain());
    let mut head = header::Writer::new();
    let label = format!("{} <{from}>", person.name());
    head.raw("From", &label).map_err(text)?;
    head.raw("To", &format!("<{to}>")).map_err(text)?;
    head.text("Subject", &subject).map_err(text)?;
    head.raw("Date", &format_rfc5322(Moment::utc(now.unix_timestamp()))).map_err(text)?;
    head.raw("Message-ID", &message_id).map_err(text)?;
    for (name, value) in headers.fields() {
        head.raw(name, &value).map_err(text)?;
    }
    head.raw("MIME-Version", "1.0").map_err(text)?;
    head.raw("Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\"")).map_err(text)?;
    let mut octets = head.finish();
    let zip = STANDARD.encode(&built.archive);
    let lines: Vec<&str> =
        (0..zip.len()).step_by(BASE64_LINE).map(|from| &zip[from..zip.len().min(from + BASE64_LINE)]).collect();
    let body = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Message d'auto-contr\u{f4}le du bac \u{e0} sable. Tout y est fictif.\r\n\
         --{boundary}\r\nContent-Type: application/zip; name=\"{ARCHIVE_NAME}\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{ARCHIVE_NAME}\"\r\n\r\n{}\r\n--{boundary}--\r\n",
        lines.join("\r\n")
    );
    octets.extend_from_slice(body.as_bytes());
    Ok(Mail { octets, subject, message_id, boundary })
}

/// Whether what was read is what was sent, its document to the octet.
pub(super) fn check(read: &[u8], sent: &Mail) -> Result<(), Problem> {
    let found = header::find(read, "Message-ID").unwrap_or_default();
    if found != sent.message_id {
        return Err("another message".into());
    }
    let whole = String::from_utf8_lossy(read);
    let part = whole
        .split(&format!("--{}", sent.boundary))
        .find(|part| part.contains("Content-Transfer-Encoding: base64"))
        .and_then(|part| part.split_once("\r\n\r\n"))
        .ok_or("no attachment")?;
    let zip = STANDARD.decode(part.1.split_ascii_whitespace().collect::<String>()).map_err(text)?;
    let archive = xdm::open(&zip).map_err(text)?;
    match archive.documents.as_slice() {
        [one] if one.bytes == CDA.as_bytes() && one.integrity == Integrity::Verified => Ok(()),
        _ => Err("the document is not the one that was sent".into()),
    }
}

/// What the second operator's Received field says of TLS with the first one.
pub(super) fn relay_tls(read: &[u8]) -> Option<String> {
    let end = header::end(read).unwrap_or(read.len());
    let field = header::Fields::new(&read[..end]).filter(|f| f.is("Received")).map(|f| f.value()).next()?;
    // The suite has brackets of its own: the comment ends where they are all closed.
    let words = field.split_once("(using ")?.1;
    let mut depth = 1;
    let end = words.find(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    Some(words[..end].replace("with cipher ", "").split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_passes_its_own_check_and_another_does_not() {
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let (from, to) = (address("a@alpha.formation.mssante.fr"), address("b@beta.formation.mssante.fr"));
        let mail = compose("899700000017", &from, &to).expect("composes");
        assert!(mail.subject.starts_with("XDM/1.0/DDM+"), "{}", mail.subject);
        assert_eq!(header::find(&mail.octets, "X-MSS-CODECDA").as_deref(), Some("11502-2"));
        assert_eq!(header::find(&mail.octets, "X-MSS-INS").as_deref(), Some("O"));
        let trace = b"Received: from mx.a ([127.0.0.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (0x1302))\r\n\tby mx.b\r\n";
        let mut read = trace.to_vec();
        read.extend_from_slice(&mail.octets);
        check(&read, &mail).expect("the same");
        assert_eq!(relay_tls(&read).as_deref(), Some("TLSv1.3 TLS_AES_256_GCM_SHA384 (0x1302)"));
        let other = compose("899700000017", &from, &to).expect("composes");
        assert!(check(&other.octets, &mail).is_err());
        let at = mail.octets.windows(7).position(|w| w == b"UEsDBBQ").expect("the zip");
        let mut spoilt = mail.octets.clone();
        spoilt[at + 200] = if spoilt[at + 200] == b'A' { b'B' } else { b'A' };
        assert!(check(&spoilt, &mail).is_err());
    }
}
