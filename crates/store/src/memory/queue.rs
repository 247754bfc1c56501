//! The outgoing queue of the engine in memory.

use std::sync::Arc;

use bytes::Bytes;

use super::{Queued, State};
use crate::model::sent_key;
use crate::*;

impl State {
    /// Leaves out the recipients that the sender has sent this message to.
    pub(super) fn not_sent_yet(
        &mut self,
        mut new: NewQueueEntry,
        key: Option<[u8; 16]>,
    ) -> Result<Option<NewQueueEntry>> {
        let (Some(sender), Some(key)) = (new.sender, key) else { return Ok(Some(new)) };
        let had = new.recipients.len();
        let known = &mut self.mailbox_mut(sender)?.duplicates;
        let since = new.accepted_at.saturating_sub(DUPLICATE_MEMORY);
        new.recipients.retain(|recipient| {
            let key = sent_key(key, &recipient.address);
            let again = known.get(&key).is_some_and(|at| *at >= since);
            if !again {
                known.insert(key, new.accepted_at);
            }
            !again
        });
        Ok(Some(new).filter(|new| had == 0 || !new.recipients.is_empty()))
    }

    pub(super) fn enqueue(&mut self, new: NewQueueEntry, once: Option<[u8; 16]>, octets: Bytes) -> Result<QueueId> {
        if new.recipients.is_empty() {
            return Err(StoreError::Io("a queue entry without recipient".into()));
        }
        self.last_entry += 1;
        let id = QueueId(self.last_entry);
        let recipients = (0..).zip(new.recipients).map(|(index, recipient)| QueueRecipient {
            index,
            address: recipient.address,
            notify: recipient.notify,
            original: recipient.original,
            attempts: 0,
            next_attempt: new.accepted_at,
            last_error: None,
            delay_told: false,
        });
        let entry = QueueEntry {
            id,
            sender: new.sender,
            return_path: new.return_path,
            parameters: new.parameters,
            accepted_at: new.accepted_at,
            expires_at: new.expires_at,
            size: octets.len() as u64,
            recipients: recipients.collect(),
        };
        self.queue.insert(id, Arc::new(Queued { entry, once, octets }));
        Ok(id)
    }

    pub(super) fn settle(&mut self, settlement: &Settlement) -> Result<()> {
        let unknown = || StoreError::Io("the queue has no such open recipient".into());
        let Some(queued) = self.queue.get_mut(&settlement.entry).map(Arc::make_mut) else {
            return if settlement.recipients.is_empty() { Ok(()) } else { Err(unknown()) };
        };
        let (sender, at) = (queued.entry.sender, queued.entry.accepted_at);
        let recipients = &mut queued.entry.recipients;
        let mut failed = Vec::new();
        for (index, outcome) in &settlement.recipients {
            let place = recipients.iter().position(|r| r.index == *index).ok_or_else(unknown)?;
            match outcome {
                Outcome::Relayed => {
                    recipients.remove(place);
                }
                Outcome::Failed => {
                    let gone = recipients.remove(place);
                    failed.extend(queued.once.map(|key| sent_key(key, &gone.address)));
                }
                Outcome::Retry { at, error, delay_told } => {
                    let recipient = &mut recipients[place];
                    recipient.attempts += 1;
                    recipient.next_attempt = *at;
                    recipient.last_error = Some(error.clone());
                    recipient.delay_told = *delay_told;
                }
            }
        }
        if recipients.is_empty() {
            self.queue.remove(&settlement.entry);
        }
        if let Some(sender) = sender.and_then(|id| self.boxes.get_mut(&id)).map(Arc::make_mut) {
            for key in failed {
                // What was remembered at another time is of another entry.
                if sender.duplicates.get(&key) == Some(&at) {
                    sender.duplicates.remove(&key);
                }
            }
        }
        Ok(())
    }
}
