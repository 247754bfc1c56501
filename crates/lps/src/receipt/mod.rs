//! Answering a message: read receipts (RFC 8098) and integration notices (CI-SIS, client.md §2.7). ECO-RECEIPT, ECO.3.1.6.
//!
//! [`request`] tells whether a receipt may be sent and by whom; [`read_receipt`] and [`notice`] make what is sent, in the format of
//! v1.1.3 of the volet. Sending is [`crate::send`]'s.
//!
//! Invariants:
//! * no receipt for a receipt, a notice, a bounce, a list, or what a program wrote by itself; none twice (`$MDNSent`); none sent by
//!   a program alone where RFC 8098 §2.1 wants a person to agree;
//! * what answers goes out with an empty return path and `Auto-Submitted: auto-replied`: nothing answers it;
//! * nothing of the message answered can add a field or end a part: it stands whole in a part of its own, whose boundary holds
//!   128 random bits that its writer could not know;
//! * the same message, outcome and [`Stamp`] always give the same octets: what is sent again after a doubt is recognised (ADR 3).

mod error;
mod policy;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

use mail::disposition::{ActionMode, Disposition, Fate, Notification, SendingMode};
use mail::header;
use mssante::headers::Nil;
use mssante::receipt::{IntegrationError, subject_for, without_prefix};
use mssante::{Address, subject};
use time::OffsetDateTime;

pub use error::ReceiptError;
pub use policy::{Doubt, MDN_SENT, Refusal, Request, request};

use crate::compose::{MessageId, Outgoing, Sender};
use crate::read::{Form, Integration, Kind, Message};
use crate::space::Space;
use write::{Body, Head};

/// Largest answer unless told otherwise, in octets: what operators let through. A message given back that does not fit is given
/// back by its header alone.
pub const LIMIT: u64 = 25_000_000;

/// Who answers.
#[derive(Debug, Clone)]
pub struct Respondent {
    /// The BAL that answers, with its display name.
    pub sender: Sender,
    /// Sent as X-MSS-NIL.
    pub nil: Nil,
    /// `Reporting-UA`: the software.
    pub software: String,
    /// Largest answer, in octets.
    pub limit: u64,
    /// Where large answers are made; the system's folder for temporary files when absent.
    pub folder: Option<PathBuf>,
}

impl Respondent {
    /// A BAL, with the software of the space.
    #[must_use]
    pub fn new(space: &Space, sender: Sender) -> Self {
        let software = format!("{} {}", space.software.name, space.software.version);
        Respondent { sender, nil: space.software.nil.clone(), software, limit: LIMIT, folder: None }
    }
}

/// What makes an answer this one and no other. Kept in a journal before sending, it gives the very same octets again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its Message-ID.
    pub id: MessageId,
    /// Its date.
    pub date: OffsetDateTime,
}

impl Stamp {
    /// A new one.
    ///
    /// # Errors
    /// [`ReceiptError::Randomness`].
    pub fn new(respondent: &Respondent, date: OffsetDateTime) -> Result<Self, ReceiptError> {
        // Dates of mail count whole seconds.
        let date = date.replace_nanosecond(0).unwrap_or(date);
        Ok(Stamp { id: MessageId::generate(respondent.sender.address.domain())?, date })
    }
}

/// Who wants a read receipt to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consent {
    /// A person, for this message.
    Person,
    /// A setting: where RFC 8098 leaves it to a person, nothing is made.
    Setting,
}

/// A read receipt for a message: it was displayed, deleted, processed or dispatched.
///
/// # Errors
/// [`ReceiptError::Refused`] and [`ReceiptError::PersonNeeded`] where [`request`] says so; see [`ReceiptError`].
pub fn read_receipt(
    respondent: &Respondent,
    message: &Message,
    flags: &[String],
    fate: Fate,
    consent: Consent,
    stamp: &Stamp,
) -> Result<Outgoing, ReceiptError> {
    let to = match (request(message, &respondent.sender.address, flags), consent) {
        (Request::Automatic(to), _) | (Request::AskPerson(to, _), Consent::Person) => to,
        (Request::AskPerson(_, doubt), Consent::Setting) => return Err(ReceiptError::PersonNeeded(doubt)),
        (Request::Refused(refusal), _) => return Err(ReceiptError::Refused(refusal)),
    };
    let shown = subject::for_display(&message.subject.full);
    let (prefix, french, english) = match fate {
        Fate::Displayed => (
            "Lu",
            "a été affiché ; cela ne prouve pas qu'il a été lu",
            "was displayed; this does not prove that it was read",
        ),
        Fate::Deleted => ("Supprimé", "a été supprimé", "was deleted"),
        Fate::Processed => ("Traité", "a été traité", "was processed"),
        Fate::Dispatched => ("Transmis", "a été transmis", "was dispatched"),
    };
    let human = format!(
        "Votre message « {shown} » à {own} {french}.\r\n\r\nYour message to {own} {english}.\r\n",
        own = respondent.sender.address
    );
    let sending = match consent {
        Consent::Person => SendingMode::Manually,
        Consent::Setting => SendingMode::Automatically,
    };
    // Displaying and deleting are acts of a person; processing and dispatching, of a program.
    let action = match fate {
        Fate::Displayed | Fate::Deleted => ActionMode::Manual,
        Fate::Processed | Fate::Dispatched => ActionMode::Automatic,
    };
    let disposition = Disposition { action, sending, fate, modifier: None };
    let head = Head { respondent, stamp, to, subject: format!("{prefix} : {shown}"), about: message, facts: None };
    // RFC 8098 §3: the header is enough for a person; the volet wants the whole message for documents only.
    let fields = fields(respondent, message, disposition, &[])?;
    write::answer(head, Body::Mdn { human, fields, whole: false })
}

/// The notice about the documents of a message: filed, or not and why. `None` when none is to be sent: the documents were filed and
/// no receipt was asked, or RFC 8098 wants a person to agree and `agreed` is false.
///
/// A receipt that was asked for is an MDN; a failure is told by an ordinary mail to the sender where no MDN may be sent.
///
/// # Errors
/// [`ReceiptError::Refused`] for what is no mail; see [`ReceiptError`].
pub fn notice(
    respondent: &Respondent,
    message: &Message,
    outcome: &Integration,
    agreed: bool,
    stamp: &Stamp,
) -> Result<Option<Outgoing>, ReceiptError> {
    let Some((form, to)) = notice_form(respondent, message, outcome, agreed)? else { return Ok(None) };
    let errors: &[IntegrationError] = match outcome {
        Integration::Done => &[],
        Integration::Failed(errors) => errors,
    };
    let original = without_prefix(&message.subject.full);
    let subject = subject_for(original, errors.first());
    let human = human(outcome);
    Ok(Some(match form {
        Form::Mdn => {
            let disposition = Disposition {
                action: ActionMode::Automatic,
                sending: if agreed { SendingMode::Manually } else { SendingMode::Automatically },
                fate: Fate::Processed,
                modifier: matches!(outcome, Integration::Failed(_)).then(|| "error".to_owned()),
            };
            let fields = fields(respondent, message, disposition, errors)?;
            let head = Head { respondent, stamp, to, subject, about: message, facts: None };
            write::answer(head, Body::Mdn { human, fields, whole: true })?
        }
        Form::Mail => {
            let headers: Vec<_> = message.documents().filter_map(|document| document.header.clone()).collect();
            let facts = mssante::headers::DocumentFacts::of(&headers).unwrap_or_default();
            let head = Head { respondent, stamp, to, subject, about: message, facts };
            write::answer(head, Body::Mail { human })?
        }
    }))
}

/// Whether a notice is to be sent, how and to whom.
fn notice_form(
    respondent: &Respondent,
    message: &Message,
    outcome: &Integration,
    agreed: bool,
) -> Result<Option<(Form, Vec<Address>)>, ReceiptError> {
    if message.kind != Kind::Mail {
        return Err(ReceiptError::Refused(Refusal::NoMail));
    }
    if message.from_list {
        return Err(ReceiptError::Refused(Refusal::List));
    }
    // A platform writes by itself and asks for notices: unlike a read receipt, a notice answers it. What a notice was sent for
    // is the journal's to know, not a flag's.
    match policy::addressees(message, &respondent.sender.address) {
        Ok((to, None)) => return Ok(Some((Form::Mdn, to))),
        Ok((to, Some(_))) if agreed => return Ok(Some((Form::Mdn, to))),
        Ok((_, Some(_))) | Err(_) => {}
    }
    if *outcome == Integration::Done {
        return Ok(None);
    }
    let answered = if message.reply_to.is_empty() { &message.from } else { &message.reply_to };
    let to: Vec<Address> = answered
        .iter()
        .filter_map(|who| who.address.clone())
        .filter(|to| *to != respondent.sender.address)
        .take(1)
        .collect();
    if to.is_empty() { Err(ReceiptError::NoAddress) } else { Ok(Some((Form::Mail, to))) }
}

/// What people read: at least code and label of an error.
fn human(outcome: &Integration) -> String {
    match outcome {
        Integration::Done => {
            "Le document joint à votre message a été intégré.\r\n\r\nThe document of your message was integrated.\r\n"
                .to_owned()
        }
        Integration::Failed(errors) => {
            let mut text = String::from(
                "Le message ci-dessous n'a pas pu être intégré automatiquement pour la raison suivante :\r\n\r\n",
            );
            for error in errors {
                let words = mssante::text::one_line(error.words());
                text += &format!("- Code d'erreur : {}\r\n- Erreur détectée : {words}\r\n", error.code);
            }
            text += "\r\nThe message below could not be integrated automatically for this reason:\r\n\r\n";
            for error in errors {
                text += &format!("- {}: {}\r\n", error.code, error.code.label_english());
            }
            text
        }
    }
}

/// The part for programs.
fn fields(
    respondent: &Respondent,
    message: &Message,
    disposition: Disposition,
    errors: &[IntegrationError],
) -> Result<Vec<u8>, ReceiptError> {
    let own = respondent.sender.address.to_string();
    let original = message.header("Original-Recipient").and_then(|value| {
        let address = value.split_once(';')?.1.trim().to_owned();
        address.parse::<Address>().is_ok().then_some(address)
    });
    let domain = respondent.sender.address.domain();
    let written = Notification {
        // ASCII, as every field of the part.
        reporting_ua: Some(format!("{domain}; {}", plain(&respondent.software))),
        original_recipient: Some(original.unwrap_or_else(|| own.clone())),
        final_recipient: own,
        original_message_id: message.message_id.clone().filter(|id| id.is_ascii()),
        disposition,
        errors: errors.iter().map(IntegrationError::to_field).collect(),
        failures: Vec::new(),
        warnings: Vec::new(),
    };
    // On one line each where a line holds them: the examples of the volet are, and some platforms do not unfold.
    let folded = written.write()?;
    let text = String::from_utf8_lossy(&folded).replace("\r\n ", " ");
    Ok(if text.lines().all(|line| line.len() <= MAX_LINE) { text.into_bytes() } else { folded })
}

/// Octets of the longest line (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

fn plain(text: &str) -> String {
    mssante::text::strip_accents(&mssante::text::one_line(text))
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect()
}

/// The header of a message, its empty line left out.
fn header_of(octets: &[u8]) -> &[u8] {
    let end = header::end(octets).unwrap_or(octets.len());
    let block = &octets[..end];
    block.strip_suffix(b"\r\n").unwrap_or(block)
}
