//! From a draft to octets: checks first, then the header, then the parts, written once and in order.

use std::io::{self, Write};

use mail::date::{Moment, format_rfc5322};
use mail::header::{HeaderError, Writer};
use mssante::Address;
use mssante::headers::{MesCommand, OutgoingHeaders};
use mssante::xdm::ARCHIVE_NAME;
use time::OffsetDateTime;

use super::attachment::{copy_message, examine_message, writing};
use super::body::Encoding;
use super::draft::{Carried, Draft, MAX_MESSAGE, MAX_RECIPIENTS};
use super::id::random_text;
use super::{Attachment, ComposeError, MessageId, Outgoing, Recipient, SpoolWriter};

/// Longest subject, in characters: two lines of a screen.
const MAX_SUBJECT: usize = 300;

pub(super) fn assemble(draft: Draft) -> Result<Outgoing, ComposeError> {
    let envelope = Envelope::of(&draft)?;
    let subject = subject(&draft)?;
    check_text(&draft)?;
    for (rank, attachment) in (1..).zip(&draft.attachments) {
        attachment.check(rank)?;
    }
    let eight_bit = draft.forwarded.as_ref().map(examine_message).transpose()?.unwrap_or_default();

    let message_id = match &draft.message_id {
        Some(id) => id.clone(),
        None => MessageId::generate(draft.sender.address.domain())?,
    };
    let date = draft.date.unwrap_or_else(OffsetDateTime::now_utc);
    let header = header(&draft, &envelope, &subject, &message_id, date)?;

    let message = draft.limits.message.min(MAX_MESSAGE);
    let for_patient = envelope.to_patient && draft.limits.patient < message;
    let limit = if for_patient { draft.limits.patient } else { message };
    let mut out = SpoolWriter::new(draft.folder.clone(), limit);
    let written = out.write_all(&header).map_err(writing).and_then(|()| parts(&draft, eight_bit, &mut out));
    let all = envelope.all;
    let spool = written.and_then(|()| out.finish().map_err(writing)).map_err(|error| match error {
        ComposeError::Io { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => match for_patient {
            true => ComposeError::TooLargeForPatient { limit },
            false => ComposeError::TooLarge { limit },
        },
        other => other,
    })?;
    Ok(Outgoing {
        return_path: Some(draft.sender.address.clone()),
        sender: draft.sender.address,
        recipients: all,
        message_id,
        subject,
        date,
        documents: draft.documents.map(|carried| carried.facts),
        eight_bit,
        spool,
    })
}

/// To whom, each once.
struct Envelope<'d> {
    to: Vec<&'d Recipient>,
    cc: Vec<&'d Recipient>,
    all: Vec<Address>,
    to_patient: bool,
}

impl<'d> Envelope<'d> {
    fn of(draft: &'d Draft) -> Result<Self, ComposeError> {
        let mut all: Vec<Address> = Vec::new();
        let mut new = |list: &'d [Recipient]| {
            let mut kept = Vec::new();
            for recipient in list {
                if !all.contains(recipient.address()) {
                    all.push(recipient.address().clone());
                    kept.push(recipient);
                }
            }
            kept
        };
        let (to, cc) = (new(&draft.to), new(&draft.cc));
        new(&draft.bcc);
        if all.is_empty() {
            return Err(ComposeError::NoRecipient);
        }
        if all.len() > MAX_RECIPIENTS {
            return Err(ComposeError::TooManyRecipients);
        }
        let mut patients = all.iter().filter(|address| address.is_patient());
        let patient = patients.next();
        if patients.next().is_some() {
            return Err(ComposeError::SeveralPatients);
        }
        if draft.end_of_exchange && patient.is_none() {
            return Err(ComposeError::EndWithoutPatient);
        }
        let documents_of = draft.documents.as_ref().and_then(|carried| carried.ins.as_ref());
        if let (Some(ins), Some(patient)) = (documents_of, patient)
            && *patient != ins.address()
        {
            return Err(ComposeError::OtherPatient);
        }
        let to_patient = patient.is_some();
        Ok(Self { to, cc, all, to_patient })
    }
}

fn subject(draft: &Draft) -> Result<String, ComposeError> {
    let subject = match (&draft.documents, &draft.subject, &draft.thread) {
        (Some(_), Some(_), _) => return Err(ComposeError::SubjectIsComposed),
        (Some(carried), None, _) => carried.subject.clone(),
        (None, Some(given), _) => given.trim().to_owned(),
        (None, None, Some(thread)) => thread.origin.prefixed(thread.prefix),
        (None, None, None) => return Err(ComposeError::NoSubject),
    };
    match subject.chars().count() {
        0 => Err(ComposeError::NoSubject),
        1..=MAX_SUBJECT => Ok(subject),
        _ => Err(ComposeError::Field("subject")),
    }
}

fn check_text(draft: &Draft) -> Result<(), ComposeError> {
    if draft.html.is_some() && draft.text.is_none() {
        return Err(ComposeError::HtmlAlone);
    }
    let nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
    if nul(&draft.text) || nul(&draft.html) { Err(ComposeError::Text) } else { Ok(()) }
}

/// The header but its MIME fields, which come with the first part.
fn header(
    draft: &Draft,
    envelope: &Envelope<'_>,
    subject: &str,
    message_id: &MessageId,
    date: OffsetDateTime,
) -> Result<Vec<u8>, ComposeError> {
    let field = |what| move |_: HeaderError| ComposeError::Field(what);
    let list = |recipients: &[&Recipient]| recipients.iter().map(|r| r.field()).collect::<Vec<_>>().join(", ");
    let mut out = Writer::new();
    let moment = Moment { unix: date.unix_timestamp(), offset_minutes: date.offset().whole_minutes() };
    out.raw("Date", &format_rfc5322(moment)).map_err(field("date"))?;
    let from = draft.sender.label.to_from_field(&draft.sender.address).replace("\r\n ", " ");
    out.raw("From", &from).map_err(field("sender"))?;
    // RFC 5322 asks for no To, some servers do.
    let to = if envelope.to.is_empty() { "undisclosed-recipients:;".into() } else { list(&envelope.to) };
    out.raw("To", &to).map_err(field("recipients"))?;
    if !envelope.cc.is_empty() {
        out.raw("Cc", &list(&envelope.cc)).map_err(field("recipients"))?;
    }
    if let Some(address) = &draft.reply_to {
        out.raw("Reply-To", &address.to_string()).map_err(field("reply address"))?;
    }
    out.text("Subject", subject).map_err(field("subject"))?;
    out.raw("Message-ID", message_id.as_str()).map_err(field("message identifier"))?;
    if let Some(thread) = &draft.thread {
        if let Some(id) = thread.origin.message_id() {
            out.raw("In-Reply-To", id.as_str()).map_err(field("message identifier"))?;
        }
        let chain = thread.origin.chain();
        if !chain.is_empty() {
            let ids = chain.iter().map(MessageId::as_str).collect::<Vec<_>>().join(" ");
            out.raw("References", &ids).map_err(field("message identifier"))?;
        }
    }
    let about = OutgoingHeaders {
        nil: draft.nil.clone(),
        documents: draft.documents.as_ref().map(|carried| carried.facts.clone()),
        mes: draft.end_of_exchange.then_some(MesCommand::Fin),
    };
    for (name, value) in about.fields() {
        // Unfolded, as programs that count them read them: at most 998 octets by construction.
        out.raw(name, &value).map_err(field("X-MSS header"))?;
    }
    if draft.read_receipt {
        let to = format!("<{}>", draft.sender.address);
        out.raw("Disposition-Notification-To", &to).map_err(field("receipt address"))?;
    }
    out.raw("MIME-Version", "1.0").map_err(field("version"))?;
    Ok(out.finish())
}

/// The MIME fields and all parts.
fn parts(draft: &Draft, eight_bit: bool, out: &mut SpoolWriter) -> Result<(), ComposeError> {
    let several = draft.documents.is_some() || draft.forwarded.is_some() || !draft.attachments.is_empty();
    if !several {
        return text(draft, out);
    }
    // In neither base64 nor quoted-printable can `=_` be; in a text, 128 random bits are not guessed.
    let boundary = format!("=_{}", random_text()?);
    let encoding = if eight_bit { "8bit" } else { "7bit" };
    let open = format!("\r\n--{boundary}\r\n");
    write!(
        out,
        "Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\nContent-Transfer-Encoding: {encoding}\r\n{open}"
    )
    .map_err(writing)?;
    text(draft, out)?;
    if let Some(carried) = &draft.documents {
        documents(carried, &open, out)?;
    }
    for attachment in &draft.attachments {
        write!(out, "{open}{}", attachment.fields()).map_err(writing)?;
        attachment.write(out)?;
    }
    if let Some(message) = &draft.forwarded {
        write!(
            out,
            "{open}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}\r\n\
             Content-Disposition: attachment;\r\n filename=\"message.eml\"\r\n\r\n"
        )
        .map_err(writing)?;
        copy_message(message, out)?;
    }
    write!(out, "\r\n--{boundary}--\r\n").map_err(writing)
}

/// The archive, then the PDF copies beside it, so that a webmail's user can read them (client.md §2.4, §2.5).
fn documents(carried: &Carried, open: &str, out: &mut SpoolWriter) -> Result<(), ComposeError> {
    let archive = Attachment::new(ARCHIVE_NAME, "application/zip", carried.archive.clone());
    write!(out, "{open}{}", archive.fields()).map_err(writing)?;
    archive.write(out)?;
    for (rank, (name, source)) in (1..).zip(&carried.pdfs) {
        let pdf = Attachment::new(name, "application/pdf", source.clone());
        pdf.check_form(rank)?;
        write!(out, "{open}{}", pdf.fields()).map_err(writing)?;
        pdf.write(out)?;
    }
    Ok(())
}

/// The text: plain, or with its alternative in HTML (ECO.2.2.4).
fn text(draft: &Draft, out: &mut SpoolWriter) -> Result<(), ComposeError> {
    let plain = draft.text.as_deref().unwrap_or_default();
    let Some(html) = &draft.html else {
        return leaf("plain", plain, out).map_err(writing);
    };
    let boundary = format!("=_{}", random_text()?);
    let mut alternative = || {
        write!(
            out,
            "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\nContent-Transfer-Encoding: 7bit\r\n"
        )?;
        for (kind, text) in [("plain", plain), ("html", html)] {
            write!(out, "\r\n--{boundary}\r\n")?;
            leaf(kind, text, out)?;
        }
        write!(out, "\r\n--{boundary}--\r\n")
    };
    alternative().map_err(writing)
}

fn leaf(kind: &str, text: &str, out: &mut SpoolWriter) -> io::Result<()> {
    let encoding = Encoding::of(text);
    write!(out, "Content-Type: text/{kind}; charset=UTF-8\r\nContent-Transfer-Encoding: {}\r\n\r\n", encoding.name())?;
    encoding.write(text, out)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
