//! MOVE (RFC 6851): COPYUID first, in an untagged OK, then EXPUNGE of what went, then the tagged answer.

use mail::sequence::SequenceSet;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::selected::Selected;
use super::copy::{chosen, copy_uid};
use crate::command::{Name, Numbers};

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    to: Name,
) -> Outcome {
    let (uids, to) = chosen(out, selected, numbers, set, to).await?;
    if selected.read_only {
        return Ok(Reply::read_only());
    }
    if to == selected.name {
        return Ok(Reply::no("The messages are there already").code("CANNOT"));
    }
    if uids.is_empty() {
        return Ok(Reply::ok("Nothing to do"));
    }
    let moved = selected.folder.move_to(uids, &to).await.map_err(Reply::to_folder)?;
    if let Some(code) = copy_uid(&moved) {
        out.line(format_args!("* OK [{code}] Moved"));
    }
    Ok(Reply::ok("Done").with_modseq())
}
