//! Why the outbox cannot be used, for people.

use std::io;

use super::EntryId;
use crate::explain::{Explain, Fault, Remedy, Told};

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
    fn told(&self) -> Told {
        const WAIT: Remedy = ("Attendez que l'autre envoi soit fini.", "Wait until the other one is done.");
        match self {
            OutboxError::Io { source, .. } => Told::new(
                "outbox.io",
                Fault::Host,
                format!("boîte d'envoi : {source}"),
                (
                    "Vérifiez la place sur le disque et les droits sur le dossier.",
                    "Check the room on the disk and the rights on the folder.",
                ),
            ),
            OutboxError::InUse => {
                Told::new("outbox.in-use", Fault::Host, "la boîte d'envoi est utilisée par un autre programme", WAIT)
                    .passing()
            }
            OutboxError::Full => Told::new(
                "outbox.full",
                Fault::Host,
                format!("la boîte d'envoi contient déjà {} messages", super::MAX_ENTRIES),
                (
                    "Traitez les messages qui ne partent pas avant d'en ajouter.",
                    "See to the messages that do not go before adding some.",
                ),
            )
            .passing(),
            OutboxError::AlreadyThere => Told::new(
                "outbox.already-there",
                Fault::Host,
                "la boîte d'envoi contient déjà ce message",
                ("Ne le remettez pas : il partira une fois.", "Do not put it again: it will go once."),
            ),
            OutboxError::Unknown(id) => Told::new(
                "outbox.unknown",
                Fault::Host,
                format!("la boîte d'envoi n'a pas d'entrée {id}"),
                ("Relisez la liste des entrées.", "Read the list of entries again."),
            ),
            OutboxError::Busy(id) => Told::new(
                "outbox.busy",
                Fault::Host,
                format!("l'entrée {id} de la boîte d'envoi est en cours d'envoi"),
                WAIT,
            )
            .passing(),
            OutboxError::Stopped(id) => Told::new(
                "outbox.stopped",
                Fault::Host,
                format!("l'entrée {id} de la boîte d'envoi attend une décision"),
                ("Décidez : l'envoyer de nouveau ou l'oublier.", "Decide: send it again or forget it."),
            ),
            OutboxError::Damaged(id) => Told::new(
                "outbox.damaged",
                Fault::Host,
                format!("l'entrée {id} de la boîte d'envoi est abîmée"),
                (
                    "Retirez l'entrée et faites le message de nouveau.",
                    "Take the entry away and make the message again.",
                ),
            ),
        }
    }
}
