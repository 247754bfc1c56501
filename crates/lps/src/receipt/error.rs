//! Why no answer is made.

use mail::header::HeaderError;

use super::{Doubt, Refusal};
use crate::explain::{Explain, Fault, Language, Remedy, Told};

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
    fn told(&self) -> Told {
        const NOTHING: Remedy =
            ("Rien n'est à faire : le message est lisible.", "Nothing is to be done: the message can be read.");
        const DISK: Remedy = (
            "Vérifiez le dossier temporaire et la place sur le disque.",
            "Check the temporary folder and the room on the disk.",
        );
        match self {
            ReceiptError::Refused(refusal) => Told::new(
                "receipt.refused",
                Fault::Document,
                format!("aucun accusé n'est envoyé : {}", refusal.message(Language::French)),
                NOTHING,
            ),
            ReceiptError::PersonNeeded(doubt) => Told::new(
                "receipt.person-needed",
                Fault::User,
                format!("l'utilisateur doit confirmer l'envoi de cet accusé : {}", doubt.message(Language::French)),
                ("Demandez à l'utilisateur s'il veut envoyer l'accusé.", "Ask the user whether to send it."),
            ),
            ReceiptError::NoAddress => Told::new(
                "receipt.no-address",
                Fault::Document,
                "le message n'a pas d'adresse à laquelle répondre",
                NOTHING,
            ),
            ReceiptError::Header(_) => Told::new(
                "receipt.header",
                Fault::Document,
                "une valeur du message ne peut pas figurer dans la réponse",
                NOTHING,
            ),
            ReceiptError::TooLarge(limit) => Told::new(
                "receipt.too-large",
                Fault::Host,
                format!("la réponse dépasse {limit} octets"),
                ("Relevez la limite.", "Raise the limit."),
            ),
            ReceiptError::Io(why) => {
                Told::new("receipt.io", Fault::Host, format!("conservation de la réponse : {why}"), DISK).passing()
            }
            ReceiptError::Randomness(_) => {
                Told::new("receipt.randomness", Fault::Host, "le système ne donne pas d'aléa", DISK)
            }
        }
    }
}
