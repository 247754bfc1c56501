//! Message disposition notifications (RFC 8098): the fields of the part `message/disposition-notification`, read and written.
//!
//! Reading is tolerant (blanks, case, comments, the colon glued to its value) and bounded; writing refuses whatever could start
//! another field. What the notification is about is the reader's to check: anybody can write one. ECO-RECEIPT.

use std::fmt;
use std::str::FromStr;

use crate::header::{Fields, HeaderError, Writer};

/// Octets read of the part: the fields of a notification take some hundreds.
pub const MAX_OCTETS: usize = 64 * 1024;
/// Fields kept of each of `Error`, `Failure` and `Warning`.
const MAX_TEXTS: usize = 20;
/// Characters kept of a field's text.
const MAX_CHARS: usize = 1000;

/// Who decided what became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionMode {
    /// A person did.
    Manual,
    /// A program did.
    Automatic,
}

/// Who decided to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendingMode {
    /// A person agreed to this very notification.
    Manually,
    /// A program is set to.
    Automatically,
}

/// What became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was shown to somebody, who need not have read it.
    Displayed,
    /// It was sent on, printed… without being shown.
    Dispatched,
    /// It was handled without being shown to anybody.
    Processed,
    /// It was deleted, read or not.
    Deleted,
}

impl Fate {
    const ALL: [(Fate, &'static str); 4] = [
        (Fate::Displayed, "displayed"),
        (Fate::Dispatched, "dispatched"),
        (Fate::Processed, "processed"),
        (Fate::Deleted, "deleted"),
    ];

    /// The word of the field.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Displayed => "displayed",
            Fate::Dispatched => "dispatched",
            Fate::Processed => "processed",
            Fate::Deleted => "deleted",
        }
    }
}

/// The value of `Disposition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// Who decided.
    pub action: ActionMode,
    /// Who decided to tell.
    pub sending: SendingMode,
    /// What became of the message.
    pub fate: Fate,
    /// What follows the slash, as it stands: `error`, or with older French platforms `Error: 902^Identifiant…`.
    pub modifier: Option<String>,
}

/// The text is not the value of a `Disposition` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a disposition")]
pub struct NotADisposition;

impl FromStr for Disposition {
    type Err = NotADisposition;

    fn from_str(text: &str) -> Result<Self, NotADisposition> {
        let (modes, fate) = text.split_once(';').ok_or(NotADisposition)?;
        let (action, sending) = modes.split_once('/').ok_or(NotADisposition)?;
        let (fate, modifier) = match fate.split_once('/') {
            Some((fate, modifier)) => (fate, Some(cut(modifier.trim())).filter(|m| !m.is_empty())),
            None => (fate, None),
        };
        let fate = fate.split('(').next().unwrap_or_default().trim();
        let is = |text: &str, wanted: &str| text.trim().eq_ignore_ascii_case(wanted);
        Ok(Disposition {
            action: match () {
                () if is(action, "manual-action") => ActionMode::Manual,
                () if is(action, "automatic-action") => ActionMode::Automatic,
                () => return Err(NotADisposition),
            },
            sending: match () {
                () if is(sending, "MDN-sent-manually") => SendingMode::Manually,
                () if is(sending, "MDN-sent-automatically") => SendingMode::Automatically,
                () => return Err(NotADisposition),
            },
            fate: Fate::ALL
                .iter()
                .find(|(_, name)| name.eq_ignore_ascii_case(fate))
                .map(|(fate, _)| *fate)
                .ok_or(NotADisposition)?,
            modifier,
        })
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.action {
            ActionMode::Manual => "manual-action/",
            ActionMode::Automatic => "automatic-action/",
        })?;
        f.write_str(match self.sending {
            SendingMode::Manually => "MDN-sent-manually; ",
            SendingMode::Automatically => "MDN-sent-automatically; ",
        })?;
        f.write_str(self.fate.name())?;
        match &self.modifier {
            Some(modifier) => write!(f, "/{modifier}"),
            None => Ok(()),
        }
    }
}

/// The fields of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The program that reports.
    pub reporting_ua: Option<String>,
    /// The address the sender wrote to.
    pub original_recipient: Option<String>,
    /// The address that answers.
    pub final_recipient: String,
    /// The Message-ID of the message it is about, with its angle brackets.
    pub original_message_id: Option<String>,
    /// What became of it.
    pub disposition: Disposition,
    /// What went wrong.
    pub errors: Vec<String>,
    /// What failed altogether.
    pub failures: Vec<String>,
    /// What is worth knowing.
    pub warnings: Vec<String>,
}

impl Notification {
    /// Reads the decoded body of the part; `None` without a readable disposition.
    pub fn parse(part: &[u8]) -> Option<Notification> {
        let part = &part[..part.len().min(MAX_OCTETS)];
        // Some programs begin with an empty line.
        let start = part.iter().position(|b| !matches!(b, b'\r' | b'\n' | b' ' | b'\t'))?;
        let mut read = Notification {
            reporting_ua: None,
            original_recipient: None,
            final_recipient: String::new(),
            original_message_id: None,
            disposition: Disposition {
                action: ActionMode::Automatic,
                sending: SendingMode::Automatically,
                fate: Fate::Processed,
                modifier: None,
            },
            errors: Vec::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
        };
        let mut disposition = None;
        for field in Fields::new(&part[start..]) {
            let value = || cut(&field.value());
            let address = || cut(after_type(&field.value()));
            let push = |list: &mut Vec<String>| {
                if list.len() < MAX_TEXTS {
                    list.push(value());
                }
            };
            match field.name.to_ascii_lowercase().as_str() {
                "reporting-ua" => read.reporting_ua = Some(value()),
                "original-recipient" => read.original_recipient = Some(address()).filter(|a| !a.is_empty()),
                "final-recipient" => read.final_recipient = address(),
                "original-message-id" => read.original_message_id = Some(value()).filter(|v| !v.is_empty()),
                "disposition" if disposition.is_none() => disposition = field.value().parse().ok(),
                "error" => push(&mut read.errors),
                "failure" => push(&mut read.failures),
                "warning" => push(&mut read.warnings),
                _ => {}
            }
        }
        Some(Notification { disposition: disposition?, ..read })
    }

    /// The fields, each ended by CRLF.
    ///
    /// # Errors
    /// When a value cannot stand in a header.
    pub fn write(&self) -> Result<Vec<u8>, HeaderError> {
        let mut out = Writer::new();
        if let Some(agent) = &self.reporting_ua {
            out.raw("Reporting-UA", agent)?;
        }
        if let Some(original) = &self.original_recipient {
            out.raw("Original-Recipient", &format!("rfc822;{original}"))?;
        }
        out.raw("Final-Recipient", &format!("rfc822;{}", self.final_recipient))?;
        if let Some(id) = &self.original_message_id {
            out.raw("Original-Message-ID", id)?;
        }
        out.raw("Disposition", &self.disposition.to_string())?;
        for (name, texts) in [("Error", &self.errors), ("Failure", &self.failures), ("Warning", &self.warnings)] {
            for text in texts {
                out.raw(name, text)?;
            }
        }
        Ok(out.finish())
    }
}

/// What follows `rfc822;`.
fn after_type(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim()
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_french_formats() {
        // client.md §2.7: a colon glued to its value, an error in the modifier or in a field.
        let old = "Original-Recipient: rfc822;service@chb.mssante.fr\r\nFinal-Recipient: rfc822;service_auto@chb.mssante.fr\r\nOriginal-Message-ID: <1@chb.mssante.fr>\r\nDisposition:automatic-action/MDN-sent-automatically; processed/Error: 902^Identifiant de patient inconnu^messageErrorCondition| E^Error^errorSeverity\r\n\r\n";
        let read = Notification::parse(old.as_bytes()).expect("a notification");
        assert_eq!(read.final_recipient, "service_auto@chb.mssante.fr");
        assert_eq!(read.disposition.fate, Fate::Processed);
        assert_eq!(
            read.disposition.modifier.as_deref(),
            Some("Error: 902^Identifiant de patient inconnu^messageErrorCondition| E^Error^errorSeverity")
        );
        let new = "\r\nFinal-Recipient: rfc822; a@b.fr\r\ndisposition: Automatic-Action / MDN-Sent-Automatically ; PROCESSED / error\r\nError: 902^X^applicationErrorCondition|\r\n E^Error^errorSeverity\r\n";
        let read = Notification::parse(new.as_bytes()).expect("a notification");
        assert_eq!(read.disposition.modifier.as_deref(), Some("error"));
        assert_eq!(read.errors, ["902^X^applicationErrorCondition| E^Error^errorSeverity"]);
        for no in ["", "Disposition: displayed\r\n", "Final-Recipient: x\r\n", "Disposition: a/b; displayed\r\n"] {
            assert_eq!(Notification::parse(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let written = Notification {
            reporting_ua: Some("poste; Vaguemestre".into()),
            original_recipient: Some("a@b.fr".into()),
            final_recipient: "c@d.fr".into(),
            original_message_id: Some("<1@x>".into()),
            disposition: "manual-action/MDN-sent-manually; displayed".parse().expect("a disposition"),
            errors: vec!["902^x".into()],
            failures: vec![],
            warnings: vec!["w".into()],
        };
        assert_eq!(Notification::parse(&written.write().expect("plain")), Some(written.clone()));
        let injected = Notification { original_message_id: Some("<1>\r\nX: y".into()), ..written };
        assert_eq!(injected.write(), Err(HeaderError::Control));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Disposition|Error|Final-Recipient)?[:;/ a-z\\r\\né-]{0,80}") {
            if let Some(read) = Notification::parse(text.as_bytes()) {
                let _ = read.write();
            }
        }

        #[test]
        fn dispositions_round_trip(manual in any::<bool>(), sent in any::<bool>(), fate in 0usize..4, modifier in proptest::option::of("[a-zA-Z0-9^|:]{1,30}")) {
            let written = Disposition {
                action: if manual { ActionMode::Manual } else { ActionMode::Automatic },
                sending: if sent { SendingMode::Manually } else { SendingMode::Automatically },
                fate: Fate::ALL[fate].0,
                modifier,
            };
            prop_assert_eq!(written.to_string().parse(), Ok(written));
        }
    }
}
