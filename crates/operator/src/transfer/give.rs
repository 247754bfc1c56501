//! A mailbox as letters, folder by folder, in the order of UIDs.

use std::sync::Arc;

use store::{MailboxId, Store};

use super::letter::{Key, Letter, Post};
use super::{Result, TransferError};

/// Gives every message to `sink`; a folder is given as it was when its turn came. Answers how many there were; `sink` answers
/// `false` to stop.
///
/// # Errors
/// The store's; what `sink` answers.
pub async fn give<S, F>(store: &Arc<dyn Store>, mailbox: MailboxId, mut sink: S) -> Result<u64>
where
    S: FnMut(Post) -> F,
    F: Future<Output = Result<bool>>,
{
    let mut given = 0;
    for folder in store.folders(mailbox).await?.into_iter().filter(|folder| folder.selectable) {
        let view = store.watch(mailbox, folder.id).await?.borrow().clone();
        for entry in view.iter() {
            // One that was expunged meanwhile is passed over.
            let Some(body) = store.body(mailbox, entry.body).await? else { continue };
            let octets = body.read_all().await?;
            let letter = Letter {
                folder: folder.name.as_str().to_owned(),
                flags: entry.flags.names(&view.keywords).map(str::to_owned).collect(),
                date: entry.internal_date,
                key: Key::of("vaguemestre", folder.name.as_str(), &format!("{}.{}", view.uid_validity.0, entry.uid.0)),
                size: octets.len() as u64,
            };
            given += 1;
            if !sink(Post { letter, octets }).await? {
                return Ok(given);
            }
        }
    }
    Ok(given)
}

/// How many messages there are.
///
/// # Errors
/// [`TransferError::NoMailbox`], the store's.
pub async fn count(store: &dyn Store, address: &mssante::Address) -> Result<(MailboxId, u64)> {
    let mailbox = store.mailbox(address).await?.ok_or_else(|| TransferError::NoMailbox(address.to_string()))?;
    Ok((mailbox.id, mailbox.usage.messages))
}
