//! Mailboxes that were looked up a moment ago: a peer that sends much sends to the same ones.
//!
//! Only what spares a look-up is remembered, and for [`MEMORY`]: the commit looks again at whether the mailbox exists and at its quota.
//! What is not there is never remembered, so that a new mailbox receives at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mssante::Address;
use store::{Mailbox, Store};

/// How long a mailbox is taken to be as it was: what an administrator does is seen at RCPT this much later at most.
const MEMORY: Duration = Duration::from_secs(1);
/// Mailboxes remembered: some hundred octets each.
const MOST: usize = 4096;

/// Whether it may be full a moment from now: then it is looked up each time, to be refused at RCPT rather than after the message.
fn nearly_full(mailbox: &Mailbox) -> bool {
    let near = |used: u64, most: Option<u64>| most.is_some_and(|most| used >= most / 8 * 7);
    near(mailbox.usage.octets, mailbox.quota.octets) || near(mailbox.usage.messages, mailbox.quota.messages)
}

/// The mailboxes.
#[derive(Default)]
pub struct Recipients(Mutex<HashMap<Address, (Instant, Mailbox)>>);

impl Recipients {
    /// The mailbox of an address, as it was at most [`MEMORY`] ago.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, store: &dyn Store, address: &Address) -> store::Result<Option<Mailbox>> {
        let now = Instant::now();
        {
            // Every change of the map is one insertion or clearing: it stays consistent whatever panics.
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, mailbox)) = known.get(address)
                && now.duration_since(*since) < MEMORY
            {
                return Ok(Some(mailbox.clone()));
            }
        }
        let found = store.mailbox(address).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(mailbox) if !nearly_full(mailbox) => {
                if known.len() >= MOST {
                    known.clear();
                }
                known.insert(address.clone(), (now, mailbox.clone()));
            }
            _ => {
                known.remove(address);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Holder, NewMailbox, Quota};

    fn new(address: &Address) -> NewMailbox {
        NewMailbox {
            address: address.clone(),
            kind: mssante::MailboxKind::Per,
            holder: Holder::Person("899700000017".parse().expect("an identifier")),
            label: String::new(),
            quota: Quota::default(),
            created_at: 1,
        }
    }

    #[tokio::test]
    async fn what_is_there_is_remembered_and_what_is_not_is_not() {
        let store = store::memory::Memory::new();
        let address: Address = "a@alpha.formation.mssante.fr".parse().expect("an address");
        let recipients = Recipients::default();
        assert!(recipients.find(&store, &address).await.expect("looked up").is_none());
        let id = store.create_mailbox(new(&address)).await.expect("made");
        let found = recipients.find(&store, &address).await.expect("looked up");
        assert_eq!(found.map(|mailbox| mailbox.id), Some(id));
        store.delete_mailbox(id).await.expect("deleted");
        let known = |recipients: &Recipients| recipients.0.lock().expect("whole").get(&address).cloned();
        let (since, mailbox) = known(&recipients).expect("remembered");
        assert_eq!(mailbox.id, id);
        // As if it had been long ago.
        if let Some(before) = since.checked_sub(MEMORY) {
            recipients.0.lock().expect("whole").insert(address.clone(), (before, mailbox));
            assert!(recipients.find(&store, &address).await.expect("looked up").is_none());
            assert!(known(&recipients).is_none());
        }
    }
}
