//! Why no answer is made.

use mail::header::HeaderError;

use super::{Doubt, Refusal};
use crate::explain::{Explain, Fault, Language};

/// Why no answer is made.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// None may be sent.
    #[error("no receipt is sent: {}", .0.message(Language::English))]
    Refused(Refusal),
    /// A person must agree first.
    #[error("a person must agree to this receipt: {}", .0.message(Language::English))]
    PersonNeeded(Doubt),
    /// The message has no address to answer.
    #[error("the message has no address to answer")]
    NoAddress,
    /// A value of the message cannot stand in the answer.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The answer is larger than the limit even without the message given back.
    #[error("the answer is larger than {0} octets")]
    TooLarge(u64),
    /// The answer cannot be kept.
    #[error("keeping the answer: {0}")]
    Io(#[from] std::io::Error),
    /// No randomness.
    #[error("no randomness: {0}")]
    Randomness(#[from] openssl::error::ErrorStack),
}

impl Explain for ReceiptError {
    fn code(&self) -> &'static str {
        match self {
            ReceiptError::Refused(_) => "receipt.refused",
            ReceiptError::PersonNeeded(_) => "receipt.person-needed",
            ReceiptError::NoAddress => "receipt.no-address",
            ReceiptError::Header(_) => "receipt.header",
            ReceiptError::TooLarge(_) => "receipt.too-large",
            ReceiptError::Io(_) => "receipt.io",
            ReceiptError::Randomness(_) => "receipt.randomness",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            ReceiptError::PersonNeeded(_) => Fault::User,
            ReceiptError::Refused(_) | ReceiptError::NoAddress | ReceiptError::Header(_) => Fault::Document,
            ReceiptError::TooLarge(_) | ReceiptError::Io(_) | ReceiptError::Randomness(_) => Fault::Host,
        }
    }

    fn is_temporary(&self) -> bool {
        matches!(self, ReceiptError::Io(_))
    }

    fn message(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            ReceiptError::Refused(refusal) => format!("aucun accusé n'est envoyé : {}", refusal.message(language)),
            ReceiptError::PersonNeeded(doubt) => {
                format!("l'utilisateur doit confirmer l'envoi de cet accusé : {}", doubt.message(language))
            }
            ReceiptError::NoAddress => "le message n'a pas d'adresse à laquelle répondre".to_owned(),
            ReceiptError::Header(_) => "une valeur du message ne peut pas figurer dans la réponse".to_owned(),
            ReceiptError::TooLarge(limit) => format!("la réponse dépasse {limit} octets"),
            ReceiptError::Io(why) => format!("conservation de la réponse : {why}"),
            ReceiptError::Randomness(_) => "le système ne donne pas d'aléa".to_owned(),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            ReceiptError::Refused(_) | ReceiptError::NoAddress | ReceiptError::Header(_) => language.pick(
                "Rien n'est à faire : le message est lisible.",
                "Nothing is to be done: the message can be read.",
            ),
            ReceiptError::PersonNeeded(_) => language
                .pick("Demandez à l'utilisateur s'il veut envoyer l'accusé.", "Ask the user whether to send it."),
            ReceiptError::TooLarge(_) => language.pick("Relevez la limite.", "Raise the limit."),
            ReceiptError::Io(_) | ReceiptError::Randomness(_) => language.pick(
                "Vérifiez le dossier temporaire et la place sur le disque.",
                "Check the temporary folder and the room on the disk.",
            ),
        }
        .to_owned()
    }
}
