//! Whether a session may still have its mailbox open: asked once in a while, so that a right that ended ends its sessions
//! (BAL-ROLES), whether they talk, wait or idle.

use mail::Rights;
use tokio::time::Instant;

use super::Ended;
use super::session::Session;

impl Session {
    /// When to look next; far away while nobody is authenticated.
    pub(super) fn next_look(&self) -> Instant {
        match self.account {
            Some(_) => self.looked + self.config.recheck,
            None => Instant::now() + self.config.recheck,
        }
    }

    /// Looks when it is time to.
    ///
    /// # Errors
    /// The session is over.
    pub(super) async fn look_if_due(&mut self) -> Result<(), Ended> {
        if self.next_look() <= Instant::now() { self.look().await } else { Ok(()) }
    }

    /// Looks now.
    ///
    /// # Errors
    /// The session is over.
    pub(super) async fn look(&mut self) -> Result<(), Ended> {
        self.looked = Instant::now();
        let Some(account) = self.account.clone() else { return Ok(()) };
        if !account.still_open().await {
            return Err(Ended::Bye("The mailbox is no longer open to you"));
        }
        self.still_readable()
    }

    /// Whether the folder that is open may still be read, as last seen.
    ///
    /// # Errors
    /// The session is over.
    pub(super) fn still_readable(&self) -> Result<(), Ended> {
        let reading = Rights::LOOKUP.with(Rights::READ);
        if self.selected.as_ref().is_some_and(|selected| !selected.folder.rights().contains(reading)) {
            return Err(Ended::Bye("The folder is no longer open to you"));
        }
        Ok(())
    }
}
