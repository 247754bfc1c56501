//! The rows of a folder, read into the picture that sessions share: by several readers at once where there are many.
//!
//! Invariant: parts are put together only if each of them was read of the same folder: every change of a folder gives a MODSEQ, so the
//! same MODSEQ (and UIDVALIDITY) is the same folder, whichever connection reads it.

use mail::{Entry, View};
use rusqlite::{Connection, params};
use tokio::task::JoinSet;

use super::folders::{empty_view, load_view};
use super::raw::Select;
use super::reads::Readers;
use super::register::corrupt;
use super::{marks, messages, tree};
use crate::views::Key;
use crate::{Result, StoreError};

/// A part is at least so many UIDs: some three milliseconds, many times what a change of threads costs.
const PART: u32 = 8192;
/// Readers for one folder at the most: half of all there are, so that others are not kept waiting by one large folder.
const PARTS: usize = super::reads::READERS / 2;

/// So many UIDs or more are read out of the pages of the table ([`tree`]), fewer by a statement that is prepared already.
const BY_PAGES: u32 = 1024;

/// Reads messages of folders.
pub(super) struct Rows<'c> {
    conn: &'c Connection,
    select: Select<'c, 4, 8>,
}

impl<'c> Rows<'c> {
    pub(super) fn new(conn: &'c Connection) -> Result<Self> {
        let sql = c"SELECT uid, size, flags, modseq, internal_date, body, saved, thread FROM message
            WHERE mailbox = ?1 AND folder = ?2 AND uid BETWEEN ?3 AND ?4 ORDER BY uid";
        Ok(Rows { conn, select: Select::prepare(conn, sql)? })
    }

    /// Those between two UIDs, both included, in their order, as they are. What it runs must see one moment.
    pub(super) fn read(&mut self, key: Key, first: u32, last: u32) -> Result<Vec<Entry>> {
        let many = last.saturating_sub(first) >= BY_PAGES;
        let mut entries = match many.then(|| by_pages(self.conn, key, first, last)).flatten() {
            Some(entries) => entries,
            None => self.by_rows(key, first, last)?,
        };
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let marks = marks::of(self.conn, key, first.uid.0, last.uid.0)?;
            marks::over(&mut entries, &marks);
        }
        Ok(entries)
    }

    fn by_rows(&mut self, key: Key, first: u32, last: u32) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let within = [key.0.0 as i64, key.1.0.into(), first.into(), last.into()];
        self.select.each(within, |row| {
            let entry = messages::entry(row)?;
            if entries.last().is_some_and(|last| last.uid >= entry.uid) {
                return Err(corrupt("folder"));
            }
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }
}

/// The rows as the pages have them; `None` when that is not for this program to say, for whatever reason.
fn by_pages(conn: &Connection, key: Key, first: u32, last: u32) -> Option<Vec<Entry>> {
    let (mailbox, folder) = (key.0.0 as i64, key.1.0.into());
    let entry = |[_, _, uid, size, flags, modseq, date, body, saved, thread]: [i64; 10]| {
        messages::entry([uid, size, flags, modseq, date, body, saved, thread]).ok()
    };
    tree::rows(conn, [mailbox, folder, first.into()], [mailbox, folder, last.into()], entry)
}

/// The messages of a folder between two UIDs: [`Rows::read`].
pub(super) fn rows(conn: &Connection, key: Key, first: u32, last: u32) -> Result<Vec<Entry>> {
    Rows::new(conn)?.read(key, first, last)
}

/// What the first look at a folder gives.
enum Begun {
    Whole(View),
    /// To be read in parts: the folder without its messages, and the UIDs of the first and the last.
    Large(View, u32, u32),
}

/// The picture of a folder; `None` for an unknown or unselectable one.
pub(super) async fn load(readers: &Readers, key: Key) -> Result<Option<View>> {
    let most = std::thread::available_parallelism().map_or(1, usize::from).min(PARTS);
    load_in(readers, key, most as u32, PART).await
}

/// In at most `most` parts of at least `least` UIDs.
pub(super) async fn load_in(readers: &Readers, key: Key, most: u32, least: u32) -> Result<Option<View>> {
    let begun = readers.read(move |conn| begin(conn, key, most, least)).await?;
    let (mut view, first, last) = match begun {
        None => return Ok(None),
        Some(Begun::Whole(view)) => return Ok(Some(view)),
        Some(Begun::Large(view, first, last)) => (view, first, last),
    };
    let count = ((last - first) / least).clamp(2, most.max(2));
    let each = (last - first) / count + 1;
    let epoch = (view.uid_validity, view.highest_modseq);
    let mut reading = JoinSet::new();
    for n in 0..count {
        let from = first.saturating_add(n.saturating_mul(each));
        let to = if n + 1 == count { u32::MAX } else { from.saturating_add(each - 1) };
        let readers = readers.clone();
        reading.spawn(async move {
            let part = readers.read(move |conn| {
                let moment = conn.unchecked_transaction()?;
                let now = empty_view(conn, key)?.map(|view| (view.uid_validity, view.highest_modseq));
                // Changed meanwhile: not worth reading.
                let part = if now == Some(epoch) { Some(rows(conn, key, from, to)?) } else { None };
                moment.commit()?;
                Ok(part)
            });
            (n as usize, part.await)
        });
    }
    let mut parts: Vec<Option<Vec<Entry>>> = vec![None; count as usize];
    while let Some(done) = reading.join_next().await {
        let (n, part) = done.map_err(|error| StoreError::Io(format!("a reading task ended: {error}")))?;
        parts[n] = part?;
    }
    for part in parts {
        let Some(part) = part else { return readers.read(move |conn| load_view(conn, key)).await };
        view.extend(part);
    }
    Ok(Some(view))
}

fn begin(conn: &Connection, key: Key, most: u32, least: u32) -> Result<Option<Begun>> {
    let moment = conn.unchecked_transaction()?;
    let Some(mut view) = empty_view(conn, key)? else { return Ok(None) };
    let (first, last): (Option<u32>, Option<u32>) = conn
        .prepare_cached(
            "SELECT (SELECT min(uid) FROM message WHERE mailbox = ?1 AND folder = ?2),
                    (SELECT max(uid) FROM message WHERE mailbox = ?1 AND folder = ?2)",
        )?
        .query_row(params![key.0.0 as i64, key.1.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    let begun = if most < 2 || (last - first) / least < 2 {
        view.extend(rows(conn, key, 0, u32::MAX)?);
        Begun::Whole(view)
    } else {
        Begun::Large(view, first, last)
    };
    moment.commit()?;
    Ok(Some(begun))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use mail::Uid;
    use proptest::prelude::*;

    use super::*;
    use crate::contract::*;
    use crate::sqlite::DATABASE;
    use crate::sqlite::tests::{make, model::runtime};
    use crate::{FolderId, Store};

    fn uids(view: &View) -> Vec<u32> {
        view.iter().map(|entry| entry.uid.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// In parts or at once: the same picture, wherever its messages lie.
        #[test]
        fn parts_are_the_whole(
            there in proptest::collection::btree_set(prop_oneof![4 => 1..400u32, 1 => 1..u32::MAX - 1], 0..120),
            most in 1..7u32,
            least in 1..50u32,
        ) {
            runtime().block_on(async {
                let (store, dir) = make();
                let id = made(&store, 1).await;
                let path = dir.path().join("data").join(DATABASE);
                let conn = Connection::open(&path).expect("opened");
                for uid in &there {
                    let row = params![id.0 as i64, uid];
                    conn.execute("INSERT INTO message VALUES (?1, 1, ?2, 7, 0, 1, 0, 1, 0, 0)", row).expect("inserted");
                }
                let (readers, key) = (Readers::new(&path), (id, FolderId(1)));
                let view = load_in(&readers, key, most, least).await.expect("read").expect("there");
                let whole = load_view(&conn, key).expect("read").expect("there");
                assert_eq!(BTreeSet::from_iter(uids(&view)), there);
                assert!(view.iter().eq(whole.iter()) && view.octets() == whole.octets());
                assert_eq!((view.uid_next, view.highest_modseq), (whole.uid_next, whole.highest_modseq));
                assert!(load_in(&readers, (id, FolderId(99)), most, least).await.expect("read").is_none());
            });
        }
    }

    /// While others deliver, mark and expunge: never parts of two moments.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn parts_are_of_one_moment() {
        let (store, dir) = make();
        let id = made(&store, 1).await;
        for _ in 0..40 {
            put(&store, id, "INBOX", "x").await;
        }
        let working = {
            let store: Arc<dyn Store> = store.clone();
            tokio::spawn(async move {
                for n in 1..=60u32 {
                    // The first and the last change together: half of it is never to be seen.
                    let uids = vec![Uid(1), Uid(40 + n - 1)];
                    let flags = if n % 2 == 0 { mail::Flags::SEEN } else { mail::Flags::ANSWERED };
                    let change = crate::FlagChange {
                        uids,
                        how: crate::FlagOperation::Replace,
                        flags,
                        keywords: Vec::new(),
                        unchanged_since: None,
                    };
                    store.set_flags(id, FolderId(1), change).await.expect("set");
                    put(&store, id, "INBOX", "x").await;
                }
            })
        };
        let (readers, key) = (Readers::new(&dir.path().join("data").join(DATABASE)), (id, FolderId(1)));
        let mut seen = 0;
        while !working.is_finished() {
            let view = load_in(&readers, key, 4, 5).await.expect("read").expect("there");
            let last = view.iter().filter(|e| !e.flags.is_empty() && e.uid.0 > 1).last();
            let first = view.find(Uid(1)).expect("there");
            if let Some(last) = last {
                assert_eq!((last.flags, last.modseq), (first.flags, first.modseq));
            }
            assert!(view.iter().all(|e| e.modseq <= view.highest_modseq));
            seen += 1;
        }
        working.await.expect("ended");
        assert!(seen > 1);
        assert_eq!(load_in(&readers, key, 4, 5).await.expect("read").expect("there").len(), 100);
    }
}
