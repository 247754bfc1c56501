//! COPY (RFC 3501 §6.4.7) with COPYUID (RFC 4315).

use mail::sequence::SequenceSet;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
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
    selected.tell(out, Expunges::Hold, numbers).await?;
    let positions = selected.positions(set, numbers)?;
    let to = possible(to)?;
    let (uids, gone) = selected.present(&positions);
    // By number the client means these very messages: all or none (RFC 3501 §6.4.7).
    if gone && numbers == Numbers::Sequence {
        return Ok(Reply::expunge_issued());
    }
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to do"));
    }
    let copied = selected.folder.copy(uids, &to).await.map_err(Reply::to_folder)?;
    Ok(match copy_uid(&copied) {
        Some(code) => Reply::ok("Done").code(code),
        None => Reply::ok("Nothing to do"),
    })
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
