//! What changed in a folder since it was last seen: by QRESYNC in one round trip; else by CONDSTORE; else by looking at all flags in
//! windows of UIDs. RFC 7162, RFC 4549.
//!
//! [`Known`] is replaced only when all was told: a synchronisation that fails changes nothing.

use std::collections::VecDeque;

use imap::client::{ClientError, Command, Fetched, Resync, Selected, Untagged};
use mail::Flags;

use super::attempt::Attempts;
use super::link::{Client, Link};
use super::{Changes, Known, Query, Session, SessionError};
use crate::trace::Action;

/// Messages whose flags are asked for at once: some 60 octets each.
const WINDOW: usize = 5_000;
/// Windows asked for before the first is answered.
const AHEAD: usize = 2;
/// Messages of one folder: more than any BAL holds, and 64 MB.
const MAX_MESSAGES: usize = 4_000_000;

/// What the server tells, as it comes.
#[derive(Default)]
struct Told {
    flags: Vec<(u32, Flags)>,
    vanished: Vec<std::ops::RangeInclusive<u32>>,
}

impl Session {
    /// Brings `known` up to date and tells what changed.
    ///
    /// # Errors
    /// [`SessionError`]; `known` is then as it was.
    pub async fn sync(&self, folder: &str, known: &mut Known) -> Result<Changes, SessionError> {
        let mut attempts = Attempts::new();
        let synchronised = loop {
            let mut guard = match self.enter(None, &mut attempts).await {
                Ok(guard) => guard,
                Err(error) => break Err(error),
            };
            let mut next = known.clone();
            match synchronise(guard.link(), folder, &mut next).await {
                Ok(changes) => {
                    guard.kept();
                    *known = next;
                    break Ok(changes);
                }
                Err(error) => {
                    if let Err(error) = guard.failed(error, Some(folder), &mut attempts).await {
                        break Err(error);
                    }
                }
            }
        };
        let request = match &synchronised {
            Ok(c) => {
                format!("SYNC {folder}: {} new, {} changed, {} gone", c.arrived.len(), c.marked.len(), c.vanished.len())
            }
            Err(_) => format!("SYNC {folder}"),
        };
        self.opener().trace(Action::List, request, synchronised.as_ref().err(), None);
        synchronised
    }
}

async fn synchronise(link: &mut Link, folder: &str, known: &mut Known) -> Result<Changes, ClientError> {
    let quick = link.client.has_enabled("QRESYNC") && known.validity != 0 && known.modseq != 0;
    let resync = quick.then_some(Resync { validity: known.validity, modseq: known.modseq });
    let mut told = Told::default();
    link.selected = None;
    let selected = link.client.select(folder, resync, &mut |untagged| told.take(untagged, known)).await?;
    link.selected = Some((folder.to_owned(), selected.clone()));
    let mut changes = Changes::default();
    if known.validity != selected.validity {
        changes.reset = known.validity != 0;
        *known = Known { validity: selected.validity, ..Known::default() };
        // What came with SELECT is told again below.
        told = Told::default();
    }
    let counted = selected.modseq.is_some() && known.modseq != 0;
    if counted && !quick {
        let since = format!(" (CHANGEDSINCE {})", known.modseq);
        fetch_flags(&mut link.client, &["1:*".to_owned()], &since, &mut told, known).await?;
    }
    if counted {
        apply(known, told, &mut changes);
        told = Told::default();
        if !quick && known.messages.len() != selected.exists as usize {
            let there = link.client.uid_search(|command: Command| Query::All.write(command), false).await?;
            keep_only(known, &there, &mut changes);
        }
    }
    // Also when the server's account of the changes does not come to the number of messages it tells.
    if !counted
        || known.messages.len() < selected.exists as usize
        || (quick && known.messages.len() != selected.exists as usize)
    {
        look_at_all(link, &selected, told, known, &mut changes).await?;
    }
    known.modseq = selected.modseq.unwrap_or(0);
    known.next = selected.next;
    for list in [&mut changes.arrived, &mut changes.marked, &mut changes.vanished] {
        list.sort_unstable();
        list.dedup();
    }
    let gone = &changes.vanished;
    changes.arrived.retain(|uid| gone.binary_search(uid).is_err());
    changes.marked.retain(|uid| gone.binary_search(uid).is_err() && changes.arrived.binary_search(uid).is_err());
    Ok(changes)
}

/// Every UID, then the flags of each, in windows.
async fn look_at_all(
    link: &mut Link,
    selected: &Selected,
    mut told: Told,
    known: &mut Known,
    changes: &mut Changes,
) -> Result<(), ClientError> {
    let there = match selected.exists {
        0 => Vec::new(),
        _ => link.client.uid_search(|command: Command| Query::All.write(command), false).await?,
    };
    keep_only(known, &there, changes);
    // All that there is between the first and the last of each: a range says it.
    let windows: Vec<String> = there.chunks(WINDOW).map(|w| format!("{}:{}", w[0], w[w.len() - 1])).collect();
    told.flags.reserve(there.len());
    fetch_flags(&mut link.client, &windows, "", &mut told, known).await?;
    // News of others that came meanwhile are for the next time.
    told.vanished.clear();
    told.flags.retain(|(uid, _)| there.binary_search(uid).is_ok());
    apply(known, told, changes);
    Ok(())
}

async fn fetch_flags(
    client: &mut Client,
    windows: &[String],
    modifiers: &str,
    told: &mut Told,
    known: &mut Known,
) -> Result<(), ClientError> {
    let mut tags = VecDeque::new();
    let mut sent = 0;
    for _ in 0..windows.len() {
        while sent < windows.len() && tags.len() < AHEAD {
            tags.push_back(client.submit(&Client::fetch_command(&windows[sent], "(UID FLAGS)", modifiers)).await?);
            sent += 1;
        }
        let Some(tag) = tags.pop_front() else { break };
        if let Err(error) = client.complete(tag, &mut |untagged| told.take(untagged, known)).await {
            return Err(if error.is_clean() && !tags.is_empty() { ClientError::Closed } else { error });
        }
        if told.flags.len() > MAX_MESSAGES {
            return Err(ClientError::TooMuch("messages in one folder"));
        }
    }
    Ok(())
}

impl Told {
    fn take(&mut self, untagged: Untagged, known: &mut Known) {
        match untagged {
            Untagged::Fetch(Fetched { uid: Some(uid), flags: Some(flags), .. }) if self.flags.len() <= MAX_MESSAGES => {
                self.flags.push((uid, known.learn(flags.iter().map(String::as_str))));
            }
            Untagged::Vanished(_, ranges) if self.vanished.len() <= MAX_MESSAGES => self.vanished.extend(ranges),
            _ => {}
        }
    }
}

/// Takes what was told into what is known.
fn apply(known: &mut Known, mut told: Told, changes: &mut Changes) {
    if !told.vanished.is_empty() {
        let gone = mail::sequence::Ranges::from_pairs(told.vanished.iter().map(|range| (*range.start(), *range.end())));
        known.messages.retain(|(uid, _)| {
            let there = !gone.contains(*uid);
            if !there {
                changes.vanished.push(*uid);
            }
            there
        });
    }
    // The last word about a message counts.
    told.flags.reverse();
    told.flags.sort_by_key(|(uid, _)| *uid);
    told.flags.dedup_by_key(|(uid, _)| *uid);
    let mut arrived = Vec::new();
    for (uid, flags) in told.flags {
        match known.messages.binary_search_by_key(&uid, |(uid, _)| *uid) {
            Ok(place) if known.messages[place].1 != flags => {
                known.messages[place].1 = flags;
                changes.marked.push(uid);
            }
            Ok(_) => {}
            Err(_) => arrived.push((uid, flags)),
        }
    }
    changes.arrived.extend(arrived.iter().map(|(uid, _)| *uid));
    let in_order = known.messages.last().zip(arrived.first()).is_none_or(|(last, first)| last.0 < first.0);
    known.messages.extend(arrived);
    if !in_order {
        known.messages.sort_unstable_by_key(|(uid, _)| *uid);
    }
}

/// Forgets what is not among these (ascending).
fn keep_only(known: &mut Known, there: &[u32], changes: &mut Changes) {
    known.messages.retain(|(uid, _)| {
        let kept = there.binary_search(uid).is_ok();
        if !kept {
            changes.vanished.push(*uid);
        }
        kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_applied() {
        let mut known = Known { messages: (1..=5).map(|uid| (uid, Flags::NONE)).collect(), ..Known::default() };
        let mut changes = Changes::default();
        let told = Told {
            flags: vec![(7, Flags::NONE), (2, Flags::NONE), (2, Flags::SEEN), (6, Flags::SEEN), (3, Flags::NONE)],
            vanished: vec![4..=5, 100..=u32::MAX],
        };
        apply(&mut known, told, &mut changes);
        assert_eq!(known.uids().collect::<Vec<_>>(), [1, 2, 3, 6, 7]);
        assert_eq!(known.messages[1].1, Flags::SEEN, "the last word counts");
        assert_eq!((changes.arrived, changes.marked, changes.vanished), (vec![6, 7], vec![2], vec![4, 5]));
        let mut changes = Changes::default();
        keep_only(&mut known, &[2, 7], &mut changes);
        assert_eq!(changes.vanished, [1, 3, 6]);
    }
}
