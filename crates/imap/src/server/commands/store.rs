//! STORE (RFC 3501 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3). Read-only folders refuse it; messages gone meanwhile do not stop the others.

use std::sync::Arc;

use mail::sequence::SequenceSet;
use mail::{Flags, Keywords, Uid};

use super::super::enabled::Enabled;
use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::selected::{Expunges, Selected, permanent_flags, sequence};
use super::{flags, uid_list};
use crate::backend::{FlagChange, FlagOperation};
use crate::command::Numbers;
use crate::modifiers::StoreModifiers;

/// What is to change.
pub(in super::super) struct Change {
    pub(in super::super) how: FlagOperation,
    /// `.SILENT`: the client knows what its own change makes of the flags, and is told only what it does not expect.
    pub(in super::super) silent: bool,
    pub(in super::super) flags: Vec<String>,
    pub(in super::super) modifiers: StoreModifiers,
}

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    change: Change,
) -> Outcome {
    // What others did is told first. A silent client was then told flags in this very command and cannot know whether they
    // are those before or after its change: where `before` differs, it is told again.
    let before = Arc::clone(&selected.told);
    let unchanged_since = change.modifiers.unchanged_since.map(|named| selected.since(named, &before));
    selected.tell(out, Expunges::Hold, numbers).await?;
    let positions = selected.positions(set, numbers)?;
    if selected.read_only {
        return Ok(Reply::read_only());
    }
    let (system, keywords) = flags(&change.flags)?;
    let (uids, gone) = selected.present(&positions);
    let condstore = selected.enabled.has(Enabled::CONDSTORE);
    let mut held_back = Vec::new();
    if !uids.is_empty() {
        let flag_change = FlagChange {
            uids: uids.clone(),
            how: change.how,
            flags: system,
            keywords: keywords.clone(),
            unchanged_since,
        };
        held_back = selected.folder.set_flags(flag_change).await?;
        let latest = selected.latest();
        if latest.keywords != selected.told.keywords {
            permanent_flags(out, &latest.keywords, selected.permanent());
        }
        let named = named(system, &keywords, &latest.keywords);
        let limit = selected.limit(&latest);
        // The whole picture at once, where the messages one by one would be copied.
        let only_ours = held_back.is_empty() && selected.only(&latest, &uids);
        // UIDs ascend: three pictures and the list of those held back are walked beside them. What is marked on the way are
        // messages that were passed, which moves no position.
        let told = Arc::clone(&selected.told);
        let (mut now, mut known, mut known_before) = (latest.follow(), told.follow(), before.follow());
        let same = Arc::ptr_eq(&before, &told);
        let mut held = held_back.iter().peekable();
        for uid in uids {
            while held.next_if(|held| **held < uid).is_some() {}
            if held.peek() == Some(&&uid) {
                continue;
            }
            let (Some((_, entry)), Some((known, old))) = (now.find(uid), known.find(uid)) else { continue };
            let entry = *entry;
            let mut unexpected = || {
                let old = old.flags;
                let before = if same { Some(old) } else { known_before.find(uid).map(|(_, e)| e.flags) };
                before != Some(old) || apply(old, change.how, named) != entry.flags
            };
            if !change.silent || unexpected() {
                selected.tell_flags(out, known, &entry, Some(&latest.keywords), numbers, limit);
            } else if condstore {
                // RFC 7162 §3.1.3: the MODSEQ is told, silent or not.
                selected.tell_flags(out, known, &entry, None, numbers, limit);
            }
            if out.is_full() {
                out.room().await?;
            }
            if !only_ours {
                selected.mark(&entry);
            }
        }
        selected.mark_keywords(&latest.keywords);
        if only_ours {
            selected.caught_up(latest);
        }
    }
    let gone = gone && numbers == Numbers::Sequence;
    if held_back.is_empty() {
        return Ok(if gone { Reply::expunge_issued() } else { Reply::ok("Done") });
    }
    let number = |uid: &Uid| match numbers {
        Numbers::Uid => Some(*uid),
        // A list of numbers is written as one of UIDs is.
        Numbers::Sequence => selected.told.position(*uid).ok().map(|p| Uid(sequence(p))),
    };
    let code = format!("MODIFIED {}", uid_list(held_back.iter().filter_map(number)));
    Ok(if gone {
        Reply::no("Some of the messages are gone, some were changed meanwhile").code(code)
    } else {
        Reply::ok("Some of the messages were changed meanwhile").code(code)
    })
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
