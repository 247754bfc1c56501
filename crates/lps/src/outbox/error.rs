//! Why the outbox cannot be used, for people.

use std::io;

use super::EntryId;
use crate::explain::{Explain, Fault, Language};

/// Why the outbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder, or a file of it.
    #[error("outbox, {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the outbox is used by another process")]
    InUse,
    /// Too many messages wait.
    #[error("the outbox holds {} messages already", super::MAX_ENTRIES)]
    Full,
    /// A message of this identifier waits already.
    #[error("the outbox holds this message already")]
    AlreadyThere,
    /// No such entry.
    #[error("the outbox has no entry {0}")]
    Unknown(EntryId),
    /// The entry is being sent.
    #[error("entry {0} of the outbox is being sent")]
    Busy(EntryId),
    /// The entry has failed or is uncertain: somebody must decide.
    #[error("entry {0} of the outbox waits for somebody to decide")]
    Stopped(EntryId),
    /// The octets or the description of the entry are not what was written.
    #[error("entry {0} of the outbox is damaged")]
    Damaged(EntryId),
}

impl Explain for OutboxError {
    fn code(&self) -> &'static str {
        match self {
            OutboxError::Io { .. } => "outbox.io",
            OutboxError::InUse => "outbox.in-use",
            OutboxError::Full => "outbox.full",
            OutboxError::AlreadyThere => "outbox.already-there",
            OutboxError::Unknown(_) => "outbox.unknown",
            OutboxError::Busy(_) => "outbox.busy",
            OutboxError::Stopped(_) => "outbox.stopped",
            OutboxError::Damaged(_) => "outbox.damaged",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Host
    }

    fn is_temporary(&self) -> bool {
        matches!(self, OutboxError::Busy(_) | OutboxError::InUse | OutboxError::Full)
    }

    fn message(&self, language: Language) -> String {
        if language == Language::English {
            return self.to_string();
        }
        match self {
            OutboxError::Io { source, .. } => format!("boîte d'envoi : {source}"),
            OutboxError::InUse => "la boîte d'envoi est utilisée par un autre programme".into(),
            OutboxError::Full => format!("la boîte d'envoi contient déjà {} messages", super::MAX_ENTRIES),
            OutboxError::AlreadyThere => "la boîte d'envoi contient déjà ce message".into(),
            OutboxError::Unknown(id) => format!("la boîte d'envoi n'a pas d'entrée {id}"),
            OutboxError::Busy(id) => format!("l'entrée {id} de la boîte d'envoi est en cours d'envoi"),
            OutboxError::Stopped(id) => format!("l'entrée {id} de la boîte d'envoi attend une décision"),
            OutboxError::Damaged(id) => format!("l'entrée {id} de la boîte d'envoi est abîmée"),
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            OutboxError::Io { .. } => language.pick(
                "Vérifiez la place sur le disque et les droits sur le dossier.",
                "Check the room on the disk and the rights on the folder.",
            ),
            OutboxError::InUse | OutboxError::Busy(_) => {
                language.pick("Attendez que l'autre envoi soit fini.", "Wait until the other one is done.")
            }
            OutboxError::Full => language.pick(
                "Traitez les messages qui ne partent pas avant d'en ajouter.",
                "See to the messages that do not go before adding some.",
            ),
            OutboxError::AlreadyThere => {
                language.pick("Ne le remettez pas : il partira une fois.", "Do not put it again: it will go once.")
            }
            OutboxError::Unknown(_) => {
                language.pick("Relisez la liste des entrées.", "Read the list of entries again.")
            }
            OutboxError::Stopped(_) => {
                language.pick("Décidez : l'envoyer de nouveau ou l'oublier.", "Decide: send it again or forget it.")
            }
            OutboxError::Damaged(_) => language.pick(
                "Retirez l'entrée et faites le message de nouveau.",
                "Take the entry away and make the message again.",
            ),
        }
        .to_owned()
    }
}
