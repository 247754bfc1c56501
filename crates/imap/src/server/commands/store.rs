//! STORE (RFC 3501 §6.4.6). Read-only folders refuse it; messages gone meanwhile do not stop the others.

use mail::sequence::SequenceSet;
use mail::{Flags, Keywords};

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::selected::{Expunges, Selected, flags_response, permanent_flags};
use super::flags;
use crate::backend::{FlagChange, FlagOperation};
use crate::command::Numbers;

/// What is to change.
pub(in super::super) struct Change {
    pub(in super::super) how: FlagOperation,
    /// `.SILENT`: the client knows what its own change makes of the flags, and is told only what it does not expect.
    pub(in super::super) silent: bool,
    pub(in super::super) flags: Vec<String>,
}

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    change: Change,
) -> Outcome {
    // What others did is told first, so that `told` is what the client reckons from.
    selected.tell(out, Expunges::Hold, numbers).await?;
    let positions = selected.positions(set, numbers)?;
    if selected.read_only {
        return Ok(Reply::read_only());
    }
    let (system, keywords) = flags(&change.flags)?;
    let (uids, gone) = selected.present(&positions);
    if !uids.is_empty() {
        let flag_change = FlagChange { uids: uids.clone(), how: change.how, flags: system, keywords: keywords.clone() };
        selected.folder.set_flags(flag_change).await?;
        let latest = selected.latest();
        if latest.keywords != selected.told.keywords {
            permanent_flags(out, &latest.keywords, false);
        }
        let named = named(system, &keywords, &latest.keywords);
        for uid in uids {
            let (Some(entry), Ok(known)) = (latest.find(uid).copied(), selected.told.position(uid)) else { continue };
            if !change.silent {
                flags_response(out, known, &entry, &latest.keywords, numbers);
                out.room().await?;
                selected.mark(&entry);
            } else if selected.told.get(known).is_some_and(|old| apply(old.flags, change.how, named) == entry.flags) {
                selected.mark(&entry);
            }
        }
        selected.mark_keywords(&latest.keywords);
    }
    Ok(if gone && numbers == Numbers::Sequence { Reply::expunge_issued() } else { Reply::ok("Done") })
}

/// The flags the change names, as bits of the folder.
fn named(system: Flags, keywords: &[String], table: &Keywords) -> Flags {
    keywords.iter().filter_map(|k| table.find(k)).fold(system, Flags::with)
}

fn apply(flags: Flags, how: FlagOperation, named: Flags) -> Flags {
    match how {
        FlagOperation::Replace => named,
        FlagOperation::Add => flags.with(named),
        FlagOperation::Remove => flags.without(named),
    }
}
