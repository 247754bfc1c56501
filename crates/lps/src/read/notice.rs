//! Read receipts and integration notices: MDN (RFC 8098) in both French formats, and notices of failure sent as ordinary mail
//! (client.md §2.7).

use mail::disposition::{ActionMode, Fate, MAX_OCTETS, Notification};
use mail::mime::{Content, Structure};
use mssante::receipt::{self, Code, IntegrationError};

use super::{About, Kind, Message, body, kind};

/// Errors kept of one notice: one for each document at most.
const MAX_ERRORS: usize = 20;
/// Characters of an address that are kept.
const MAX_ADDRESS: usize = 254;

/// What was done with a message at its reader's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Which message.
    pub about: About,
    /// The BAL that answers, as the fields say.
    pub recipient: String,
    /// What was done.
    pub fate: Fate,
    /// Whether a program did it, not a person.
    pub automatic: bool,
}

/// What became of the documents of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which message.
    pub about: About,
    /// The BAL that answers.
    pub recipient: String,
    /// What became of them.
    pub outcome: Integration,
    /// How it is told.
    pub form: Form,
}

/// What became of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integration {
    /// They were filed.
    Done,
    /// They were not: at least one reason.
    Failed(Vec<IntegrationError>),
}

/// How a notice is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As an MDN, which the sender had asked for.
    Mdn,
    /// As an ordinary mail.
    Mail,
}

/// A receipt or a notice, from a report of dispositions.
pub(super) fn of_mdn(octets: &[u8], structure: &Structure, message: &Message) -> Option<Kind> {
    let parts = structure.root.children();
    let fields = parts.iter().find(|part| {
        part.is("message", "disposition-notification") || part.is("message", "global-disposition-notification")
    })?;
    if fields.size() > 2 * MAX_OCTETS as u64 {
        return None;
    }
    let read = Notification::parse(&kind::decoded(octets, fields))?;
    let mut about = About::default();
    about.add(read.original_message_id.as_deref().map(super::message_ids).unwrap_or_default());
    about.add(kind::inner_id(octets, &structure.root));
    about.add(message.in_reply_to.iter().cloned());
    let recipient = body::one_line(&read.final_recipient, MAX_ADDRESS);
    let errors = errors(&read, &message.subject.full, message.text.as_ref().map(|text| text.text.as_str()));
    let failed = !errors.is_empty();
    // A program that handled a mail with documents says what became of them; anything else speaks of one reader.
    let integration = read.disposition.fate == Fate::Processed && (failed || message.subject.marked);
    Some(if integration {
        let outcome = if failed { Integration::Failed(errors) } else { Integration::Done };
        Kind::Notice(Notice { about, recipient, outcome, form: Form::Mdn })
    } else {
        let automatic = read.disposition.action == ActionMode::Automatic;
        Kind::Receipt(Receipt { about, recipient, fate: read.disposition.fate, automatic })
    })
}

/// What went wrong: the codes of both formats; without any code, but with an error told, "other".
fn errors(read: &Notification, subject: &str, text: Option<&str>) -> Vec<IntegrationError> {
    let mut found: Vec<IntegrationError> = Vec::new();
    let told = read.disposition.modifier.iter().chain(&read.errors).chain(&read.failures);
    for value in told {
        if let Some(error) = IntegrationError::parse(value)
            && found.len() < MAX_ERRORS
            && !found.iter().any(|known| known.code == error.code && known.label == error.label)
        {
            found.push(error);
        }
    }
    let says_error = read.disposition.modifier.as_deref().is_some_and(|modifier| {
        let word: String = modifier.chars().take_while(char::is_ascii_alphabetic).collect();
        word.eq_ignore_ascii_case("error") || word.eq_ignore_ascii_case("failed")
    }) || !read.errors.is_empty()
        || !read.failures.is_empty();
    if found.is_empty() {
        if let Some(code) = receipt::code_of_subject(subject) {
            found.push(IntegrationError { code, label: text.and_then(label_in) });
        } else if says_error {
            let label = read.errors.first().or(read.failures.first()).map(|words| body::one_line(words, 200));
            found.push(IntegrationError { code: Code::OTHER, label });
        }
    }
    found
}

/// A notice of failure that came as an ordinary mail: its subject says so, and it gives back the message.
pub(super) fn of_mail(octets: &[u8], structure: &Structure, message: &Message) -> Option<Notice> {
    let code = receipt::code_of_subject(&message.subject.full)?;
    let mut about = About::default();
    about.add(kind::inner_id(octets, &structure.root));
    about.add(message.in_reply_to.iter().cloned());
    let gives_back = structure.root.children().iter().any(|part| {
        matches!(part.content, Content::Message(_)) || part.is("message", "rfc822") || part.is("text", "rfc822-headers")
    });
    // A person who answers a notice keeps its subject behind `Re:`, which is not a notice's; one who forwards gives nothing back.
    // What a program answered by itself is one whatever it lacks: taken for a mail, it would be answered in turn.
    if !gives_back && about.message_ids.is_empty() && !message.automatic {
        return None;
    }
    let label = message.text.as_ref().and_then(|text| label_in(&text.text));
    let recipient = message.from.first().map(|from| from.text.clone()).unwrap_or_default();
    let outcome = Integration::Failed(vec![IntegrationError { code, label }]);
    Some(Notice { about, recipient, outcome, form: Form::Mail })
}

/// The words of an error in a text for people: `902^Identifiant inconnu^…`, or what follows the colon of a line that announces it.
fn label_in(text: &str) -> Option<String> {
    /// Lines looked at: the reason comes first.
    const MAX_LINES: usize = 60;
    const ANNOUNCED: [&str; 5] = ["erreur detectee", "libelle", "raison suivante", "motif", "cause"];
    for line in text.lines().take(MAX_LINES) {
        if let Some(at) = line.find('^') {
            let digits = line[..at].bytes().rev().take_while(u8::is_ascii_digit).count();
            if let Some(label) = IntegrationError::parse(&line[at - digits..]).and_then(|error| error.label) {
                return Some(label);
            }
        }
        if let Some((head, words)) = line.split_once(':') {
            let head = mssante::text::strip_accents(head).to_ascii_lowercase();
            let words = body::one_line(words, 200);
            if ANNOUNCED.iter().any(|announced| head.contains(announced)) && !words.is_empty() {
                return Some(words);
            }
        }
    }
    None
}
