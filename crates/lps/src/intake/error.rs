//! What stops an intake.

use crate::explain::{Explain, Fault, Language};
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

impl IntakeError {
    fn inner(&self) -> &dyn Explain {
        match self {
            IntakeError::Mailbox(trouble) | IntakeError::Post(trouble) => trouble.as_ref(),
            IntakeError::Journal(error) => error,
            IntakeError::Receipt(error) => error,
        }
    }
}

impl Explain for IntakeError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn fault(&self) -> Fault {
        self.inner().fault()
    }

    fn is_temporary(&self) -> bool {
        self.inner().is_temporary()
    }

    fn message(&self, language: Language) -> String {
        self.inner().message(language)
    }

    fn remedy(&self, language: Language) -> String {
        self.inner().remedy(language)
    }
}
