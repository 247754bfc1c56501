//! EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315). What went is told right after, with everything else that happened.

use mail::sequence::SequenceSet;

use super::super::reply::{Outcome, Reply};
use super::super::selected::Selected;
use crate::command::Numbers;

pub(in super::super) async fn run(selected: &Selected, set: Option<&SequenceSet>) -> Outcome {
    if selected.read_only {
        return Ok(Reply::read_only());
    }
    let uids = match set {
        Some(set) => {
            let positions = selected.positions(set, Numbers::Uid)?;
            let (uids, _) = selected.present(&positions);
            if uids.is_empty() {
                return Ok(Reply::ok("Nothing to do"));
            }
            Some(uids)
        }
        None if selected.latest().deleted() == 0 => return Ok(Reply::ok("Nothing to do")),
        None => None,
    };
    if faults::is_on(faults::Fault::ExpungeNothing) {
        return Ok(Reply::ok("Done"));
    }
    selected.folder.expunge(uids).await?;
    Ok(Reply::ok("Done").with_modseq())
}
