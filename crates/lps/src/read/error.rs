//! Why a message cannot be read.

use crate::explain::{Explain, Fault, Told};

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
    fn told(&self) -> Told {
        match self {
            ReadError::TooLarge { limit } => Told::new(
                "read.too-large",
                Fault::Document,
                format!("le message dépasse {limit} octets"),
                (
                    "Relevez la limite de lecture, ou demandez un envoi en plusieurs messages.",
                    "Raise the reading limit, or ask for several messages.",
                ),
            ),
            ReadError::Io(why) => Told::new(
                "read.io",
                Fault::Host,
                format!("lecture du message : {why}"),
                ("Vérifiez le fichier ou la connexion.", "Check the file or the connection."),
            ),
        }
    }
}
