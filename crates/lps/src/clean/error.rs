//! What stops a clean-up.

use crate::explain::{Explain, Fault, Language};
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
    fn code(&self) -> &'static str {
        match self {
            CleanError::Mailbox(trouble) => trouble.code(),
            CleanError::Journal(error) => error.code(),
            CleanError::FolderChanged => "clean.folder-changed",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            CleanError::Mailbox(trouble) => trouble.fault(),
            CleanError::Journal(error) => error.fault(),
            CleanError::FolderChanged => Fault::Operator,
        }
    }

    fn is_temporary(&self) -> bool {
        match self {
            CleanError::Mailbox(trouble) => trouble.is_temporary(),
            CleanError::Journal(error) => error.is_temporary(),
            CleanError::FolderChanged => true,
        }
    }

    fn message(&self, language: Language) -> String {
        match self {
            CleanError::Mailbox(trouble) => trouble.message(language),
            CleanError::Journal(error) => error.message(language),
            CleanError::FolderChanged => language
                .pick(
                    "le dossier a été recréé depuis l'établissement du plan : rien n'est supprimé",
                    "the folder was made anew since the plan was made: nothing was deleted",
                )
                .to_owned(),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            CleanError::Mailbox(trouble) => trouble.remedy(language),
            CleanError::Journal(error) => error.remedy(language),
            CleanError::FolderChanged => language.pick("Établissez un nouveau plan.", "Make a new plan.").to_owned(),
        }
    }
}
