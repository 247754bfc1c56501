//! What an intake and a clean-up want of a BAL and of an outbox: little enough to be played in tests, with a kill at any place.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::Trouble;
use crate::account::Account;
use crate::compose::Outgoing;
use crate::outbox::{Outbox, OutboxError};
use crate::send::SendOptions;
use crate::session::{Listing, Session, SessionError, Summary};
use crate::space::Space;

/// A BAL.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// UIDVALIDITY of a folder.
    async fn validity(&self, folder: &str) -> Result<u32, Trouble>;
    /// Messages of a folder, ascending by UID.
    async fn list(&self, folder: &str, listing: &Listing) -> Result<Vec<Summary>, Trouble>;
    /// A whole message, marked by nobody; `None` when it is gone or larger than `limit`.
    async fn fetch(&self, folder: &str, uid: u32, limit: u64) -> Result<Option<Vec<u8>>, Trouble>;
    /// Sets flags and keywords; does nothing where the server keeps no keywords.
    async fn mark(&self, folder: &str, uids: &[u32], add: &[&str]) -> Result<(), Trouble>;
    /// Deletes these messages for good and no others.
    async fn expunge(&self, folder: &str, uids: &[u32]) -> Result<(), Trouble>;
}

/// Where notices go: kept durably, then sent once.
#[async_trait]
pub trait Post: Send + Sync {
    /// Keeps a message to be sent: durable when this returns.
    async fn put(&self, message: &Outgoing) -> Result<(), Trouble>;
    /// The Message-IDs of those that wait, or failed, or are uncertain.
    fn waiting(&self) -> HashSet<String>;
    /// Sends what is due. That some could not be sent is no trouble: they wait.
    async fn run(&self) -> Result<(), Trouble>;
}

#[async_trait]
impl Mailbox for Session {
    async fn validity(&self, folder: &str) -> Result<u32, Trouble> {
        Ok(self.status(folder).await.map_err(boxed)?.uid_validity)
    }

    async fn list(&self, folder: &str, listing: &Listing) -> Result<Vec<Summary>, Trouble> {
        Session::list(self, folder, listing).await.map_err(boxed)
    }

    async fn fetch(&self, folder: &str, uid: u32, limit: u64) -> Result<Option<Vec<u8>>, Trouble> {
        match self.fetch_bytes(folder, uid, limit).await {
            Ok(octets) => Ok(Some(octets)),
            Err(SessionError::NoMessage | SessionError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(boxed(error)),
        }
    }

    async fn mark(&self, folder: &str, uids: &[u32], add: &[&str]) -> Result<(), Trouble> {
        match Session::mark(self, folder, uids, add, &[]).await {
            // The journal is what counts; keywords tell other programs.
            Ok(()) | Err(SessionError::NotKept(_)) => Ok(()),
            Err(error) => Err(boxed(error)),
        }
    }

    async fn expunge(&self, folder: &str, uids: &[u32]) -> Result<(), Trouble> {
        Session::expunge(self, folder, uids).await.map_err(boxed)
    }
}

/// The [`Outbox`], for the notices of one BAL. Notices it gave up or is in doubt of stay in it for a person to decide, and keep their
/// messages from being cleaned away.
#[derive(Clone)]
pub struct OutboxPost {
    /// The space.
    pub space: Arc<Space>,
    /// The BAL the notices go from.
    pub account: Account,
    /// The outbox.
    pub outbox: Arc<Outbox>,
    /// How they are sent.
    pub options: SendOptions,
}

#[async_trait]
impl Post for OutboxPost {
    async fn put(&self, message: &Outgoing) -> Result<(), Trouble> {
        match self.outbox.put(message, None, self.space.clock.now()).await {
            Ok(_) | Err(OutboxError::AlreadyThere) => Ok(()),
            Err(error) => Err(Box::new(error)),
        }
    }

    fn waiting(&self) -> HashSet<String> {
        let entries = self.outbox.entries().into_iter();
        entries.filter(|entry| entry.sender == self.account.address).map(|entry| entry.message_id).collect()
    }

    async fn run(&self) -> Result<(), Trouble> {
        let own = |sender: &mssante::Address| (*sender == self.account.address).then(|| self.account.clone());
        for (_, tried) in self.outbox.run(&self.space, own, &self.options).await {
            // What could not be sent waits; only an outbox that cannot be used is a trouble.
            match tried {
                Ok(_) | Err(OutboxError::Busy(_) | OutboxError::Unknown(_) | OutboxError::Stopped(_)) => {}
                Err(error) => return Err(Box::new(error)),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<M: Mailbox + ?Sized> Mailbox for Arc<M> {
    async fn validity(&self, folder: &str) -> Result<u32, Trouble> {
        (**self).validity(folder).await
    }

    async fn list(&self, folder: &str, listing: &Listing) -> Result<Vec<Summary>, Trouble> {
        (**self).list(folder, listing).await
    }

    async fn fetch(&self, folder: &str, uid: u32, limit: u64) -> Result<Option<Vec<u8>>, Trouble> {
        (**self).fetch(folder, uid, limit).await
    }

    async fn mark(&self, folder: &str, uids: &[u32], add: &[&str]) -> Result<(), Trouble> {
        (**self).mark(folder, uids, add).await
    }

    async fn expunge(&self, folder: &str, uids: &[u32]) -> Result<(), Trouble> {
        (**self).expunge(folder, uids).await
    }
}

fn boxed(error: SessionError) -> Trouble {
    Box::new(error)
}
