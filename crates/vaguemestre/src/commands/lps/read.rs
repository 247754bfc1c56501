//! `vaguemestre lps read`: one message, its text, what it is, its documents (ECO.3.1.x, ECO.2.1.2).

use std::path::PathBuf;
use std::sync::Arc;

use lps::explain::Language;
use lps::read::{Bounce, Correspondent, Kind, Limits, Message, Outcome, ReceivedDocument};
use lps::read::{Integration, MAX_MESSAGE};
use lps::session::{Listing, Session, SessionError};
use mail::disposition::Fate;
use mssante::xdm::{Asked, Integrity};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::common::{Counted, Frame};
use super::error::{CommandError, Stop};
use super::out::{Cell, Style};
use super::{document, local, rows};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Documents are numbered from 1. What does not fit together (a document that is not what METADATA.XML announces, two patients, a \
    subject about somebody else) is told as a warning.\n\nExamples:\n  vaguemestre lps read 12\n  vaguemestre lps read 12 --document 1\n  \
    vaguemestre lps read 12 --document 1 --html lettre.html\n  vaguemestre lps read 12 --source > message.eml"
)]
pub struct Args {
    /// Its number, of `vaguemestre lps list`.
    uid: u32,
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// Leave it unread.
    #[arg(long)]
    keep_unseen: bool,
    /// Shows that document, as text.
    #[arg(long, value_name = "N")]
    document: Option<usize>,
    /// Writes the document (the first, or --document) to this file as HTML, for a browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints the message as it came (RFC 5322).
    #[arg(long, conflicts_with_all = ["document", "html", "json"])]
    source: bool,
}

/// Fetches and opens a message.
pub async fn fetch(session: &Session, folder: &str, uid: u32, frame: &Frame) -> Result<Message, Stop> {
    let what = frame.out.pick("Lecture du message", "Reading the message");
    // How large it is matters to who looks at a terminal.
    let size = if frame.is_watched() {
        session.list(folder, &Listing::uids(&[uid])).await?.first().map_or(0, |s| s.size)
    } else {
        0
    };
    let mut octets = Counted { inner: Vec::new(), moved: Arc::default() };
    let moved = octets.moved.clone();
    match frame.transfer(what, size, &moved, session.fetch(folder, uid, &mut octets, MAX_MESSAGE)).await {
        Err(SessionError::NoMessage) => {
            return Err(CommandError::NoMessage { uid, folder: folder.to_owned() }.into());
        }
        other => drop(other?),
    }
    let octets = octets.inner;
    Ok(Message::read(&mut octets.as_slice(), Limits::default()).await?)
}

/// Shows it.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let message = fetch(&session, &args.folder, args.uid, frame).await?;
    if !args.keep_unseen {
        // A mailbox that may only be read is read all the same.
        match session.mark(&args.folder, &[args.uid], &["\\Seen"], &[]).await {
            Ok(()) | Err(SessionError::NotKept(_) | SessionError::NoRight) => {}
            Err(error) => return Err(error.into()),
        }
    }
    session.close().await;
    if args.source {
        return frame.out.raw(message.octets());
    }
    if args.document.is_some() || args.html.is_some() {
        return document::run(&message, args.document, args.html, frame);
    }
    if frame.out.json {
        frame.out.document(&json(&args.folder, args.uid, &message, frame.out.language))
    } else {
        show(&message, frame)
    }
}

fn title(text: &str) -> Cell {
    Cell(Style::Faint, format!("{text:<9}"))
}

fn show(message: &Message, frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let people = |list: &[Correspondent]| list.iter().map(Correspondent::shown).collect::<Vec<_>>().join(", ");
    for from in &message.from {
        out.line([
            title(out.pick("De", "From")),
            Cell(Style::Strong, from.shown()),
            Cell(Style::Faint, format!("  <{}>  ", from.text)),
            rows::nature_cell(&from.nature, out),
        ])?;
    }
    out.line([title(out.pick("À", "To")), people(&message.to).into()])?;
    if !message.cc.is_empty() {
        out.line([title("Cc"), people(&message.cc).into()])?;
    }
    let date = message.date.and_then(|date| OffsetDateTime::from_unix_timestamp(date.unix).ok()).map(local::minute);
    out.line([title("Date"), date.unwrap_or_default().into()])?;
    out.line([title(out.pick("Objet", "Subject")), Cell(Style::Strong, message.subject.shown.clone())])?;
    for line in about(&message.kind, out.language) {
        out.line([title(""), Cell(Style::Accent, line)])?;
    }
    for warning in &message.warnings {
        let look = if warning.is_grave() { Style::Bad } else { Style::Accent };
        out.line([Cell(look, format!("⚠ {}", warning.message(out.language)))])?;
    }
    if let Some(text) = message.text.as_ref().filter(|text| !text.text.trim().is_empty()) {
        out.say("")?;
        out.text(&text.text)?;
    }
    let documents: Vec<_> = message.documents().collect();
    if !documents.is_empty() {
        out.say("")?;
        out.line([Cell(Style::Strong, out.pick("Documents", "Documents").into())])?;
    }
    for (rank, document) in documents.iter().enumerate() {
        show_document(rank + 1, document, message, frame)?;
    }
    let copies: Vec<usize> = documents.iter().filter_map(|document| document.copy).collect();
    for (_, attachment) in message.attachments.iter().enumerate().filter(|(place, _)| !copies.contains(place)) {
        let size = crate::commands::octets(attachment.size);
        out.line([
            title(out.pick("Pièce", "File")),
            attachment.name.clone().into(),
            Cell(Style::Faint, format!("  {}, {size}", attachment.media_type)),
        ])?;
    }
    if !message.receipt_to.is_empty() {
        out.line([Cell(
            Style::Accent,
            out.pick(
                "Un accusé est demandé : vaguemestre lps receipts.",
                "A receipt is asked for: vaguemestre lps receipts.",
            )
            .into(),
        )])?;
    }
    Ok(())
}

fn show_document(rank: usize, document: &ReceivedDocument, message: &Message, frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let name = document.title().unwrap_or(&document.document.path).to_owned();
    let sound = document.document.integrity.is_sound();
    let (look, sign) = if sound { (Style::Good, " ✓") } else { (Style::Bad, " ✗") };
    out.line([Cell(Style::Accent, format!("  {rank}. ")), Cell(Style::Strong, name), Cell(look, sign.into())])?;
    let detail = |text: String| out.line([Cell(Style::Faint, format!("     {text}"))]);
    if let Some(header) = &document.header {
        let code = header.code.display_name.as_deref().unwrap_or_default();
        let date = header.effective_time.as_ref().and_then(mssante::Timestamp::date).map(|date| date.to_string());
        detail(format!("{} {code}  {}", header.code.code, date.unwrap_or_default()))?;
        let patient = &header.patient;
        let ins = patient.ins().map(|(ins, _)| format!("INS {ins}"));
        detail(format!(
            "{} {} {} {}  {}",
            out.pick("patient", "patient"),
            patient.birth_name.as_deref().unwrap_or("?"),
            patient.first_name.as_deref().unwrap_or("?"),
            patient.birth_date.map(|date| date.to_string()).unwrap_or_default(),
            ins.unwrap_or_else(|| out.pick("sans INS", "without INS").into()),
        ))?;
        for author in &header.authors {
            let parts = [&author.first_name, &author.surname, &author.organization];
            let words: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
            detail(format!("{} {}", out.pick("par", "by"), words.join(" ")))?;
        }
    }
    match &document.document.asked {
        Asked::File => {}
        Asked::Replace(_) => detail(out.pick("remplace une version précédente", "replaces an earlier version").into())?,
        Asked::Delete => out.line([Cell(
            Style::Bad,
            format!("     {}", out.pick("l'expéditeur demande sa suppression", "the sender asks for its deletion")),
        )])?,
    }
    if let Some(copy) = document.copy.and_then(|place| message.attachments.get(place)) {
        detail(format!("PDF {}", copy.name))?;
    }
    Ok(())
}

/// What a receipt, notice or report says.
fn about(kind: &Kind, language: Language) -> Vec<String> {
    match kind {
        Kind::Mail => Vec::new(),
        Kind::Receipt(receipt) => {
            let fate = match receipt.fate {
                Fate::Displayed => language.pick("message affiché", "message displayed"),
                Fate::Dispatched => language.pick("message transmis", "message dispatched"),
                Fate::Processed => language.pick("message traité", "message processed"),
                Fate::Deleted => language.pick("message supprimé", "message deleted"),
            };
            vec![format!("{} : {fate} ({})", language.pick("Accusé", "Receipt"), receipt.recipient)]
        }
        Kind::Notice(notice) => match &notice.outcome {
            Integration::Done => {
                vec![format!("{} ({})", language.pick("Documents intégrés", "Documents integrated"), notice.recipient)]
            }
            Integration::Failed(errors) => errors
                .iter()
                .map(|error| {
                    let what = language.pick("Intégration refusée", "Integration refused");
                    format!("{what} : {} {}", error.code.number(), error.words())
                })
                .collect(),
        },
        Kind::Bounce(bounce) => bounces(bounce, language),
    }
}

fn bounces(bounce: &Bounce, language: Language) -> Vec<String> {
    let words = |outcome: Outcome| match outcome {
        Outcome::Delivered => language.pick("remis", "delivered").to_owned(),
        Outcome::Relayed => {
            language.pick("transmis, sans plus de nouvelles", "relayed, no more will be told").to_owned()
        }
        Outcome::Delayed(cause) => {
            format!("{} : {}", language.pick("retardé", "delayed"), cause.message(language))
        }
        Outcome::Failed(cause) => {
            let what = language.pick("non remis", "not delivered");
            format!("{what} : {}. {}", cause.message(language), cause.remedy(language))
        }
    };
    if bounce.recipients.is_empty() {
        return vec![words(bounce.outcome())];
    }
    bounce.recipients.iter().map(|one| format!("{} : {}", one.address, words(one.outcome))).collect()
}

fn outcome(outcome: Outcome) -> Value {
    let (code, cause) = match outcome {
        Outcome::Delivered => ("delivered", None),
        Outcome::Relayed => ("relayed", None),
        Outcome::Delayed(cause) => ("delayed", Some(cause.code())),
        Outcome::Failed(cause) => ("failed", Some(cause.code())),
    };
    json!({ "outcome": code, "cause": cause })
}

/// A message as docs/editor.md describes it.
pub fn json(folder: &str, uid: u32, message: &Message, language: Language) -> Value {
    let people = |list: &[Correspondent]| list.iter().map(rows::correspondent_json).collect::<Vec<_>>();
    let date = message.date.and_then(|date| OffsetDateTime::from_unix_timestamp(date.unix).ok()).map(local::rfc3339);
    let report = match &message.kind {
        Kind::Mail => Value::Null,
        Kind::Receipt(receipt) => json!({
            "about": receipt.about.message_ids, "recipient": receipt.recipient, "fate": fate(receipt.fate), "automatic": receipt.automatic,
        }),
        Kind::Notice(notice) => json!({
            "about": notice.about.message_ids,
            "recipient": notice.recipient,
            "integrated": notice.outcome == Integration::Done,
            "errors": match &notice.outcome {
                Integration::Done => Vec::new(),
                Integration::Failed(errors) => errors
                    .iter()
                    .map(|error| json!({ "code": error.code.number(), "label": error.words() }))
                    .collect(),
            },
        }),
        Kind::Bounce(bounce) => json!({
            "about": bounce.about.message_ids,
            "overall": outcome(bounce.outcome()),
            "recipients": bounce.recipients.iter().map(|one| {
                let mut value = outcome(one.outcome);
                value["address"] = json!(one.address);
                value["status"] = json!(one.status);
                value["diagnostic"] = json!(one.diagnostic);
                value
            }).collect::<Vec<_>>(),
        }),
    };
    json!({
        "folder": folder,
        "uid": uid,
        "kind": message.kind.code(),
        "report": report,
        "date": date,
        "from": people(&message.from),
        "to": people(&message.to),
        "cc": people(&message.cc),
        "reply_to": people(&message.reply_to),
        "subject": message.subject.shown,
        "text": message.text.as_ref().map(|text| text.text.as_str()),
        "message_id": message.message_id,
        "in_reply_to": message.in_reply_to,
        "references": message.references,
        "receipt_asked": !message.receipt_to.is_empty(),
        "documents": message.documents().map(|document| document_json(document, message)).collect::<Vec<_>>(),
        "archives": message.archives.iter().map(|archive| json!({
            "name": archive.attachment.name,
            "documents": archive.documents.len(),
            "fault": archive.fault.map(|fault| fault.code()),
            "deleted": archive.deleted,
        })).collect::<Vec<_>>(),
        "attachments": message.attachments.iter().map(|one| json!({
            "name": one.name, "type": one.media_type, "size": one.size,
        })).collect::<Vec<_>>(),
        "warnings": message.warnings.iter().map(|warning| json!({
            "code": warning.code(), "grave": warning.is_grave(), "message": warning.message(language),
        })).collect::<Vec<_>>(),
    })
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Displayed => "displayed",
        Fate::Dispatched => "dispatched",
        Fate::Processed => "processed",
        Fate::Deleted => "deleted",
    }
}

fn document_json(document: &ReceivedDocument, message: &Message) -> Value {
    let header = document.header.as_ref();
    let patient = header.map(|header| &header.patient);
    json!({
        "title": document.title(),
        "path": document.document.path,
        "type": document.document.mime_type,
        "size": document.octets().len(),
        "code": header.map(|header| header.code.code.as_str()),
        "label": header.and_then(|header| header.code.display_name.as_deref()),
        "id": header.map(|header| match &header.id.extension {
            Some(extension) => format!("{}^{extension}", header.id.root),
            None => header.id.root.clone(),
        }),
        "date": header.and_then(|header| header.effective_time.as_ref()).and_then(|time| time.date()).map(|date| date.to_string()),
        "patient": patient.map(|patient| json!({
            "birth_name": patient.birth_name,
            "first_name": patient.first_name,
            "birth_date": patient.birth_date.map(|date| date.to_string()),
            "sex": patient.gender,
            "ins": patient.ins().map(|(ins, _)| ins.to_string()),
            "qualified": patient.qualified_ins().is_some(),
        })),
        "asked": match &document.document.asked {
            Asked::File => "file",
            Asked::Replace(_) => "replace",
            Asked::Delete => "delete",
        },
        "integrity": match document.document.integrity {
            Integrity::Verified => "verified",
            Integrity::Undeclared => "undeclared",
            Integrity::WrongSize => "wrong-size",
            Integrity::WrongHash => "wrong-hash",
            Integrity::WrongType => "wrong-type",
        },
        "pdf": document.copy.and_then(|place| message.attachments.get(place)).map(|copy| copy.name.as_str()),
    })
}
