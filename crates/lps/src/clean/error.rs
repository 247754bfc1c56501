//! What stops a clean-up.

use crate::explain::{Explain, Fault, Told};
use crate::intake::Trouble;
use crate::journal::JournalError;

/// What stops a clean-up.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The BAL.
    #[error("{0}")]
    Mailbox(Trouble),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder became another one since the plan was made.
    #[error("the folder was made anew since the plan was made: nothing was deleted")]
    FolderChanged,
}

impl Explain for CleanError {
    fn told(&self) -> Told {
        match self {
            CleanError::Mailbox(trouble) => trouble.told(),
            CleanError::Journal(error) => error.told(),
            CleanError::FolderChanged => Told::new(
                "clean.folder-changed",
                Fault::Operator,
                "le dossier a été recréé depuis l'établissement du plan : rien n'est supprimé",
                ("Établissez un nouveau plan.", "Make a new plan."),
            )
            .passing(),
        }
    }
}
