//! STATUS (RFC 3501 §6.3.10, RFC 8438, RFC 7889, RFC 8474).

use mail::FolderName;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::existing;
use crate::backend::{Account, FolderStatus};
use crate::command::{Name, StatusItem};
use crate::response;

pub(in super::super) async fn run(
    out: &mut Output,
    account: &dyn Account,
    folder: Name,
    items: &[StatusItem],
) -> Outcome {
    let name = existing(folder)?;
    let status = account.status(&name).await?;
    write(out, &name, &status, account.append_limit(), items);
    Ok(Reply::ok("Done"))
}

/// `* STATUS name (…)`.
pub(super) fn write(
    out: &mut Output,
    name: &FolderName,
    status: &FolderStatus,
    append_limit: u64,
    items: &[StatusItem],
) {
    let id = items.contains(&StatusItem::MailboxId).then_some(status.id);
    let items: Vec<(StatusItem, u64)> = items
        .iter()
        .filter(|item| **item != StatusItem::MailboxId)
        .map(|item| {
            let value = match item {
                StatusItem::Messages => status.messages.into(),
                // Nothing is recent here: sessions are not told apart by who came first.
                StatusItem::Recent => 0,
                StatusItem::UidNext => status.uid_next.0.into(),
                StatusItem::UidValidity => status.uid_validity.0.into(),
                StatusItem::Unseen => status.unseen.into(),
                StatusItem::Deleted => status.deleted.into(),
                StatusItem::DeletedStorage => status.deleted_size,
                StatusItem::Size => status.size,
                StatusItem::HighestModSeq => status.highest_modseq.0,
                StatusItem::AppendLimit => append_limit,
                // Told apart.
                StatusItem::MailboxId => 0,
            };
            (*item, value)
        })
        .collect();
    let names = out.names;
    response::status(out.buffer(), name, names, &items, id);
}
