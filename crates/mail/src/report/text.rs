//! The words of a report for people: French, then English.

use std::fmt::Write;

use super::{Action, Recipient, Report, write::safe};
use crate::date::{Moment, format_rfc5322};
use crate::enhanced::Enhanced;

/// What most concerns the reader: a failure before a delay before a success.
pub(super) fn main_action(report: &Report) -> Action {
    let order = [Action::Failed, Action::Delayed, Action::Relayed, Action::Expanded];
    let has = |a: &Action| report.recipients.iter().any(|r| r.action == *a);
    order.into_iter().find(has).unwrap_or(Action::Delivered)
}

/// The subject.
pub(super) fn subject(action: Action) -> &'static str {
    match action {
        Action::Failed => "Avis de non-remise / Undelivered mail",
        Action::Delayed => "Avis de retard / Delayed mail",
        Action::Delivered => "Avis de remise / Delivered mail",
        Action::Relayed => "Avis de transmission / Relayed mail",
        Action::Expanded => "Avis de diffusion / Mail sent to a list",
    }
}

/// The text, lines ended by CRLF.
pub(super) fn body(report: &Report) -> String {
    let mut out = String::new();
    for (language, title) in [
        (Language::French, "Ceci est un message automatique du serveur de messagerie"),
        (Language::English, "This is an automatic message of the mail server"),
    ] {
        // Writing to a String does not fail.
        let _ = write!(out, "{title} {}.\r\n", safe(&report.reporting_mta));
        for (action, ..) in Action::ALL {
            let concerned: Vec<&Recipient> = report.recipients.iter().filter(|r| r.action == action).collect();
            if concerned.is_empty() {
                continue;
            }
            let _ = write!(out, "\r\n{}\r\n", language.introduction(action));
            for recipient in concerned {
                language.recipient(recipient, &mut out);
            }
        }
        if language == Language::French {
            out.push_str("\r\n----------------------------------------\r\n\r\n");
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    French,
    English,
}

impl Language {
    fn introduction(self, action: Action) -> &'static str {
        let (french, english) = match action {
            Action::Failed => (
                "Votre message n'a pas pu être remis aux destinataires suivants. Il ne sera plus présenté :",
                "Your message could not be delivered to the following recipients. No further attempt will be made:",
            ),
            Action::Delayed => (
                "Votre message n'a pas encore pu être remis aux destinataires suivants. Vous n'avez rien à faire, les tentatives continuent :",
                "Your message could not yet be delivered to the following recipients. You need do nothing, attempts go on:",
            ),
            Action::Delivered => (
                "Votre message a été remis aux destinataires suivants :",
                "Your message was delivered to the following recipients:",
            ),
            Action::Relayed => (
                "Votre message a été transmis pour les destinataires suivants à un serveur qui n'envoie pas d'avis de remise :",
                "Your message was relayed for the following recipients to a server that sends no delivery reports:",
            ),
            Action::Expanded => (
                "Votre message a été remis aux listes suivantes :",
                "Your message was delivered to the following lists:",
            ),
        };
        self.choose(french, english)
    }

    fn recipient(self, recipient: &Recipient, out: &mut String) {
        let colon = self.choose(" :", ":");
        // Writing to a String does not fail.
        let _ = write!(out, "\r\n  {}\r\n", safe(&recipient.address));
        if let Some(reason) = self.reason(recipient.status) {
            let _ = write!(out, "    {}{colon} {reason} ({})\r\n", self.choose("Raison", "Reason"), recipient.status);
        }
        if let Some(diagnostic) = &recipient.diagnostic {
            let server = safe(recipient.remote_mta.as_deref().unwrap_or_default());
            let who = if server.is_empty() {
                self.choose("Réponse", "Answer").to_owned()
            } else {
                format!("{} {server}", self.choose("Réponse de", "Answer of"))
            };
            let _ = write!(out, "    {who}{colon} {}\r\n", safe(diagnostic));
        }
        if let (Action::Delayed, Some(until)) = (recipient.action, recipient.will_retry_until) {
            let words = self.choose("Tentatives jusqu'au", "Attempts go on until");
            let _ = write!(out, "    {words} {}\r\n", self.date(until));
        }
    }

    fn choose(self, french: &'static str, english: &'static str) -> &'static str {
        match self {
            Language::French => french,
            Language::English => english,
        }
    }

    fn date(self, moment: Moment) -> String {
        let t = moment.local();
        match self {
            Language::French => {
                format!("{:02}/{:02}/{:04} à {:02}:{:02}", t.day(), u8::from(t.month()), t.year(), t.hour(), t.minute())
            }
            Language::English => format_rfc5322(moment),
        }
    }

    /// What a status means to a person; `None` for a success.
    fn reason(self, status: Enhanced) -> Option<&'static str> {
        let (french, english) = match (status.0, status.1, status.2) {
            (2, ..) => return None,
            (_, 1, 1 | 6) => ("cette adresse n'existe pas", "there is no such address"),
            (_, 1, 2 | 10) => {
                ("ce domaine n'existe pas ou ne reçoit pas de messages", "the domain does not exist or takes no mail")
            }
            (_, 1, 3) => ("cette adresse est mal écrite", "the address is malformed"),
            (_, 2, 1) => ("cette boîte aux lettres est fermée", "the mailbox is closed"),
            (_, 2, 2) => ("cette boîte aux lettres est pleine", "the mailbox is full"),
            (_, 2, 3) | (_, 3, 4) => ("le message est trop volumineux", "the message is too large"),
            (_, 4, 6) => ("le message tourne en boucle", "the message is in a loop"),
            (_, 4, 7) => ("le délai de remise est écoulé", "the delivery time expired"),
            (_, 4, _) => ("le serveur du destinataire ne peut être joint", "the recipient's server cannot be reached"),
            (_, 6, _) => ("le contenu du message n'est pas accepté", "the content of the message is not accepted"),
            (_, 7, _) => {
                ("le message est refusé par une règle de sécurité", "the message is refused by a security policy")
            }
            (4, ..) => ("difficulté passagère", "temporary difficulty"),
            _ => ("le message est refusé", "the message is refused"),
        };
        Some(self.choose(french, english))
    }
}
