//! Why a journal cannot be used.

use crate::explain::{Explain, Fault, Remedy, Told};

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
    fn told(&self) -> Told {
        const DISK: Remedy =
            ("Vérifiez le disque et les droits, puis relancez.", "Check the disk and the rights, then start again.");
        match self {
            JournalError::Io { source, .. } => {
                Told::new("journal.io", Fault::Host, format!("le journal ne peut être lu ou écrit : {source}"), DISK)
            }
            JournalError::InUse => Told::new(
                "journal.in-use",
                Fault::Host,
                "le journal est utilisé par un autre processus",
                ("Arrêtez l'autre processus.", "Stop the other process."),
            )
            .passing(),
            JournalError::Line(line) => Told::new(
                "journal.line",
                Fault::Host,
                format!("la ligne {line} du journal est illisible"),
                (
                    "Remettez le journal depuis une sauvegarde ; ne le corrigez pas à la main.",
                    "Restore the journal from a backup; do not mend it by hand.",
                ),
            ),
            JournalError::Broken => {
                Told::new("journal.broken", Fault::Host, "une écriture précédente du journal a échoué", DISK)
            }
        }
    }
}
