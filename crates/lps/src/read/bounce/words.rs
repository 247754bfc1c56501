//! Bounces that are only words: Exchange's, Exim's, Mon espace santé's "Message non distribué".

use mssante::text::strip_accents;

use super::cause::status_in;
use super::{Cause, Delivery, MAX_DIAGNOSTIC, MAX_RECIPIENTS, Outcome};
use crate::read::{Message, body};

/// Subjects of bounces, without accents and in lower case.
const SUBJECTS: [&str; 16] = [
    "undelivered mail returned to sender",
    "undeliverable",
    "delivery status notification",
    "delivery failure",
    "mail delivery failed",
    "mail delivery failure",
    "returned mail",
    "failure notice",
    "message non distribue",
    "message non remis",
    "non remis",
    "non remise",
    "echec de remise",
    "echec de la remise",
    "delayed mail",
    "delivery delayed",
];
/// Local parts of who sends bounces.
const SENDERS: [&str; 7] =
    ["mailer-daemon", "postmaster", "microsoftexchange", "mailerdaemon", "noreply", "no-reply", "ne-pas-repondre"];
/// Lines of the text that are looked at.
const MAX_LINES: usize = 400;

/// Whether a message looks like one: it was sent by nobody, or by one of those who send them, and its subject is one's.
pub(super) fn looks_like_one(message: &Message) -> bool {
    let subject = strip_accents(&message.subject.full).to_lowercase();
    let subject = subject.trim_start();
    // At its head: "Re: Undeliverable…" is somebody's answer.
    if !SUBJECTS.iter().any(|known| subject.starts_with(known)) {
        return false;
    }
    let nobody = message.return_path.as_deref() == Some("");
    let local = |text: &str| text.split('@').next().unwrap_or_default().to_ascii_lowercase();
    nobody || message.from.iter().any(|from| SENDERS.iter().any(|known| local(&from.text).starts_with(known)))
}

/// The recipients a text names, each with the cause that its surroundings tell; without any, none.
pub(super) fn recipients(text: &str, subject: &str, message: &Message) -> Vec<Delivery> {
    let lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
    let delayed = {
        let subject = strip_accents(subject).to_lowercase();
        subject.starts_with("delayed") || subject.contains("delivery delayed") || subject.contains("(delay)")
    };
    let own =
        |address: &str| message.to.iter().chain(&message.from).any(|known| known.text.eq_ignore_ascii_case(address));
    let mut found: Vec<Delivery> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        for address in addresses(line) {
            if found.len() >= MAX_RECIPIENTS {
                return found;
            }
            if own(&address) || found.iter().any(|known| known.address.eq_ignore_ascii_case(&address)) {
                continue;
            }
            // What is said of it: its line and those up to the next empty one.
            let said: Vec<&str> = lines[at..]
                .iter()
                .take(6)
                .copied()
                .enumerate()
                .take_while(|(n, l)| *n == 0 || !l.is_empty())
                .map(|(_, l)| l)
                .collect();
            let said = body::one_line(&said.join(" "), MAX_DIAGNOSTIC);
            let cause = Cause::of(None, &address, &said, text);
            found.push(Delivery {
                outcome: if delayed { Outcome::Delayed(cause) } else { Outcome::Failed(cause) },
                status: status_in(&said).or_else(|| status_in(text)).map(|status| status.to_string()),
                diagnostic: Some(said),
                original: None,
                address,
            });
        }
    }
    found
}

/// The Message-ID a text quotes (`Message-ID: <…>`).
pub(super) fn message_id_in(text: &str) -> Vec<String> {
    let quoted = text.lines().take(MAX_LINES).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("message-id").then_some(value)
    });
    quoted.map(crate::read::message_ids).unwrap_or_default()
}

/// The mail addresses of a line.
fn addresses(line: &str) -> Vec<String> {
    /// Longest line looked at, in octets.
    const MAX_LINE: usize = 2000;
    if line.len() > MAX_LINE || !line.contains('@') {
        return Vec::new();
    }
    line.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '"' | '\'' | '[' | ']'))
        .map(|word| word.trim_matches(['.', ':', '*']))
        .map(|word| word.strip_prefix("mailto:").or_else(|| word.strip_prefix("rfc822;")).unwrap_or(word))
        // A Message-ID looks like an address; those of servers have digits only or a host the trust space does not know.
        .filter(|word| word.parse::<mssante::Address>().is_ok_and(|address| address.domain().is_mssante()))
        .map(str::to_owned)
        .collect()
}
