//! Messages as a list shows them, for people and for programs (ECO.3.1.1, ECO.3.1.2, ECO.3.1.3).

use lps::read::{Correspondent, Nature, Subject};
use lps::session::{self, Summary};
use mssante::headers::InsPresence;
use mssante::xdm::is_archive_name;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::common::Frame;
use super::error::Stop;
use super::local;
use super::out::{Cell, Out, Style};

/// Somebody of a header, told apart.
pub fn correspondent(one: &session::Correspondent) -> Correspondent {
    Correspondent::new(&one.address, Some(&one.name))
}

/// When a message came, else when it says it was written.
fn when(message: &Summary) -> Option<OffsetDateTime> {
    let written = || OffsetDateTime::from_unix_timestamp(message.date()?.unix).ok();
    message.internal_date.or_else(written)
}

/// Whether it carries documents.
fn has_documents(message: &Summary) -> bool {
    Subject::of(&message.subject()).marked || message.attachments.iter().any(|name| is_archive_name(name))
}

/// A word for what somebody is.
pub fn nature(nature: &Nature) -> &'static str {
    match nature {
        Nature::Professional => "professional",
        Nature::Application => "application",
        Nature::Patient(_) => "patient",
        Nature::Unreadable => "unreadable",
    }
}

/// The same in the reader's language, short, with its look.
pub fn nature_cell(nature: &Nature, out: &Out) -> Cell {
    match nature {
        Nature::Professional => Cell(Style::Faint, "pro".into()),
        Nature::Application => Cell(Style::Faint, out.pick("appli", "app").into()),
        Nature::Patient(_) => Cell(Style::Accent, "patient".into()),
        Nature::Unreadable => Cell(Style::Bad, "?".into()),
    }
}

/// `{name, address, nature, ins}`.
pub fn correspondent_json(one: &Correspondent) -> Value {
    json!({
        "name": one.name,
        "address": one.text,
        "nature": nature(&one.nature),
        "ins": one.ins().map(ToString::to_string),
    })
}

/// A message of a list, as docs/editor.md describes it.
pub fn json(folder: &str, message: &Summary) -> Value {
    let (subject, headers) = (Subject::of(&message.subject()), message.x_mss());
    let people = |list: Vec<session::Correspondent>| {
        list.iter().map(|one| correspondent_json(&correspondent(one))).collect::<Vec<_>>()
    };
    json!({
        "folder": folder,
        "uid": message.uid,
        "date": when(message).map(local::rfc3339),
        "from": people(message.from()).into_iter().next(),
        "to": people(message.to()),
        "cc": people(message.cc()),
        "subject": subject.shown,
        "documents": has_documents(message),
        "attachments": message.attachments,
        "seen": message.has("\\Seen"),
        "answered": message.has("\\Answered"),
        "flags": message.flags,
        "size": message.size,
        "message_id": message.message_id(),
        "in_reply_to": message.in_reply_to(),
        "report": message.content_type() == "multipart/report",
        "receipt_asked": !message.disposition_notification_to().is_empty(),
        "receipt_sent": message.has("$MDNSent"),
        "nil": headers.nil.map(|nil| nil.to_string()),
        "codes": headers.codes.map(|codes| codes.iter().map(str::to_owned).collect::<Vec<_>>()),
        "ins": headers.ins.map(|ins| match ins {
            InsPresence::Qualified => "O",
            InsPresence::NotQualified => "N",
        }),
    })
}

/// The row of a message: number, state, when, who, what.
pub fn row(message: &Summary, out: &Out) -> Vec<Cell> {
    let from = message.from().first().map(correspondent);
    let unseen = !message.has("\\Seen");
    let weight = if unseen { Style::Strong } else { Style::Plain };
    let (kind, who) = match &from {
        Some(from) => (nature_cell(&from.nature, out), from.shown()),
        None => (Cell::from("?"), String::new()),
    };
    // A receipt or a report is not from whoever it says it is from.
    let report = message.content_type() == "multipart/report";
    let kind = if report { Cell(Style::Faint, out.pick("accusé", "report").into()) } else { kind };
    let mut state = String::new();
    for (holds, sign) in [
        (unseen, '•'),
        (message.has("\\Answered"), '↩'),
        (!message.disposition_notification_to().is_empty() && !message.has("$MDNSent"), '!'),
        (has_documents(message) && !report, '+'),
    ] {
        state.push(if holds { sign } else { ' ' });
    }
    vec![
        Cell(Style::Accent, message.uid.to_string()),
        Cell(Style::Plain, state),
        Cell(Style::Faint, when(message).map(local::minute).unwrap_or_default()),
        kind,
        Cell(weight, who),
        Cell(weight, Subject::of(&message.subject()).shown),
    ]
}

/// Shows a list, the most recent last.
pub fn show(folder: &str, messages: &[Summary], frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    if out.json {
        let list: Vec<Value> = messages.iter().map(|message| json(folder, message)).collect();
        return out.document(&json!({ "folder": folder, "messages": list }));
    }
    if messages.is_empty() {
        return out.line([Cell(Style::Faint, out.pick("Aucun message.", "No message.").into())]);
    }
    let headers = match out.language {
        lps::Language::French => ["n°", "", "reçu", "", "de", "objet"],
        lps::Language::English => ["uid", "", "received", "", "from", "subject"],
    };
    let rows: Vec<_> = messages.iter().map(|message| row(message, out)).collect();
    out.table(&headers, &rows, &[4, 5])
}
