//! A picture of a folder at one moment, shared by the store and by every session that has the folder open.
//!
//! A [`View`] never changes: the store makes the next one after each commit and publishes it. Entries lie in chunks behind
//! `Arc`, so the next view shares every chunk that did not change, a session keeps the picture it has told its client of at
//! the price of a pointer, and [`View::difference`] skips what is shared: the cost of a change is the change.
//!
//! Invariants: UIDs strictly grow with the position; every UID is below `uid_next`; no entry's MODSEQ is above
//! `highest_modseq`; the counters agree with the entries.

mod follow;
mod outline;
mod uids;
mod walk;

use std::ops::{Deref, Range};
use std::sync::Arc;

pub use follow::Follow;
pub use outline::Outline;
pub use uids::Uids;
pub use walk::Walk;

use crate::flags::{Flags, Keywords};

/// A message's unique identifier in its folder, never 0 (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uid(pub u32);

/// The epoch of a folder's UIDs, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UidValidity(pub u32);

/// A modification sequence (RFC 7162): grows with every change of a folder, at most 63 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ModSeq(pub u64);

/// One message of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its identifier in the folder.
    pub uid: Uid,
    /// RFC822.SIZE in octets.
    pub size: u32,
    /// Flags and keywords.
    pub flags: Flags,
    /// When flags last changed or the message came.
    pub modseq: ModSeq,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub internal_date: i64,
    /// The store's number for the body, opaque to everyone else; a copy of a message has the same.
    pub body: u64,
    /// SAVEDATE (RFC 8514): when the message came into this folder, seconds since 1970 UTC (until 2106).
    pub saved: u32,
    /// The conversation it is of, numbered by its mailbox (RFC 8474 THREADID); 0: not known.
    pub thread: u32,
}

/// Entries in a chunk: large enough that 100,000 messages are 200 pointers, small enough to copy for one change.
const CHUNK: usize = 512;

/// Entries that change together, the highest MODSEQ among them and the flags that any has: what changed since, or has a flag, is
/// found without a look at the rest.
#[derive(Clone, Debug, Default)]
struct Entries {
    list: Vec<Entry>,
    /// Or more.
    highest: ModSeq,
    /// Or more.
    flags: Flags,
}

impl Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.list
    }
}

type Chunk = Arc<Entries>;

/// A folder at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The epoch of the UIDs.
    pub uid_validity: UidValidity,
    /// The UID the next message will have, or more.
    pub uid_next: Uid,
    /// The highest MODSEQ of the folder, expunges included.
    pub highest_modseq: ModSeq,
    /// The keywords of the folder.
    pub keywords: Keywords,
    chunks: Vec<Chunk>,
    /// Position of each chunk's first entry.
    starts: Vec<usize>,
    len: usize,
    unseen: usize,
    deleted: usize,
    octets: u64,
}

/// What happened between two views of one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Positions (from 0) in the older view of the messages that are gone, ascending.
    pub expunged: Vec<usize>,
    /// Positions in the newer view of messages that were there and whose flags or MODSEQ changed, ascending.
    pub changed: Vec<usize>,
    /// Number of messages at the end of the newer view that the older one did not have.
    pub added: usize,
}

impl Difference {
    /// Whether the two views are alike.
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty() && self.changed.is_empty() && self.added == 0
    }
}

impl View {
    /// An empty folder.
    pub fn empty(uid_validity: UidValidity, uid_next: Uid, highest_modseq: ModSeq, keywords: Keywords) -> Self {
        View {
            uid_validity,
            uid_next,
            highest_modseq,
            keywords,
            chunks: Vec::new(),
            starts: Vec::new(),
            len: 0,
            unseen: 0,
            deleted: 0,
            octets: 0,
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of messages without `\Seen`.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Number of messages with `\Deleted`.
    pub fn deleted(&self) -> usize {
        self.deleted
    }

    /// Sum of the sizes, in octets.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The entry at a position (sequence number − 1).
    pub fn get(&self, position: usize) -> Option<&Entry> {
        if position >= self.len {
            return None;
        }
        let chunk = self.starts.partition_point(|start| *start <= position) - 1;
        self.chunks[chunk].get(position - self.starts[chunk])
    }

    /// The position of a UID: `Ok` when it is there, `Err` with where it would be.
    pub fn position(&self, uid: Uid) -> Result<usize, usize> {
        let chunk = self.chunks.partition_point(|c| c[c.len() - 1].uid < uid);
        let Some(entries) = self.chunks.get(chunk) else { return Err(self.len) };
        match entries.binary_search_by_key(&uid, |e| e.uid) {
            Ok(i) => Ok(self.starts[chunk] + i),
            Err(i) => Err(self.starts[chunk] + i),
        }
    }

    /// The entry of a UID.
    pub fn find(&self, uid: Uid) -> Option<&Entry> {
        self.position(uid).ok().and_then(|p| self.get(p))
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.chunks.last().and_then(|c| c.last())
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|c| c.iter())
    }

    /// The entries at these positions.
    pub fn range(&self, positions: Range<usize>) -> impl Iterator<Item = &Entry> {
        self.parts(positions).flat_map(|(_, part)| part.list)
    }

    /// The entries at these positions whose MODSEQ is above `since`, with their positions. Passes over whole chunks that
    /// have none, so that the cost is the answer.
    pub fn changed_since(&self, positions: Range<usize>, since: ModSeq) -> impl Iterator<Item = (usize, &Entry)> {
        self.parts(positions)
            .filter(move |(_, part)| part.highest > since)
            .flat_map(|(start, part)| part.list.iter().enumerate().map(move |(i, entry)| (start + i, entry)))
            .filter(move |(_, entry)| entry.modseq > since)
    }

    /// The entries that have a flag, with their positions. Passes over whole chunks in which none has it.
    pub fn having(&self, flag: Flags) -> impl Iterator<Item = (usize, &Entry)> {
        let chunks = self.chunks.iter().zip(&self.starts).filter(move |(chunk, _)| chunk.flags.contains(flag));
        chunks
            .flat_map(|(chunk, start)| chunk.iter().enumerate().map(move |(i, entry)| (start + i, entry)))
            .filter(move |(_, entry)| entry.flags.contains(flag))
    }

    /// The parts of chunks that lie at these positions, each with its first position.
    fn parts(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, Part<'_>)> {
        let end = positions.end.min(self.len);
        let first = self.starts.partition_point(|start| *start <= positions.start).saturating_sub(1);
        let chunks = self.chunks.iter().zip(&self.starts).skip(first).take_while(move |(_, start)| **start < end);
        chunks.map(move |(chunk, start)| {
            let from = positions.start.max(*start) - start;
            let to = (end - start).min(chunk.len()).max(from);
            (start + from, Part { list: chunk.get(from..to).unwrap_or_default(), highest: chunk.highest })
        })
    }

    /// The position of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        if self.unseen == 0 {
            return None;
        }
        self.iter().position(|e| !e.flags.contains(Flags::SEEN))
    }

    /// Adds a message at the end. `uid_next` and `highest_modseq` follow.
    ///
    /// # Panics
    /// When the UID is not above the last one: the store gives them in order.
    pub fn push(&mut self, entry: Entry) {
        assert!(self.last().is_none_or(|last| last.uid < entry.uid), "UIDs grow");
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                let chunk = Arc::make_mut(chunk);
                chunk.highest = chunk.highest.max(entry.modseq);
                chunk.flags = chunk.flags.with(entry.flags);
                chunk.list.push(entry);
            }
            _ => {
                self.starts.push(self.len);
                let mut list = Vec::with_capacity(if self.chunks.is_empty() { 4 } else { CHUNK });
                list.push(entry);
                self.chunks.push(Arc::new(Entries { list, highest: entry.modseq, flags: entry.flags }));
            }
        }
        self.len += 1;
        self.count(&entry, true);
        self.uid_next = self.uid_next.max(Uid(entry.uid.0.saturating_add(1)));
        self.highest_modseq = self.highest_modseq.max(entry.modseq);
    }

    /// Adds messages at the end, as [`View::push`] does one by one.
    ///
    /// # Panics
    /// When the UIDs do not grow.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let mut last = self.last().map_or(Uid(0), |last| last.uid);
            let room = entries.size_hint().0;
            if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
                self.starts.push(self.len);
                let list = Vec::with_capacity(room.clamp(4, CHUNK));
                self.chunks.push(Arc::new(Entries { list, ..Entries::default() }));
            }
            // Out of the view while it is filled, so that what it adds can be counted.
            let Some(mut chunk) = self.chunks.pop() else { break };
            let filling = Arc::make_mut(&mut chunk);
            while filling.list.len() < CHUNK
                && let Some(entry) = entries.next()
            {
                assert!(last < entry.uid, "UIDs grow");
                last = entry.uid;
                filling.highest = filling.highest.max(entry.modseq);
                filling.flags = filling.flags.with(entry.flags);
                self.len += 1;
                self.count(&entry, true);
                filling.list.push(entry);
            }
            self.highest_modseq = self.highest_modseq.max(filling.highest);
            self.chunks.push(chunk);
            self.uid_next = self.uid_next.max(Uid(last.0.saturating_add(1)));
        }
    }

    /// Gives a message new flags and MODSEQ; `false` when the UID is not there.
    pub fn update(&mut self, uid: Uid, flags: Flags, modseq: ModSeq) -> bool {
        let chunk = self.chunks.partition_point(|c| c[c.len() - 1].uid < uid);
        let Some(entries) = self.chunks.get_mut(chunk) else { return false };
        let Ok(i) = entries.binary_search_by_key(&uid, |e| e.uid) else { return false };
        let before = entries[i];
        let after = Entry { flags, modseq, ..before };
        let entries = Arc::make_mut(entries);
        entries.list[i] = after;
        // Never lowered: too high costs a look, too low would hide a change.
        entries.highest = entries.highest.max(modseq);
        entries.flags = entries.flags.with(flags);
        self.count(&before, false);
        self.count(&after, true);
        self.highest_modseq = self.highest_modseq.max(modseq);
        true
    }

    /// Gives messages new flags, all with one MODSEQ: UIDs ascending, unknown ones are ignored. Returns how many there were.
    pub fn update_all(&mut self, messages: &[(Uid, Flags)], modseq: ModSeq) -> usize {
        let mut done = 0;
        let mut rest = messages;
        while let Some((first, _)) = rest.first() {
            let place = self.chunks.partition_point(|c| c[c.len() - 1].uid < *first);
            let Some(chunk) = self.chunks.get_mut(place) else { break };
            let last = chunk[chunk.len() - 1].uid;
            let (here, later) = rest.split_at(rest.partition_point(|(uid, _)| *uid <= last));
            rest = later;
            let (known, mut given) = (done, Flags::NONE);
            let part = Arc::make_mut(chunk);
            let entries = &mut part.list;
            let mut at = entries.partition_point(|e| e.uid < *first);
            for (uid, flags) in here {
                // Neighbours most often.
                if entries.get(at).is_some_and(|e| e.uid < *uid) {
                    at += entries[at..].partition_point(|e| e.uid < *uid);
                }
                let Some(entry) = entries.get_mut(at).filter(|e| e.uid == *uid) else { continue };
                let counted = |flags: Flags, flag| usize::from(flags.contains(flag));
                self.unseen = self.unseen + counted(entry.flags, Flags::SEEN) - counted(*flags, Flags::SEEN);
                self.deleted = self.deleted + counted(*flags, Flags::DELETED) - counted(entry.flags, Flags::DELETED);
                (entry.flags, entry.modseq) = (*flags, modseq);
                given = given.with(*flags);
                at += 1;
                done += 1;
            }
            if done > known {
                part.highest = part.highest.max(modseq);
                part.flags = part.flags.with(given);
            }
        }
        if done > 0 {
            self.highest_modseq = self.highest_modseq.max(modseq);
        }
        done
    }

    /// The messages of these UIDs (ascending) that are there, with their positions.
    pub fn pick(&self, uids: &[Uid]) -> Vec<(usize, Entry)> {
        let mut found = Vec::with_capacity(uids.len().min(self.len));
        let mut rest = uids;
        while let Some(first) = rest.first() {
            let place = self.chunks.partition_point(|c| c[c.len() - 1].uid < *first);
            let Some(entries) = self.chunks.get(place) else { break };
            let last = entries[entries.len() - 1].uid;
            let (here, later) = rest.split_at(rest.partition_point(|uid| *uid <= last));
            rest = later;
            let mut at = 0;
            for uid in here {
                if entries[at].uid < *uid {
                    at += entries[at..].partition_point(|e| e.uid < *uid);
                }
                // There is one: `uid` is not above the last of them.
                if entries[at].uid == *uid {
                    found.push((self.starts[place] + at, entries[at]));
                }
            }
        }
        found
    }

    /// Takes messages out. `uids` ascending; unknown ones are ignored. Returns how many went.
    pub fn remove(&mut self, uids: &[Uid]) -> usize {
        let mut gone = 0;
        let mut chunks = Vec::with_capacity(self.chunks.len());
        let mut rest = uids;
        for chunk in std::mem::take(&mut self.chunks) {
            let last = chunk[chunk.len() - 1].uid;
            let here = rest.partition_point(|uid| *uid <= last);
            let (in_chunk, later) = rest.split_at(here);
            rest = later;
            if in_chunk.is_empty() {
                chunks.push(chunk);
                continue;
            }
            let mut going = in_chunk.iter().peekable();
            let mut kept: Vec<Entry> = Vec::with_capacity(chunk.len().saturating_sub(in_chunk.len()));
            for entry in chunk.iter() {
                while going.next_if(|uid| **uid < entry.uid).is_some() {}
                if going.next_if(|uid| **uid == entry.uid).is_some() {
                    gone += 1;
                    self.count(entry, false);
                } else {
                    kept.push(*entry);
                }
            }
            if kept.len() == chunk.len() {
                chunks.push(chunk);
            } else if !kept.is_empty() {
                let flags = kept.iter().fold(Flags::NONE, |all, entry| all.with(entry.flags));
                chunks.push(Arc::new(Entries { list: kept, highest: chunk.highest, flags }));
            }
        }
        self.chunks = chunks;
        self.len -= gone;
        self.starts.clear();
        let mut start = 0;
        for chunk in &self.chunks {
            self.starts.push(start);
            start += chunk.len();
        }
        gone
    }

    /// What a session that knows `older` must be told. Both must be views of one folder with one UIDVALIDITY.
    pub fn difference(&self, older: &View) -> Difference {
        let mut d = Difference::default();
        let (mut o, mut n) = (Cursor::new(older), Cursor::new(self));
        loop {
            match (o.chunk(), n.chunk()) {
                // Nothing before this point in either chunk, and the very same chunk: nothing to tell.
                (Some(a), Some(b)) if o.offset == 0 && n.offset == 0 && Arc::ptr_eq(a, b) => {
                    o.skip_chunk();
                    n.skip_chunk();
                }
                (Some(a), Some(b)) => {
                    let (was, is) = (&a[o.offset], &b[n.offset]);
                    if was.uid == is.uid {
                        if was.modseq != is.modseq || was.flags != is.flags {
                            d.changed.push(n.position);
                        }
                        o.step();
                        n.step();
                    } else if was.uid < is.uid {
                        d.expunged.push(o.position);
                        o.step();
                    } else {
                        // A UID the older view lacks can only be new: it is above all that view knew.
                        d.added += 1;
                        n.step();
                    }
                }
                (Some(_), None) => {
                    d.expunged.push(o.position);
                    o.step();
                }
                (None, _) => {
                    d.added += self.len - n.position;
                    return d;
                }
            }
        }
    }

    fn count(&mut self, entry: &Entry, add: bool) {
        let unseen = usize::from(!entry.flags.contains(Flags::SEEN));
        let deleted = usize::from(entry.flags.contains(Flags::DELETED));
        if add {
            self.unseen += unseen;
            self.deleted += deleted;
            self.octets += u64::from(entry.size);
        } else {
            self.unseen -= unseen;
            self.deleted -= deleted;
            self.octets -= u64::from(entry.size);
        }
    }
}

/// Part of a chunk.
struct Part<'v> {
    list: &'v [Entry],
    highest: ModSeq,
}

/// Walks a view, chunk by chunk where it can.
struct Cursor<'v> {
    view: &'v View,
    chunk: usize,
    offset: usize,
    position: usize,
}

impl<'v> Cursor<'v> {
    fn new(view: &'v View) -> Self {
        Cursor { view, chunk: 0, offset: 0, position: 0 }
    }

    fn chunk(&self) -> Option<&'v Chunk> {
        self.view.chunks.get(self.chunk)
    }

    fn step(&mut self) {
        self.offset += 1;
        self.position += 1;
        if self.chunk().is_some_and(|c| self.offset == c.len()) {
            self.chunk += 1;
            self.offset = 0;
        }
    }

    fn skip_chunk(&mut self) {
        self.position += self.chunk().map_or(0, |c| c.len());
        self.chunk += 1;
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests;
