//! What a client makes of what it is told: the picture of one folder, and every rule an answer can break.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::driver::searching::{Asked, Facts};

/// What a client knows of a message.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Message {
    pub uid: Option<u32>,
    pub flags: Option<BTreeSet<String>>,
    pub modseq: Option<u64>,
    /// A search did not find it though it matches: it must be gone, and the client will be told.
    pub missed: bool,
}

/// The folder a client has open: the message of number n is at n − 1.
#[derive(Clone, Default, Debug)]
pub struct Picture {
    pub folder: String,
    pub validity: u32,
    pub messages: Vec<Message>,
    /// The MODSEQ up to which everything was told.
    pub modseq: u64,
    /// UIDs told to be gone, for whoever keeps account of them.
    pub gone: Vec<u32>,
}

/// `1:3,7` as numbers.
pub fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    set.split(',').filter_map(range).flatten().collect()
}

/// The number after a word.
pub fn number_after(line: &str, word: &str) -> Option<u64> {
    let (_, rest) = line.split_once(word)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Picture {
    /// Takes in an untagged response to `command`.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn take(&mut self, command: &str, line: &str) -> Result<(), String> {
        let by_number = ["FETCH", "STORE", "SEARCH"].iter().any(|c| command.starts_with(c));
        if let Some(modseq) = number_after(line, "[HIGHESTMODSEQ ") {
            self.modseq = self.modseq.max(modseq);
        }
        let Some(rest) = line.strip_prefix("* ") else { return Ok(()) };
        if let Some(set) = rest.strip_prefix("VANISHED ") {
            let (early, set) = set.strip_prefix("(EARLIER) ").map_or((false, set), |set| (true, set));
            if by_number && !early {
                return Err("VANISHED while numbers are in use (RFC 7162 §3.2.10)".into());
            }
            return numbers(set).into_iter().try_for_each(|uid| self.vanish(uid, early));
        }
        let Some((number, what)) = rest.split_once(' ') else { return Ok(()) };
        let Ok(number) = number.parse::<usize>() else { return Ok(()) };
        if what == "EXISTS" {
            if number < self.messages.len() {
                return Err(format!("EXISTS shrinks from {}", self.messages.len()));
            }
            self.messages.resize(number, Message::default());
        } else if what == "EXPUNGE" {
            if by_number {
                return Err("EXPUNGE while numbers are in use (RFC 3501 §7.4.1)".into());
            }
            self.known(number)?;
            self.gone.extend(self.messages.remove(number - 1).uid);
        } else if let Some(items) = what.strip_prefix("FETCH (") {
            self.known(number)?;
            self.fetched(number - 1, items)?;
        }
        Ok(())
    }

    fn known(&self, number: usize) -> Result<(), String> {
        let len = self.messages.len();
        if (1..=len).contains(&number) { Ok(()) } else { Err(format!("no message has the number {number} of {len}")) }
    }

    fn fetched(&mut self, at: usize, items: &str) -> Result<(), String> {
        if let Some(uid) = number_after(items, "UID ").map(|uid| uid as u32) {
            if self.messages[at].uid.is_some_and(|known| known != uid) {
                return Err(format!("the message of number {} was UID {:?}", at + 1, self.messages[at].uid));
            }
            let before = self.messages[..at].iter().rev().find_map(|m| m.uid);
            let after = self.messages[at + 1..].iter().find_map(|m| m.uid);
            if before.is_some_and(|b| b >= uid) || after.is_some_and(|a| a <= uid) {
                return Err(format!("UIDs are not in order: {before:?} {uid} {after:?}"));
            }
            self.messages[at].uid = Some(uid);
        }
        if let Some((_, flags)) = items.split_once("FLAGS (") {
            let flags = flags.split(')').next().unwrap_or_default();
            self.messages[at].flags = Some(flags.split_whitespace().map(str::to_owned).collect());
        }
        if let Some(modseq) = number_after(items, "MODSEQ (") {
            // Told again it may be cut down to what the client may come back with, but flags never go back in time: whoever
            // compares does so with the folder in the end.
            self.messages[at].modseq = Some(modseq.max(self.messages[at].modseq.unwrap_or(0)));
        }
        Ok(())
    }

    /// A UID is gone. `early`: it may never have been known.
    fn vanish(&mut self, uid: u32, early: bool) -> Result<(), String> {
        self.gone.push(uid);
        if let Some(at) = self.messages.iter().position(|m| m.uid == Some(uid)) {
            self.messages.remove(at);
            return Ok(());
        }
        if early {
            return Ok(());
        }
        match self.place(uid) {
            Some(at) => {
                self.messages.remove(at);
                Ok(())
            }
            None => Err(format!("UID {uid} vanished, which cannot be there")),
        }
    }

    /// Where a UID that was not told yet may be: between its neighbours. Of several places, the one of a message that is known to
    /// be gone.
    fn place(&self, uid: u32) -> Option<usize> {
        let fits = |at: &usize| {
            let before = self.messages[..*at].iter().rev().find_map(|m| m.uid);
            let after = self.messages[at + 1..].iter().find_map(|m| m.uid);
            self.messages[*at].uid.is_none() && before.is_none_or(|b| b < uid) && after.is_none_or(|a| a > uid)
        };
        let places = || (0..self.messages.len()).filter(fits);
        places().find(|at| self.messages[*at].missed).or_else(|| places().next())
    }

    /// The UIDs that the messages of these numbers may have.
    pub fn span(&self, from: usize, to: usize) -> RangeInclusive<u32> {
        let (from, to) = (from.min(to).max(1) - 1, from.max(to).min(self.messages.len()));
        let known = |m: &Message| m.uid;
        let lowest = match self.messages.get(from).and_then(known) {
            Some(uid) => uid,
            None => self.messages[..from].iter().rev().find_map(known).map_or(1, |uid| uid + 1),
        };
        let highest = match to.checked_sub(1).and_then(|last| self.messages[last].uid) {
            Some(uid) => uid,
            None => self.messages[to..].iter().find_map(known).map_or(u32::MAX, |uid| uid - 1),
        };
        lowest..=highest
    }

    /// Takes in what a search found. Every message that the client knows enough of is judged; what matches and was not found must
    /// be gone (RFC 2180 §4.3), which is noted ([`Message::missed`]). How many were judged, and of how many too little is known.
    ///
    /// # Errors
    /// What was found and does not match.
    pub fn searched<'s>(
        &mut self,
        asked: &Asked,
        found: &[u32],
        subject: impl Fn(u32) -> Option<&'s str>,
    ) -> Result<[u64; 2], String> {
        let strangers = found.iter().find(|n| match asked.uids {
            true => !self.messages.iter().any(|m| m.uid == Some(**n)) && self.place(**n).is_none(),
            false => !(1..=self.messages.len()).contains(&(**n as usize)),
        });
        if let Some(stranger) = strangers {
            return Err(format!("found {stranger}, which is not there"));
        }
        let (last, last_uid) = (self.messages.len() as u32, self.messages.last().and_then(|m| m.uid));
        let mut counts = [0, 0];
        for (number, message) in (1..).zip(&mut self.messages) {
            let named = if asked.uids { message.uid } else { Some(number) };
            let subject = message.uid.and_then(&subject);
            let facts = Facts { number, message, last, last_uid, subject };
            let (Some(named), Some(matches)) = (named, asked.key.judge(&facts)) else {
                counts[1] += 1;
                continue;
            };
            counts[0] += 1;
            let is_found = found.binary_search(&named).is_ok();
            if matches != is_found {
                // A text that was removed while it was read is not found, and what was sought may be just that.
                if is_found && !asked.key.reads() {
                    return Err(format!("found {named}, which does not match: {message:?}"));
                }
                message.missed = true;
            }
        }
        Ok(counts)
    }

    /// Whether what is known is what the folder has: `truth` is a picture of everything.
    ///
    /// # Errors
    /// The first difference.
    pub fn agrees(&self, truth: &Picture) -> Result<(), String> {
        if self.messages.len() != truth.messages.len() {
            let uids = |p: &Picture| p.messages.iter().map(|m| m.uid).collect::<Vec<_>>();
            return Err(format!("messages: known {:?}, there {:?}", uids(self), uids(truth)));
        }
        for (at, (known, there)) in self.messages.iter().zip(&truth.messages).enumerate() {
            let uid = known.uid.is_none() || known.uid == there.uid;
            let flags = known.flags.is_none() || known.flags == there.flags;
            if !uid || !flags {
                return Err(format!("message {}: known {known:?}, there {there:?}", at + 1));
            }
        }
        Ok(())
    }
}
