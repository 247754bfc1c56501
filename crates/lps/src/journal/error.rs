//! Why a journal cannot be used.

use crate::explain::{Explain, Fault, Language};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error("journal, {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the journal is used by another process")]
    InUse,
    /// A line that is not one of ours: its number, from 1.
    #[error("line {0} of the journal cannot be read")]
    Line(usize),
    /// An earlier write failed.
    #[error("an earlier write to the journal failed: it must be opened again")]
    Broken,
}

impl Explain for JournalError {
    fn code(&self) -> &'static str {
        match self {
            JournalError::Io { .. } => "journal.io",
            JournalError::InUse => "journal.in-use",
            JournalError::Line(_) => "journal.line",
            JournalError::Broken => "journal.broken",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Host
    }

    fn is_temporary(&self) -> bool {
        matches!(self, JournalError::InUse)
    }

    fn message(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            JournalError::Io { source, .. } => format!("le journal ne peut être lu ou écrit : {source}"),
            JournalError::InUse => "le journal est utilisé par un autre processus".to_owned(),
            JournalError::Line(line) => format!("la ligne {line} du journal est illisible"),
            JournalError::Broken => "une écriture précédente du journal a échoué".to_owned(),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            JournalError::Io { .. } | JournalError::Broken => language.pick(
                "Vérifiez le disque et les droits, puis relancez.",
                "Check the disk and the rights, then start again.",
            ),
            JournalError::InUse => language.pick("Arrêtez l'autre processus.", "Stop the other process."),
            JournalError::Line(_) => language.pick(
                "Remettez le journal depuis une sauvegarde ; ne le corrigez pas à la main.",
                "Restore the journal from a backup; do not mend it by hand.",
            ),
        }
        .to_owned()
    }
}
