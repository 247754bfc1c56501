//! COPY (RFC 3501 §6.4.7) with COPYUID (RFC 4315). What it shares with MOVE: [`chosen`].

use mail::sequence::SequenceSet;
use mail::{FolderName, Uid};

use super::super::output::Output;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::selected::{Expunges, Selected};
use super::{possible, uid_list};
use crate::backend::Copied;
use crate::command::{Name, Numbers};

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    to: Name,
) -> Outcome {
    let (uids, to) = chosen(out, selected, numbers, set, to).await?;
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to do"));
    }
    let copied = selected.folder.copy(uids, &to).await.map_err(Reply::to_folder)?;
    selected.made(&to, copied.uids.iter().map(|(_, is)| *is));
    Ok(match copy_uid(&copied) {
        Some(code) => Reply::ok("Done").code(code),
        None => Reply::ok("Nothing to do"),
    })
}

/// The messages to be copied or moved, once the client was told what it may be told, and where to. By number the client means
/// these very messages: all or none (RFC 3501 §6.4.7).
pub(super) async fn chosen(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    to: Name,
) -> Result<(Vec<Uid>, FolderName), Stop> {
    selected.tell(out, Expunges::Hold, numbers).await?;
    let positions = selected.positions(set, numbers)?;
    let to = possible(to)?;
    let (uids, gone) = selected.present(&positions);
    if gone && numbers == Numbers::Sequence { Err(Reply::expunge_issued().into()) } else { Ok((uids, to)) }
}

/// `COPYUID validity from to`; `None` when nothing was copied.
pub(super) fn copy_uid(copied: &Copied) -> Option<String> {
    if copied.uids.is_empty() {
        return None;
    }
    let from = uid_list(copied.uids.iter().map(|(was, _)| *was));
    let to = uid_list(copied.uids.iter().map(|(_, is)| *is));
    Some(format!("COPYUID {} {from} {to}", copied.uid_validity.0))
}
