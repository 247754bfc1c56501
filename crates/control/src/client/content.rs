//! A message that the software sent, looked at: header fields, documents, envelope. What is told of it holds no subject, no name, no text:
//! field names, X-MSS values, media types.

use mail::header::{Fields, Transfer, TransferDecoder, parse_addresses};
use mail::mime::{Content, Part, Structure};
use mssante::headers::{Defect, DocumentFacts, Field, ReceivedHeaders};
use mssante::xdm;
use serde::Serialize;

use super::seen::Mail;

/// Addresses of one field looked at.
const MAX_ADDRESSES: usize = 200;
/// Largest archive looked at, octets.
const MAX_ARCHIVE: usize = 30_000_000;

/// What a message is.
#[derive(Debug, Serialize)]
pub struct Facts {
    /// Names of its fields, in order.
    pub champs: Vec<String>,
    /// X-MSS fields as they are.
    pub x_mss: Vec<(String, String)>,
    /// Media types of its leaves.
    pub parties: Vec<String>,
    /// Whether the subject begins as it must with documents.
    pub sujet_xdm: bool,
    /// What was found wrong, by what it is about.
    #[serde(skip)]
    pub faults: Vec<(About, String)>,
    /// Codes of the CDA documents of its archive.
    pub codes: Vec<String>,
    /// How many archives.
    pub archives: usize,
}

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// X-MSS-NIL.
    Nil,
    /// RFC 5322 and MIME.
    Header,
    /// The envelope.
    Envelope,
    /// Documents and what tells of them.
    Documents,
    /// What tells of documents where there are none.
    NoDocument,
}

/// Looks at one.
#[must_use]
pub fn look(mail: &Mail, address: &str, nil: Option<&str>) -> Facts {
    let octets = mail.octets.as_slice();
    let structure = Structure::of(octets);
    let block = octets.get(range(&structure.header_range())).unwrap_or_default();
    let fields: Vec<(String, String)> =
        Fields::new(block).map(|field| (field.name.to_owned(), field.value())).collect();
    let of = |name: &str| {
        fields
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
    };
    let mut parts = Vec::new();
    leaves(&structure.root, &mut parts);
    let subject = of("Subject").first().map(|value| mail::header::decode_words(value)).unwrap_or_default();
    let mut facts = Facts {
        champs: fields.iter().map(|(name, _)| crate::tls::starttls::shown(name)).take(100).collect(),
        x_mss: Vec::new(),
        parties: parts.iter().map(|part| format!("{}/{}", part.media_type, part.subtype)).take(50).collect(),
        sujet_xdm: mssante::subject::is_marked(&subject),
        faults: Vec::new(),
        codes: Vec::new(),
        archives: 0,
    };
    for (name, value) in fields
        .iter()
        .filter(|(name, _)| name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("X-MSS-")))
        .take(20)
    {
        facts.x_mss.push((crate::tls::starttls::shown(name), crate::tls::starttls::shown(value)));
    }
    let received = ReceivedHeaders::read(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut fault = |about: About, what: String| facts.faults.push((about, what));

    for defect in &received.defects {
        match defect {
            Defect::NoNil => fault(About::Nil, "pas de X-MSS-NIL".to_owned()),
            Defect::IllFormed(Field::Nil) => fault(About::Nil, "X-MSS-NIL mal formé".to_owned()),
            Defect::Repeated(Field::Nil) => fault(About::Nil, "X-MSS-NIL plusieurs fois".to_owned()),
            Defect::IllFormed(field) => fault(About::Documents, format!("{} mal formé", field.name())),
            Defect::Repeated(field) => fault(About::Documents, format!("{} plusieurs fois", field.name())),
            Defect::Unpaired => fault(About::Documents, "X-MSS-CODECDA et X-MSS-INS vont ensemble".to_owned()),
        }
    }
    if let (Some(expected), Some(seen)) = (nil, &received.nil)
        && expected != seen.as_str()
    {
        fault(About::Nil, "X-MSS-NIL n'est pas la référence déclarée dans le job".to_owned());
    }

    match of("Message-ID").as_slice() {
        [id] if is_message_id(id) => {}
        [_] => fault(About::Header, "Message-ID mal formé".to_owned()),
        [] => fault(About::Header, "pas de Message-ID".to_owned()),
        _ => fault(About::Header, "plusieurs Message-ID".to_owned()),
    }
    match of("Date").as_slice() {
        [date] if mail::date::parse_rfc5322(date).is_some() => {}
        [] => fault(About::Header, "pas de Date".to_owned()),
        _ => fault(About::Header, "Date illisible ou répétée".to_owned()),
    }
    let addresses = |name: &str| -> Vec<String> {
        let lists = of(name).into_iter().flat_map(|value| parse_addresses(value, MAX_ADDRESSES).addresses);
        lists.filter_map(|one| one.address()).collect()
    };
    let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if !matches!(addresses("From").as_slice(), [from] if is(from, address)) {
        fault(About::Header, "From n'est pas la BAL seule".to_owned());
    }
    if of("MIME-Version").first().is_none_or(|version| !version.starts_with("1.0")) {
        fault(About::Header, "pas de MIME-Version: 1.0".to_owned());
    }
    for part in
        parts.iter().filter(|part| part.is_text() && part.disposition.as_ref().is_none_or(|d| d.kind != "attachment"))
    {
        let charset = part.param("charset").unwrap_or_else(|| "us-ascii".to_owned());
        if !is(&charset, "utf-8") && !is(&charset, "us-ascii") {
            fault(About::Header, format!("texte en {}", crate::tls::starttls::shown(&charset)));
        }
    }

    if !is(&mail.de, address) {
        fault(About::Envelope, "MAIL FROM n'est pas la BAL".to_owned());
    }
    if !of("Bcc").is_empty() {
        fault(About::Envelope, "un champ Bcc est resté".to_owned());
    }
    let shown = addresses("To").into_iter().chain(addresses("Cc")).collect::<Vec<_>>();
    if shown.iter().any(|to| !mail.a.iter().any(|rcpt| is(rcpt, to))) {
        fault(About::Envelope, "un destinataire de l'en-tête n'est pas dans l'enveloppe".to_owned());
    }

    let archives: Vec<&&Part> =
        parts.iter().filter(|part| part.filename().is_some_and(|name| xdm::is_archive_name(&name))).collect();
    facts.archives = archives.len();
    if archives.is_empty() && received.codes.is_some() {
        facts.faults.push((About::NoDocument, "X-MSS-CODECDA sans IHE_XDM.zip".to_owned()));
    }
    if archives.is_empty() && received.ins.is_some() {
        facts.faults.push((About::NoDocument, "X-MSS-INS sans IHE_XDM.zip".to_owned()));
    }
    if let [archive] = archives.as_slice() {
        documents(&decoded(archive, octets), &received, &mut facts);
    } else {
        facts.faults.push((About::Documents, format!("{} IHE_XDM.zip au lieu d'un", archives.len())));
    }
    facts
}

fn documents(archive: &[u8], received: &ReceivedHeaders, facts: &mut Facts) {
    let mut fault = |what: String| facts.faults.push((About::Documents, what));
    let headers = match xdm::open(archive) {
        Ok(opened) => match opened.cda_headers() {
            Ok(headers) => headers,
            Err(_) => return fault("un CDA de l'archive est illisible".to_owned()),
        },
        Err(error) => return fault(format!("IHE_XDM.zip illisible : {error}")),
    };
    match mssante::subject::for_documents(&headers) {
        Err(mssante::subject::SubjectError::SeveralPatients) => fault("documents de plusieurs patients".to_owned()),
        Err(mssante::subject::SubjectError::NoDocument) => fault("aucun CDA dans l'archive".to_owned()),
        _ => {}
    }
    if let Ok(Some(expected)) = DocumentFacts::of(&headers) {
        facts.codes = expected.codes.iter().map(str::to_owned).collect();
        let mut fault = |what: &str| facts.faults.push((About::Documents, what.to_owned()));
        match &received.codes {
            None => fault("pas de X-MSS-CODECDA"),
            Some(codes) => {
                let sorted = |codes: &mssante::headers::DocumentCodes| {
                    let mut codes: Vec<String> = codes.iter().map(str::to_owned).collect();
                    codes.sort_unstable();
                    codes
                };
                if sorted(codes) != sorted(&expected.codes) {
                    fault("X-MSS-CODECDA n'est pas le code de chaque CDA de l'archive");
                }
            }
        }
        match received.ins {
            None => fault("pas de X-MSS-INS"),
            Some(ins) if ins != expected.ins => fault("X-MSS-INS ne dit pas ce que disent les documents"),
            Some(_) => {}
        }
    }
    if !facts.sujet_xdm {
        facts.faults.push((About::Documents, "le sujet ne commence pas par XDM/1.0/DDM+".to_owned()));
    }
}

fn leaves<'p>(part: &'p Part, into: &mut Vec<&'p Part>) {
    match &part.content {
        Content::Multipart(children) => children.iter().for_each(|child| leaves(child, into)),
        Content::Leaf | Content::Message(_) => into.push(part),
    }
}

fn range(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
    at(range.start)..at(range.end)
}

fn decoded(part: &Part, octets: &[u8]) -> Vec<u8> {
    let raw = octets.get(range(&part.body)).unwrap_or_default();
    let Some(transfer) = Transfer::from_name(&part.encoding) else { return raw.to_vec() };
    let mut decoder = TransferDecoder::new(transfer);
    let mut out = Vec::new();
    decoder.push(&raw[..raw.len().min(MAX_ARCHIVE)], &mut out);
    decoder.finish(&mut out);
    out
}

/// `<left@right>` of printable letters.
fn is_message_id(id: &str) -> bool {
    let inner = id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.is_some_and(|inner| {
        inner.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
            && inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn mail(text: &str) -> Mail {
        Mail {
            de: "nominal@c.fr".into(),
            a: vec!["b@c.fr".into()],
            annonce: None,
            taille: text.len() as u64,
            sha256: String::new(),
            message_id: None,
            entier: true,
            accepte: true,
            octets: Arc::new(text.replace('\n', "\r\n").into_bytes()),
        }
    }

    const GOOD: &str = "Date: Mon, 2 Nov 2026 09:00:00 +0100\nFrom: A <nominal@c.fr>\nTo: b@c.fr\nMessage-ID: <1@c.fr>\nMIME-Version: 1.0\n\
        X-MSS-NIL: 3734\nSubject: x\nContent-Type: text/plain; charset=utf-8\n\nmot\n";

    fn wrong(text: &str) -> Vec<About> {
        let facts = look(&mail(text), "nominal@c.fr", Some("3734"));
        facts.faults.into_iter().map(|(about, _)| about).filter(|about| *about != About::Documents).collect()
    }

    #[test]
    fn each_fault_is_seen() {
        assert!(wrong(GOOD).is_empty());
        for (old, new, about) in [
            ("X-MSS-NIL: 3734\n", "", About::Nil),
            ("3734", "999", About::Nil),
            ("Message-ID: <1@c.fr>\n", "", About::Header),
            ("<1@c.fr>", "1", About::Header),
            ("Mon, 2 Nov 2026 09:00:00 +0100", "hier", About::Header),
            ("From: A <nominal@c.fr>", "From: autre@c.fr", About::Header),
            ("utf-8", "iso-8859-1", About::Header),
            ("To: b@c.fr", "To: b@c.fr, d@c.fr", About::Envelope),
            ("Subject: x", "Bcc: z@c.fr\nSubject: x", About::Envelope),
            ("Subject: x", "X-MSS-INS: O\nX-MSS-CODECDA: 34112-3\nSubject: x", About::NoDocument),
        ] {
            assert!(wrong(&GOOD.replace(old, new)).contains(&about), "{new}");
        }
        // Without an archive, what documents need is missing; nothing panics on what is no message.
        assert!(look(&mail(GOOD), "nominal@c.fr", None).faults.iter().any(|(about, _)| *about == About::Documents));
        let _ = look(&mail(""), "", None);
        let _ = look(&mail("\u{0}\u{1}:::\n\n\n--x"), "", None);
    }
}
