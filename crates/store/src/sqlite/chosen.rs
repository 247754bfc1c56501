//! Which messages of a folder a change is for, and in what runs they lie.
//!
//! When somebody looks at the folder, its picture says so without a statement; otherwise rows are read, in as few ranges as
//! they lie in. A picture is used only if it is the folder as the transaction sees it: every change of a folder gives a MODSEQ,
//! so the same MODSEQ (and UIDVALIDITY) is the same folder; an earlier request of the same commit makes it another one.

use mail::{Entry, Flags, Keywords, ModSeq, Uid, UidValidity, View};
use rusqlite::{OptionalExtension, params};

use super::messages::keywords_from;
use super::register::must_exist;
use super::writer::Tx;
use super::{expunged, load};
use crate::views::Key;
use crate::{Result, StoreError};

/// A range read is worth it when it holds at most so many UIDs for each run of those asked for.
const SPREAD: usize = 8;

/// A selectable folder as the transaction sees it, with its picture if there is one.
pub(super) struct Folder<'v> {
    pub(super) key: Key,
    pub(super) keywords: Keywords,
    view: Option<&'v View>,
}

/// A message, and where it is: those of which the places follow one another have no other message between them.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    pub(super) place: usize,
    pub(super) entry: Entry,
}

impl<'v> Folder<'v> {
    pub(super) fn open(tx: &Tx<'_>, key: Key, view: Option<&'v View>) -> Result<Folder<'v>> {
        let state: Option<(u32, i64, String)> = tx
            .conn
            .prepare_cached(
                "SELECT uid_validity, modseq, keywords FROM folder WHERE mailbox = ?1 AND id = ?2 AND selectable = 1",
            )?
            .query_row(params![key.0.0 as i64, key.1.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((validity, modseq, keywords)) = state else {
            must_exist(tx.conn, key.0)?;
            return Err(StoreError::NoSuchFolder);
        };
        let (uid_validity, modseq) = (UidValidity(validity), ModSeq(modseq as u64));
        let view = view.filter(|view| view.uid_validity == uid_validity && view.highest_modseq == modseq);
        Ok(Folder { key, keywords: keywords_from(&keywords)?, view })
    }

    /// The messages of those UIDs (ascending) that exist.
    pub(super) fn choose(&self, tx: &Tx<'_>, uids: &[Uid]) -> Result<Vec<Chosen>> {
        if let Some(view) = self.view {
            return Ok(view.pick(uids).into_iter().map(|(place, entry)| Chosen { place, entry }).collect());
        }
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(Vec::new()) };
        let runs = expunged::runs(uids.iter().copied());
        let mut chosen = Vec::with_capacity(uids.len());
        if (last.0 - first.0) as usize / SPREAD <= runs.len() {
            let mut wanted = uids.iter().peekable();
            for found in self.range(tx, first.0, last.0)? {
                while wanted.next_if(|uid| **uid < found.entry.uid).is_some() {}
                if wanted.next_if(|uid| **uid == found.entry.uid).is_some() {
                    chosen.push(found);
                }
            }
        } else {
            let mut rows = load::Rows::new(tx.conn)?;
            for (first, last) in runs {
                // Runs do not touch: the UID tells places apart.
                let found = placed(rows.read(self.key, first, last)?);
                chosen.extend(found.map(|c| Chosen { place: c.place + first as usize, ..c }));
            }
        }
        Ok(chosen)
    }

    /// The messages between two UIDs, both included; places from 0.
    fn range(&self, tx: &Tx<'_>, first: u32, last: u32) -> Result<Vec<Chosen>> {
        Ok(placed(load::rows(tx.conn, self.key, first, last)?).collect())
    }

    /// Every message.
    pub(super) fn all(&self, tx: &Tx<'_>) -> Result<Vec<Chosen>> {
        match self.view {
            Some(view) => Ok(view.iter().enumerate().map(|(place, e)| Chosen { place, entry: *e }).collect()),
            None => self.range(tx, 0, u32::MAX),
        }
    }

    /// The messages with `\Deleted`, at most `limit`.
    pub(super) fn deleted(&self, tx: &Tx<'_>, limit: usize) -> Result<Vec<Chosen>> {
        if let Some(view) = self.view {
            let found = view.having(Flags::DELETED).take(limit);
            return Ok(found.map(|(place, entry)| Chosen { place, entry: *entry }).collect());
        }
        let all = self.range(tx, 0, u32::MAX)?.into_iter();
        Ok(all.filter(|c| c.entry.flags.contains(Flags::DELETED)).take(limit).collect())
    }
}

fn placed(rows: Vec<Entry>) -> impl Iterator<Item = Chosen> {
    rows.into_iter().enumerate().map(|(place, entry)| Chosen { place, entry })
}

/// The ranges of UIDs in which the chosen messages, and no others, lie.
pub(super) fn ranges(chosen: &[Chosen]) -> impl Iterator<Item = (u32, u32)> {
    chosen.chunk_by(|a, b| a.place + 1 == b.place).map(|run| (run[0].entry.uid.0, run[run.len() - 1].entry.uid.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_is_chosen_only() {
        let chosen = |place, uid| {
            let (size, flags, modseq) = (0, Flags::NONE, ModSeq(1));
            let entry = Entry { uid: Uid(uid), size, flags, modseq, internal_date: 0, body: 0, saved: 0, thread: 0 };
            Chosen { place, entry }
        };
        let all = [chosen(0, 3), chosen(1, 7), chosen(3, 9), chosen(4, 10), chosen(9, 40)];
        assert_eq!(ranges(&all).collect::<Vec<_>>(), [(3, 7), (9, 10), (40, 40)]);
        assert_eq!(ranges(&[]).count(), 0);
    }
}
