//! Marks: flags given to many neighbours at once, which are one row until upkeep writes them into the rows of the messages.
//!
//! `STORE 1:*` of a hundred thousand messages writes a thousand pages when each has its row changed, and one when it is noted what
//! became of all of them. A message as it is, is its row with the marks over it that are younger: [`over`]. Upkeep
//! [folds](fold_some) the oldest mark of a folder into a few rows at a time.
//!
//! Invariants:
//! * every message between a mark's first and last whose row is of a lower MODSEQ was changed by it; none comes between them
//!   later, since UIDs only grow;
//! * a row is written with the flags the message has, its marks included, and with a MODSEQ that is not below theirs;
//! * marks of a folder are folded in the order of their MODSEQs, each from its first message on: what a message is, is the same
//!   before, meanwhile and afterwards;
//! * a folder has at most [`MOST`] marks, so that what a look at it costs is bounded.

use mail::{Entry, Flags, ModSeq};
use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use crate::Result;
use crate::views::Key;

/// Neighbours that are worth a mark: fewer have their rows written, which costs about as much and leaves nothing to do. Few in
/// tests, so that they see marks.
pub(super) const WORTH: usize = if cfg!(test) { 2 } else { 64 };
/// Marks of one folder: changes of all of a hundred thousand messages a hundred times over between two times of upkeep; reading
/// the folder then takes some ten milliseconds more.
const MOST: usize = if cfg!(test) { 5 } else { 256 };
/// Rows written in one transaction of upkeep: about three milliseconds.
const SLICE: i64 = 2000;

/// What became of the flags of some neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) modseq: ModSeq,
    /// New flags are (old & kept) | given.
    pub(super) kept: Flags,
    pub(super) given: Flags,
}

impl Mark {
    /// The flags after it.
    pub(super) fn on(&self, flags: Flags) -> Flags {
        Flags::from_bits(flags.bits() & self.kept.bits()).with(self.given)
    }
}

/// How many marks more the folder may have.
pub(super) fn room(conn: &Connection, key: Key) -> Result<usize> {
    let there: i64 = conn
        .prepare_cached("SELECT count(*) FROM mark WHERE mailbox = ?1 AND folder = ?2")?
        .query_row(params![key.0.0 as i64, key.1.0], |row| row.get(0))?;
    Ok(MOST.saturating_sub(there as usize))
}

/// Notes marks of a change that has its MODSEQ; [`room`] was seen.
pub(super) fn note(tx: &Tx<'_>, key: Key, marks: &[Mark]) -> Result<()> {
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO mark (mailbox, folder, modseq, first, last, kept, given) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Mark { first, last, modseq, kept, given } in marks {
        insert.execute(params![
            key.0.0 as i64,
            key.1.0,
            modseq.0 as i64,
            first,
            last,
            kept.bits() as i64,
            given.bits() as i64
        ])?;
    }
    Ok(())
}

/// The marks of a folder on some of the UIDs from `first` to `last`, in the order in which they were made.
pub(super) fn of(conn: &Connection, key: Key, first: u32, last: u32) -> Result<Vec<Mark>> {
    let mut select = conn.prepare_cached(
        "SELECT modseq, first, last, kept, given FROM mark
         WHERE mailbox = ?1 AND folder = ?2 AND first <= ?4 AND last >= ?3 ORDER BY modseq, first",
    )?;
    let rows = select.query_map(params![key.0.0 as i64, key.1.0, first, last], |row| {
        Ok(Mark {
            modseq: ModSeq(row.get::<_, i64>(0)? as u64),
            first: row.get(1)?,
            last: row.get(2)?,
            kept: Flags::from_bits(row.get::<_, i64>(3)? as u64),
            given: Flags::from_bits(row.get::<_, i64>(4)? as u64),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Makes of rows (in the order of their UIDs) what the messages are.
pub(super) fn over(rows: &mut [Entry], marks: &[Mark]) {
    for mark in marks {
        let from = rows.partition_point(|entry| entry.uid.0 < mark.first);
        let to = rows.partition_point(|entry| entry.uid.0 <= mark.last);
        for entry in rows.get_mut(from..to).unwrap_or_default() {
            if entry.modseq < mark.modseq {
                (entry.flags, entry.modseq) = (mark.on(entry.flags), mark.modseq);
            }
        }
    }
}

/// The folder is gone.
pub(super) fn forget(tx: &Tx<'_>, key: Key) -> Result<()> {
    tx.conn
        .prepare_cached("DELETE FROM mark WHERE mailbox = ?1 AND folder = ?2")?
        .execute(params![key.0.0 as i64, key.1.0])?;
    Ok(())
}

/// Writes a mark into some rows; whether there is more to do.
pub(super) fn fold_some(conn: &Connection) -> Result<bool> {
    fold(conn, SLICE)
}

/// Writes all marks into the rows.
pub(super) fn fold_all(conn: &Connection) -> Result<()> {
    while fold(conn, i64::from(u32::MAX))? {}
    Ok(())
}

fn fold(conn: &Connection, rows: i64) -> Result<bool> {
    // By the key: the oldest of its folder.
    let oldest = conn
        .prepare_cached(
            "SELECT mailbox, folder, modseq, first, last, kept, given FROM mark ORDER BY 1, 2, 3, 4 LIMIT 1",
        )?
        .query_row([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get::<_, i64>(6)?])
        })
        .optional()?;
    let Some([mailbox, folder, modseq, first, last, kept, given]) = oldest else { return Ok(false) };
    let through: Option<i64> = conn
        .prepare_cached(
            "SELECT uid FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid BETWEEN ?3 AND ?4
             ORDER BY uid LIMIT 1 OFFSET ?5",
        )?
        .query_row([mailbox, folder, first, last, rows - 1], |row| row.get(0))
        .optional()?;
    let through = through.unwrap_or(last);
    conn.prepare_cached(
        "UPDATE message SET flags = (flags & ?6) | ?7, modseq = ?5
         WHERE mailbox = ?1 AND folder = ?2 AND uid BETWEEN ?3 AND ?4 AND modseq < ?5",
    )?
    .execute([mailbox, folder, first, through, modseq, kept, given])?;
    let this = [mailbox, folder, modseq, first];
    if through < last {
        conn.prepare_cached(
            "UPDATE mark SET first = ?5 + 1 WHERE mailbox = ?1 AND folder = ?2 AND modseq = ?3 AND first = ?4",
        )?
        .execute([mailbox, folder, modseq, first, through])?;
    } else {
        conn.prepare_cached("DELETE FROM mark WHERE mailbox = ?1 AND folder = ?2 AND modseq = ?3 AND first = ?4")?
            .execute(this)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use mail::Uid;
    use proptest::prelude::*;

    use super::super::tests::{make, model::runtime};
    use super::super::{DATABASE, load};
    use super::*;
    use crate::contract::*;
    use crate::{FlagChange, FlagOperation, FolderId};

    /// UIDs, how, flags, whether only those unchanged since some changes ago.
    type Change = (std::ops::Range<u32>, u8, u64, Option<u64>);

    fn change() -> impl Strategy<Value = Change> {
        let range = (1..30u32, 1..30u32).prop_map(|(from, more)| from..from + more);
        (range, 0..3u8, 0..32u64, proptest::option::weighted(0.3, 0..6u64))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// What messages are after changes is what the changes say, whatever was folded meanwhile and however little at a time.
        #[test]
        fn rows_and_marks_together_are_the_messages(
            there in proptest::collection::btree_set(1..40u32, 0..30),
            changes in proptest::collection::vec((change(), 0..3u8), 0..14),
            watched in any::<bool>(),
        ) {
            runtime().block_on(async {
                let (store, dir) = make();
                let id = made(&store, 1).await;
                let conn = Connection::open(dir.path().join("data").join(DATABASE)).expect("opened");
                for uid in &there {
                    let row = params![id.0 as i64, uid];
                    conn.execute("INSERT INTO message VALUES (?1, 1, ?2, 7, 0, 1, 0, 1, 0, 0)", row).expect("inserted");
                }
                let key = (id, FolderId(1));
                let watch = if watched { Some(store.watch(id, key.1).await.expect("watched")) } else { None };
                let mut wanted = load::rows(&conn, key, 0, u32::MAX).expect("read");
                for ((range, how, flags, since), folds) in changes {
                    let how = [FlagOperation::Add, FlagOperation::Remove, FlagOperation::Replace][usize::from(how)];
                    let flags = Flags::from_bits(flags);
                    let highest = wanted.iter().map(|e| e.modseq.0).max().unwrap_or(1);
                    let since = since.map(|ago| ModSeq(highest.saturating_sub(ago)));
                    let change = FlagChange {
                        uids: range.clone().map(Uid).collect(),
                        how,
                        flags,
                        keywords: Vec::new(),
                        unchanged_since: since,
                    };
                    let told = store.set_flags(id, key.1, change).await.expect("set");
                    for entry in wanted.iter_mut().filter(|e| range.contains(&e.uid.0)) {
                        if since.is_some_and(|since| entry.modseq > since) {
                            assert!(told.modified.contains(&entry.uid));
                            continue;
                        }
                        let after = match how {
                            FlagOperation::Add => entry.flags.with(flags),
                            FlagOperation::Remove => entry.flags.without(flags),
                            _ => flags,
                        };
                        let now = told.now.iter().find(|(uid, ..)| *uid == entry.uid).expect("told");
                        if after != entry.flags {
                            assert!(now.2.0 > highest, "a change moves the MODSEQ");
                        }
                        assert_eq!(now.1, after);
                        (entry.flags, entry.modseq) = (after, now.2);
                    }
                    for n in 0..=folds {
                        if n > 0 {
                            fold(&conn, 3).expect("folded");
                        }
                        assert_eq!(load::rows(&conn, key, 0, u32::MAX).expect("read"), wanted);
                        let some = wanted.iter().copied().filter(|e| range.contains(&e.uid.0)).collect::<Vec<_>>();
                        assert_eq!(load::rows(&conn, key, range.start, range.end - 1).expect("read"), some);
                    }
                    let marks: usize = of(&conn, key, 0, u32::MAX).expect("read").len();
                    assert!(marks <= MOST);
                    if let Some(watch) = &watch {
                        assert_eq!(watch.borrow().iter().copied().collect::<Vec<_>>(), wanted);
                    }
                }
                fold_all(&conn).expect("folded");
                assert_eq!(of(&conn, key, 0, u32::MAX).expect("read"), []);
                assert_eq!(load::rows(&conn, key, 0, u32::MAX).expect("read"), wanted);
            });
        }
    }

    /// Marks do not stay behind, neither when they are written nor when their folder goes.
    #[tokio::test]
    async fn marks_go() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        let conn = Connection::open(dir.path().join("data").join(DATABASE)).expect("opened");
        let count = || conn.query_row("SELECT count(*) FROM mark", [], |row| row.get::<_, i64>(0)).expect("counted");
        for folder in ["INBOX", "Archive"] {
            for _ in 0..7 {
                put(&store, id, folder, "x").await;
            }
            mark(&store, id, folder, &[1, 2, 3, 4, 5, 6, 7], Flags::SEEN).await;
        }
        assert_eq!(count(), 2);
        store.delete_folder(id, &name("Archive")).await.expect("deleted");
        assert_eq!(count(), 1);
        store.maintain(NOW).await.expect("maintained");
        assert_eq!(count(), 0);
        assert!(entries(&store, id, "INBOX").await.iter().all(|e| e.flags == Flags::SEEN));
        mark(&store, id, "INBOX", &[1, 2, 3], Flags::FLAGGED).await;
        assert_eq!(count(), 1);
        store.delete_mailbox(id).await.expect("deleted");
        assert_eq!(count(), 0);
    }
}
