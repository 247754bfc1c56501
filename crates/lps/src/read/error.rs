//! Why a message cannot be read.

use crate::explain::{Explain, Fault, Language};

/// Why a message is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More octets than the limit.
    #[error("the message is larger than {limit} octets")]
    TooLarge {
        /// The limit, in octets.
        limit: u64,
    },
    /// It could not be read from where it comes.
    #[error("reading the message: {0}")]
    Io(#[from] std::io::Error),
}

impl Explain for ReadError {
    fn code(&self) -> &'static str {
        match self {
            ReadError::TooLarge { .. } => "read.too-large",
            ReadError::Io(_) => "read.io",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            ReadError::TooLarge { .. } => Fault::Document,
            ReadError::Io(_) => Fault::Host,
        }
    }

    fn is_temporary(&self) -> bool {
        false
    }

    fn message(&self, language: Language) -> String {
        match (language, self) {
            (Language::English, _) => self.to_string(),
            (_, ReadError::TooLarge { limit }) => format!("le message dépasse {limit} octets"),
            (_, ReadError::Io(why)) => format!("lecture du message : {why}"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            ReadError::TooLarge { .. } => language.pick(
                "Relevez la limite de lecture, ou demandez un envoi en plusieurs messages.",
                "Raise the reading limit, or ask for several messages.",
            ),
            ReadError::Io(_) => {
                language.pick("Vérifiez le fichier ou la connexion.", "Check the file or the connection.")
            }
        }
        .to_owned()
    }
}
