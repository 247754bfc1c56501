//! What the user of the software under test does.

use serde::{Deserialize, Serialize};

use crate::context::Protocol;

/// One act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Sets the mailbox up from its address alone.
    Configurer,
    /// Reads the mailbox.
    Relever,
    /// Leaves the mailbox open for some seconds.
    Surveiller,
    /// Sends a message of some words.
    Envoyer,
    /// Sends a message with a health document.
    EnvoyerDocument,
}

impl Step {
    /// All.
    pub const ALL: [Step; 5] =
        [Step::Configurer, Step::Relever, Step::Surveiller, Step::Envoyer, Step::EnvoyerDocument];

    /// For commands and files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Step::Configurer => "configurer",
            Step::Relever => "relever",
            Step::Surveiller => "surveiller",
            Step::Envoyer => "envoyer",
            Step::EnvoyerDocument => "envoyer-document",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Step::Configurer => "Configurer la BAL d'après sa seule adresse",
            Step::Relever => "Relever la BAL",
            Step::Surveiller => "Laisser la BAL ouverte une dizaine de secondes",
            Step::Envoyer => "Envoyer un message",
            Step::EnvoyerDocument => "Envoyer un document de santé",
        }
    }

    /// Whether messages are sent.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Step::Envoyer | Step::EnvoyerDocument)
    }

    /// The one that makes software speak a protocol.
    #[must_use]
    pub fn of(protocol: Protocol) -> Step {
        match protocol {
            Protocol::Imap => Step::Relever,
            Protocol::Smtp => Step::Envoyer,
        }
    }
}
