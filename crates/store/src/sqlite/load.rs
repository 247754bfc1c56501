//! The rows of a folder, as [`moment`](super::moment) puts them together and as changes of them begin with.

use mail::Entry;
use rusqlite::Connection;

use super::raw::Select;
use super::register::corrupt;
use super::{marks, messages, tree};
use crate::Result;
use crate::views::Key;

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
