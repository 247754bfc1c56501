//! What stops an intake.

use crate::explain::{Explain, Told};
use crate::journal::JournalError;
use crate::receipt::ReceiptError;

/// What a BAL or an outbox answers instead of what was asked.
pub type Trouble = Box<dyn Explain + Send + Sync>;

/// What stops an intake. What was done before is in the journal.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The BAL.
    #[error("{0}")]
    Mailbox(Trouble),
    /// The outbox.
    #[error("{0}")]
    Post(Trouble),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A notice cannot be made.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

impl Explain for IntakeError {
    fn told(&self) -> Told {
        match self {
            IntakeError::Mailbox(trouble) | IntakeError::Post(trouble) => trouble.told(),
            IntakeError::Journal(error) => error.told(),
            IntakeError::Receipt(error) => error.told(),
        }
    }
}
