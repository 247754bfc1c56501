//! Why a message was not delivered.

use mail::Enhanced;
use mssante::Address;
use mssante::text::strip_accents;

use crate::explain::Language;

/// Why a message was not delivered, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The BAL is closed or suspended: a patient closed Mon espace santé, a professional left.
    MailboxClosed,
    /// The patient has no Mon espace santé, or the matricule is not known there.
    PatientNotFound,
    /// There is no such address.
    UnknownAddress,
    /// The address is malformed.
    InvalidAddress,
    /// The domain does not exist or takes no mail.
    UnknownDomain,
    /// The message is too large for a patient: 25 MB in all.
    TooLargeForPatient,
    /// The message is too large for the recipient's operator, or the sender's.
    TooLarge,
    /// The recipient's BAL is full.
    MailboxFull,
    /// The sender's or recipient's domain is not on the white list of the trust space.
    NotOnWhiteList,
    /// The recipient accepts no answer from this sender: a patient who may not answer, an allowed contact that is not.
    NotAllowed,
    /// The content is refused: a virus, a kind of attachment, an ill-formed message.
    ContentRefused,
    /// The recipient's server cannot be reached.
    Unreachable,
    /// Tried in vain for too long.
    Expired,
    /// The message runs in circles.
    Loop,
    /// A passing difficulty at the recipient's.
    Temporary,
    /// Anything else.
    Other,
}

impl Cause {
    /// Stable, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Cause::MailboxClosed => "mailbox-closed",
            Cause::PatientNotFound => "patient-not-found",
            Cause::UnknownAddress => "unknown-address",
            Cause::InvalidAddress => "invalid-address",
            Cause::UnknownDomain => "unknown-domain",
            Cause::TooLargeForPatient => "too-large-for-patient",
            Cause::TooLarge => "too-large",
            Cause::MailboxFull => "mailbox-full",
            Cause::NotOnWhiteList => "not-on-white-list",
            Cause::NotAllowed => "not-allowed",
            Cause::ContentRefused => "content-refused",
            Cause::Unreachable => "unreachable",
            Cause::Expired => "expired",
            Cause::Loop => "loop",
            Cause::Temporary => "temporary",
            Cause::Other => "other",
        }
    }

    /// What it means.
    #[must_use]
    pub fn message(self, language: Language) -> &'static str {
        match self {
            Cause::MailboxClosed => language.pick("la boîte aux lettres est fermée", "the mailbox is closed"),
            Cause::PatientNotFound => language.pick(
                "ce patient n'a pas de messagerie dans Mon espace santé, ou son matricule n'y est pas connu",
                "this patient has no mailbox in Mon espace santé, or the matricule is not known there",
            ),
            Cause::UnknownAddress => language.pick("cette adresse n'existe pas", "there is no such address"),
            Cause::InvalidAddress => language.pick("cette adresse est mal écrite", "the address is malformed"),
            Cause::UnknownDomain => language.pick(
                "ce domaine n'existe pas ou ne reçoit pas de messages",
                "the domain does not exist or takes no mail",
            ),
            Cause::TooLargeForPatient => language.pick(
                "le message dépasse les 25 Mo permis vers un patient",
                "the message exceeds the 25 MB allowed to a patient",
            ),
            Cause::TooLarge => language.pick("le message est trop volumineux", "the message is too large"),
            Cause::MailboxFull => {
                language.pick("la boîte aux lettres du destinataire est pleine", "the recipient's mailbox is full")
            }
            Cause::NotOnWhiteList => language.pick(
                "le domaine n'est pas sur la liste blanche de l'espace de confiance",
                "the domain is not on the white list of the trust space",
            ),
            Cause::NotAllowed => {
                language.pick("le destinataire n'accepte pas ce message", "the recipient does not accept this message")
            }
            Cause::ContentRefused => {
                language.pick("le contenu du message est refusé", "the content of the message is refused")
            }
            Cause::Unreachable => {
                language.pick("le serveur du destinataire est injoignable", "the recipient's server cannot be reached")
            }
            Cause::Expired => language.pick("le délai de remise est écoulé", "the delivery time expired"),
            Cause::Loop => language.pick("le message tourne en boucle", "the message runs in circles"),
            Cause::Temporary => {
                language.pick("difficulté passagère chez le destinataire", "a passing difficulty at the recipient's")
            }
            Cause::Other => language.pick("le message n'a pas été remis", "the message was not delivered"),
        }
    }

    /// What to do.
    #[must_use]
    pub fn remedy(self, language: Language) -> &'static str {
        match self {
            Cause::MailboxClosed => language.pick(
                "Écrivez à une autre adresse ou prévenez autrement le destinataire.",
                "Write to another address or reach the recipient another way.",
            ),
            Cause::PatientNotFound => language.pick(
                "Vérifiez que l'INS est qualifiée ; sinon remettez le document autrement.",
                "Check that the INS is qualified; else hand the document over another way.",
            ),
            Cause::UnknownAddress | Cause::InvalidAddress | Cause::UnknownDomain => {
                language.pick("Cherchez l'adresse dans l'Annuaire Santé.", "Look the address up in the Annuaire Santé.")
            }
            Cause::TooLargeForPatient | Cause::TooLarge => language.pick(
                "Envoyez moins de documents par message ou réduisez les pièces jointes.",
                "Send fewer documents per message or make the attachments smaller.",
            ),
            Cause::MailboxFull | Cause::Temporary | Cause::Unreachable | Cause::Expired => language.pick(
                "Renvoyez le message plus tard, ou prévenez autrement le destinataire.",
                "Send the message again later, or reach the recipient another way.",
            ),
            Cause::NotOnWhiteList => language.pick(
                "Signalez-le à votre opérateur ; n'écrivez qu'à des adresses MSSanté.",
                "Tell your operator; write only to MSSanté addresses.",
            ),
            Cause::NotAllowed | Cause::ContentRefused | Cause::Loop | Cause::Other => language.pick(
                "Lisez la réponse du serveur et signalez-la à votre opérateur si elle n'est pas claire.",
                "Read the server's answer and tell your operator when it is not clear.",
            ),
        }
    }

    /// From the status, the address and what was said: the status decides where it is precise, the words of the server where it is
    /// not, the words for people last.
    pub(super) fn of(status: Option<Enhanced>, address: &str, diagnostic: &str, words: &str) -> Cause {
        let patient = address.parse::<Address>().is_ok_and(|address| address.is_patient());
        let said = || by_words(diagnostic).or_else(|| by_words(words));
        let status = status.or_else(|| status_in(diagnostic)).or_else(|| status_in(words));
        let cause = match status {
            None => said().unwrap_or(Cause::Other),
            Some(status) => match (status.0, status.1, status.2) {
                // An address that does not exist may be one that was closed: only words tell.
                (_, 1, 1) => match said() {
                    Some(cause @ (Cause::MailboxClosed | Cause::InvalidAddress)) => cause,
                    _ => Cause::UnknownAddress,
                },
                (_, 1, 2) | (5, 4, 4) => Cause::UnknownDomain,
                // RFC 7505: a domain that takes no mail. Exchange: an address that is not found.
                (_, 1, 10) => said().unwrap_or(Cause::UnknownDomain),
                (_, 1, 3) => Cause::InvalidAddress,
                (_, 1, 6) | (_, 2, 1) => Cause::MailboxClosed,
                (_, 2, 2) => Cause::MailboxFull,
                (_, 2, 3) | (_, 3, 4) => Cause::TooLarge,
                (_, 4, 6) => Cause::Loop,
                (_, 4, 7) => Cause::Expired,
                (_, 4, _) => Cause::Unreachable,
                (_, 6, _) => said().unwrap_or(Cause::ContentRefused),
                (5, 7, _) => said().unwrap_or(Cause::NotAllowed),
                (4, ..) => said().unwrap_or(Cause::Temporary),
                _ => said().unwrap_or(Cause::Other),
            },
        };
        match cause {
            Cause::UnknownAddress if patient => Cause::PatientNotFound,
            Cause::TooLarge if patient => Cause::TooLargeForPatient,
            cause => cause,
        }
    }
}

/// Words of Postfix, Exchange, Exim, Sendmail, Mon espace santé and ours, without accents and in lower case, each with what it
/// means. The first found counts: what is more particular stands first.
const WORDS: [(&str, Cause); 64] = [
    ("liste blanche", Cause::NotOnWhiteList),
    ("white list", Cause::NotOnWhiteList),
    ("whitelist", Cause::NotOnWhiteList),
    ("espace de confiance", Cause::NotOnWhiteList),
    ("boite aux lettres fermee", Cause::MailboxClosed),
    ("boite fermee", Cause::MailboxClosed),
    ("messagerie fermee", Cause::MailboxClosed),
    ("messagerie est fermee", Cause::MailboxClosed),
    ("boite aux lettres est fermee", Cause::MailboxClosed),
    ("a ferme son espace", Cause::MailboxClosed),
    ("a cloture", Cause::MailboxClosed),
    ("cloturee", Cause::MailboxClosed),
    ("compte ferme", Cause::MailboxClosed),
    ("mailbox is closed", Cause::MailboxClosed),
    ("mailbox closed", Cause::MailboxClosed),
    ("mailbox disabled", Cause::MailboxClosed),
    ("mailbox unavailable or disabled", Cause::MailboxClosed),
    ("account is disabled", Cause::MailboxClosed),
    ("account has been disabled", Cause::MailboxClosed),
    ("no longer available", Cause::MailboxClosed),
    ("n'est plus active", Cause::MailboxClosed),
    ("patient inconnu", Cause::PatientNotFound),
    ("patient introuvable", Cause::PatientNotFound),
    ("patient non trouve", Cause::PatientNotFound),
    ("no such patient", Cause::PatientNotFound),
    ("unknown patient", Cause::PatientNotFound),
    ("message size exceeds", Cause::TooLarge),
    ("message file too big", Cause::TooLarge),
    ("message too large", Cause::TooLarge),
    ("message too big", Cause::TooLarge),
    ("exceeds size limit", Cause::TooLarge),
    ("exceeds the maximum", Cause::TooLarge),
    ("taille maximale", Cause::TooLarge),
    ("trop volumineux", Cause::TooLarge),
    ("25 mo", Cause::TooLarge),
    ("mailbox full", Cause::MailboxFull),
    ("mailbox is full", Cause::MailboxFull),
    ("over quota", Cause::MailboxFull),
    ("quota exceeded", Cause::MailboxFull),
    ("quota depasse", Cause::MailboxFull),
    ("boite aux lettres pleine", Cause::MailboxFull),
    ("boite pleine", Cause::MailboxFull),
    ("est pleine", Cause::MailboxFull),
    ("user unknown", Cause::UnknownAddress),
    ("unknown user", Cause::UnknownAddress),
    ("no such user", Cause::UnknownAddress),
    ("no such mailbox", Cause::UnknownAddress),
    ("does not exist", Cause::UnknownAddress),
    ("recipient address rejected", Cause::UnknownAddress),
    ("recipient not found", Cause::UnknownAddress),
    ("recipientnotfound", Cause::UnknownAddress),
    ("n'existe pas", Cause::UnknownAddress),
    ("destinataire inconnu", Cause::UnknownAddress),
    ("adresse introuvable", Cause::UnknownAddress),
    ("adresse invalide", Cause::InvalidAddress),
    ("invalid address", Cause::InvalidAddress),
    ("bad recipient", Cause::InvalidAddress),
    ("host or domain name not found", Cause::UnknownDomain),
    ("domain not found", Cause::UnknownDomain),
    ("too many hops", Cause::Loop),
    ("loops back to myself", Cause::Loop),
    ("connection timed out", Cause::Unreachable),
    ("connection refused", Cause::Unreachable),
    ("virus", Cause::ContentRefused),
];

/// Octets of words looked at: the reason stands in the first lines.
const MAX_WORDS: usize = 16 * 1024;

fn by_words(text: &str) -> Option<Cause> {
    let mut end = text.len().min(MAX_WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let plain = strip_accents(&text[..end]).to_lowercase();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    WORDS.iter().find(|(words, _)| plain.contains(words)).map(|(_, cause)| *cause)
}

/// The first enhanced status code of class 4 or 5 in a text: `#5.1.1`, `550 5.2.2 …`, `(5.7.1)`.
pub(super) fn status_in(text: &str) -> Option<Enhanced> {
    /// Words looked at.
    const MAX: usize = 2000;
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter(|word| !word.is_empty())
        .take(MAX)
        .filter_map(|word| word.trim_matches('.').parse::<Enhanced>().ok())
        .find(|status| status.0 != 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cause(status: &str, address: &str, said: &str) -> Cause {
        Cause::of(status.parse().ok(), address, said, "")
    }

    #[test]
    fn servers_and_their_words() {
        const PRO: &str = "a@b.mssante.fr";
        const PATIENT: &str = "255069999999934@patient.mssante.fr";
        for (status, address, said, wanted) in [
            ("5.1.1", PRO, "550 5.1.1 <a@b>: Recipient address rejected: User unknown", Cause::UnknownAddress),
            ("5.1.1", PATIENT, "550 5.1.1 No such patient: the local part is not an INS", Cause::PatientNotFound),
            ("5.1.1", PATIENT, "550 5.1.1 Boîte aux lettres fermée", Cause::MailboxClosed),
            ("5.2.1", PATIENT, "mailbox disabled", Cause::MailboxClosed),
            ("5.3.4", PATIENT, "552 5.3.4 Message size exceeds the limit", Cause::TooLargeForPatient),
            ("5.3.4", PRO, "", Cause::TooLarge),
            ("5.2.2", PRO, "x", Cause::MailboxFull),
            ("5.7.1", PRO, "The DN of your certificate is not on the white list", Cause::NotOnWhiteList),
            ("5.7.1", PRO, "Domaine absent de la Liste   Blanche", Cause::NotOnWhiteList),
            ("5.7.1", PRO, "Not allowed", Cause::NotAllowed),
            ("5.0.0", PRO, "552 message too large", Cause::TooLarge),
            ("5.0.0", PRO, "rien", Cause::Other),
            ("4.4.1", PRO, "connection timed out", Cause::Unreachable),
            ("5.4.4", PRO, "Host or domain name not found", Cause::UnknownDomain),
            ("4.4.7", PRO, "", Cause::Expired),
            ("4.7.1", PRO, "greylisted", Cause::Temporary),
            ("none", PRO, "550 5.2.2 zut", Cause::MailboxFull),
        ] {
            assert_eq!(cause(status, address, said), wanted, "{status} {said}");
        }
    }

    #[test]
    fn words_are_as_they_are_compared() {
        for (words, cause) in WORDS {
            assert_eq!(by_words(words), Some(cause), "{words} is hidden by another");
        }
        assert_eq!(status_in("Le 12.5.2026: #5.1.1 smtp;550").map(|s| s.to_string()).as_deref(), Some("5.1.1"));
        assert_eq!(status_in("2.1.5 ok 10.0.0.1"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\PC|[0-9.]|é){0,80}") {
            let _ = Cause::of(None, &text, &text, &text);
        }
    }
}
