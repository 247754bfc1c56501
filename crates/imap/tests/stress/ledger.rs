//! What all clients of the stress test know together: which message a UID is, what a folder may hold, which names there are.
//!
//! Commands meet: what one of them sees lies between what was certain when it was sent and what was possible when it was
//! answered. So whoever may add or remove messages says so before sending, and what came of it when the answer is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::super::picture::number_after;
use super::names::Names;

/// A small generator.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// What all clients know together; `(u32, u32)` is UIDVALIDITY and UID.
#[derive(Default)]
pub struct Ledger {
    /// Which message a UID is.
    pub subjects: BTreeMap<(u32, u32), String>,
    /// The highest UID given, or sure not to be given any more.
    pub last: BTreeMap<u32, u32>,
    /// The highest MODSEQ told.
    pub modseq: BTreeMap<u32, u64>,
    /// What the folders may hold, by name.
    pub folders: BTreeMap<String, Held>,
    /// Names that several clients make and remove.
    pub names: Names,
    pub messages: u64,
    pub commands: u64,
    /// Messages that a SEARCH judged as it had to, and those of which the client did not know enough to tell.
    pub judged: [u64; 2],
    /// Answers to CREATE, DELETE, RENAME, LIST and STATUS that were foreseen.
    pub foreseen: u64,
}

/// What a folder holds as far as clients were told since the last quiet moment.
#[derive(Clone, Default, Debug)]
pub struct Held {
    pub validity: u32,
    /// UIDs that are there or were.
    given: BTreeSet<u32>,
    /// Those that some client was told are gone.
    gone: BTreeSet<u32>,
    /// Those that a command may remove, or mark as to be removed.
    doomed: Vec<RangeInclusive<u32>>,
    /// Messages that commands under way may add.
    coming: usize,
}

impl Held {
    /// At a quiet moment: what is there, and which of it is `\Deleted`.
    pub fn exactly(validity: u32, messages: impl Iterator<Item = (u32, bool)>) -> Held {
        let mut held = Held { validity, ..Held::default() };
        for (uid, deleted) in messages {
            held.given.insert(uid);
            if deleted {
                held.doom(uid..=uid);
            }
        }
        held
    }

    /// A command is sent that may add so many.
    pub fn begin(&mut self, messages: usize) {
        self.coming += messages;
    }

    /// It was answered, and added these.
    pub fn end(&mut self, messages: usize, added: &[u32]) {
        self.coming -= messages;
        self.given.extend(added);
    }

    /// A command is sent that may remove these, now or later.
    pub fn doom(&mut self, uids: RangeInclusive<u32>) {
        self.doomed.push(uids);
    }

    fn is_doomed(&self, uid: u32) -> bool {
        self.doomed.iter().any(|uids| uids.contains(&uid))
    }

    /// Whether a copy of this message, answered now, may be one that can be removed: it has the flags of the message. Of a message
    /// whose own coming was not answered yet nobody knows the flags, and whoever put it there may have copied `\Deleted` with it.
    pub fn dooms_its_copy(&self, uid: u32) -> bool {
        self.is_doomed(uid) || !self.given.contains(&uid)
    }

    /// Somebody was told that it is gone.
    ///
    /// # Errors
    /// Nobody may have removed it.
    pub fn went(&mut self, uid: u32) -> Result<(), String> {
        if self.given.contains(&uid) && !self.is_doomed(uid) {
            return Err(format!("UID {uid} is gone, and nobody removed it"));
        }
        self.gone.insert(uid);
        Ok(())
    }

    /// Least messages without `\Deleted`, and most messages, that a command saw: `before` is what was known when it was sent.
    fn bounds(&self, before: &Held) -> (usize, usize) {
        let least = before.given.iter().filter(|uid| !self.is_doomed(**uid)).count();
        let most = self.given.difference(&before.gone).count() + self.coming;
        (least, most)
    }
}

/// What STATUS tells.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Status {
    pub messages: usize,
    pub unseen: usize,
    pub deleted: usize,
    pub size: u64,
    pub uid_next: u32,
    pub validity: u32,
    pub modseq: u64,
}

/// What a STATUS of everything names.
pub const STATUS: &str = "(MESSAGES UNSEEN DELETED SIZE UIDNEXT UIDVALIDITY HIGHESTMODSEQ)";

impl Status {
    pub fn told(lines: &[String]) -> Option<Status> {
        let line = lines.iter().find(|line| line.starts_with("* STATUS "))?;
        let (_, items) = line.rsplit_once('(')?;
        let items = format!(" {items}");
        let number = |word: &str| number_after(&items, &format!(" {word} "));
        Some(Status {
            messages: number("MESSAGES")? as usize,
            unseen: number("UNSEEN")? as usize,
            deleted: number("DELETED")? as usize,
            size: number("SIZE")?,
            uid_next: number("UIDNEXT")? as u32,
            validity: number("UIDVALIDITY")? as u32,
            modseq: number("HIGHESTMODSEQ")?,
        })
    }
}

/// What was certain when a STATUS was sent.
pub struct Certain {
    held: Held,
    last: u32,
    modseq: u64,
}

impl Ledger {
    pub fn held(&mut self, folder: &str) -> &mut Held {
        self.folders.entry(folder.to_owned()).or_default()
    }

    /// A STATUS of a folder is sent.
    pub fn certain(&mut self, folder: &str) -> Certain {
        let held = self.held(folder).clone();
        let known = |map: Option<&u64>| map.copied().unwrap_or_default();
        let last = self.last.get(&held.validity).copied().unwrap_or_default();
        Certain { last, modseq: known(self.modseq.get(&held.validity)), held }
    }

    /// It was answered.
    ///
    /// # Errors
    /// What was not so at any moment since it was sent.
    pub fn status(&mut self, folder: &str, before: &Certain, told: Status) -> Result<(), String> {
        let (least, most) = self.held(folder).bounds(&before.held);
        let kept = told.messages.checked_sub(told.deleted);
        let wrong = if told.validity != before.held.validity {
            "the folder is another one"
        } else if told.uid_next <= before.last {
            "UIDNEXT was given before"
        } else if told.modseq < before.modseq {
            "HIGHESTMODSEQ is behind what was told"
        } else if told.messages > most || told.messages >= told.uid_next as usize {
            "more messages than there may be"
        } else if kept.is_none_or(|kept| kept < least) {
            "fewer messages than there must be"
        } else if told.unseen > told.messages || (told.size == 0) != (told.messages == 0) {
            "counts of two moments"
        } else {
            let last = self.last.entry(told.validity).or_default();
            *last = told.uid_next.saturating_sub(1).max(*last);
            let modseq = self.modseq.entry(told.validity).or_default();
            *modseq = told.modseq.max(*modseq);
            return Ok(());
        };
        Err(format!("{wrong}: {told:?}; {least} to {most} messages, UIDs to {}, MODSEQ {}", before.last, before.modseq))
    }
}
