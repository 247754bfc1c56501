//! A folder whose SELECT was answered and whose messages are still being read.
//!
//! SELECT tells no more than the folder's outline; sequence numbers are positions in the picture that comes after it. Nothing is done
//! with the folder before that is there: every command but those that leave the folder, or the session, waits for it first
//! ([`Session::opened`]), and while the client says nothing the session waits for it among other things.

use mail::FolderName;

use super::Ended;
use super::selected::Selected;
use super::session::Session;
use crate::backend::{self, Complete, Completing, ObjectId};
use crate::command::Command;

/// What is known of it meanwhile. Dropped, nothing is read any more.
pub(super) struct Opening {
    pub(super) name: FolderName,
    /// What names it for good.
    pub(super) id: ObjectId,
    /// EXAMINE.
    pub(super) read_only: bool,
    pub(super) completing: Completing,
}

/// Waits for the messages, if there is such a folder.
pub(super) async fn complete(opening: Option<&mut Opening>) -> backend::Result<Complete> {
    match opening {
        Some(opening) => opening.completing.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Whether a command needs nothing of the folder that is open.
pub(super) fn leaves(command: &Command) -> bool {
    matches!(command, Command::Select { .. } | Command::Unselect | Command::Logout)
}

impl Session {
    /// Waits until the folder that was selected is there.
    ///
    /// # Errors
    /// As [`Session::completed`]; the server stops.
    pub(super) async fn opened(&mut self) -> Result<(), Ended> {
        if self.opening.is_none() {
            return Ok(());
        }
        let read = tokio::select! {
            biased;
            read = complete(self.opening.as_deref_mut()) => read,
            () = self.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping")),
        };
        self.completed(read)
    }

    /// The messages were read, or not.
    ///
    /// # Errors
    /// The client was told what cannot be kept: the session is over.
    pub(super) fn completed(&mut self, read: backend::Result<Complete>) -> Result<(), Ended> {
        let Some(opening) = self.opening.take() else { return Ok(()) };
        let Complete { folder, told } = read.map_err(|failure| {
            tracing::warn!(connection = self.peer.connection, %failure, "imap: a folder could not be read");
            Ended::Bye("The folder cannot be read, open it again")
        })?;
        self.selected = Some(Selected::of(opening.name, folder, told, opening.read_only, self.enabled));
        Ok(())
    }
}
