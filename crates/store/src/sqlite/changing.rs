//! Messages marked, copied, moved, gone: one or a hundred thousand of them.
//!
//! A change is a statement for each run of neighbours, not for each message, and flags of many neighbours are [noted](super::marks) rather
//! than written. What was expected to change is compared with what the statements say they changed: a picture that is not what is
//! on disk changes nothing.

use std::ops::Range;

use mail::{Entry, Flags, FolderName, ModSeq, Uid, UidValidity, View};
use rusqlite::{OptionalExtension, params};

use super::chosen::{Chosen, Folder, ranges};
use super::marks::{self, Mark};
use super::messages::{Growth, INSERT, Place, grow, insert_row, intern, next_modseq, saved, shrink, system_only};
use super::register::corrupt;
use super::writer::Tx;
use super::{expunged, references};
use crate::limits::BULK;
use crate::views::{Change, Key};
use crate::{Copied, FlagChange, FlagOperation, FlagsSet, Result, StoreError};

/// Rows go, and are remembered.
fn delete_rows(tx: &mut Tx<'_>, key: Key, chosen: &[Chosen]) -> Result<()> {
    let uids = || chosen.iter().map(|c| c.entry.uid);
    let modseq = expunged::note(tx, key, &expunged::runs(uids()))?;
    let mut gone = 0;
    {
        // A statement for one row keeps no journal of its own, which a range needs: cheaper for messages that stand alone.
        let mut one = tx.conn.prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid = ?3")?;
        let mut many = tx
            .conn
            .prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2 AND uid BETWEEN ?3 AND ?4")?;
        for (first, last) in ranges(chosen) {
            gone += if first == last {
                one.execute(params![key.0.0 as i64, key.1.0, first])?
            } else {
                many.execute(params![key.0.0 as i64, key.1.0, first, last])?
            };
        }
    }
    if gone != chosen.len() {
        return Err(corrupt("picture of a folder"));
    }
    tx.effects.changes.push(Change::Remove(key, uids().collect(), modseq));
    Ok(())
}

/// Messages leave the mailbox for good.
fn forget(tx: &mut Tx<'_>, key: Key, chosen: &[Chosen]) -> Result<()> {
    shrink(tx, key.0, chosen.len(), chosen.iter().map(|c| u64::from(c.entry.size)).sum())?;
    references::release(tx, key.0, chosen.iter().map(|c| c.entry.body))
}

/// Every message of a folder that goes itself.
pub(super) fn remove_all(tx: &mut Tx<'_>, key: Key) -> Result<()> {
    let folder = match Folder::open(tx, key, None) {
        // A name that only holds folders has no message.
        Err(StoreError::NoSuchFolder) => return Ok(()),
        folder => folder?,
    };
    let all = folder.all(tx)?;
    tx.conn
        .prepare_cached("DELETE FROM message WHERE mailbox = ?1 AND folder = ?2")?
        .execute(params![key.0.0 as i64, key.1.0])?;
    marks::forget(tx, key)?;
    forget(tx, key, &all)
}

/// Neighbours that change together.
struct Run {
    /// Of the last of them.
    place: usize,
    /// Which of those that change.
    changed: Range<usize>,
}

/// Writes flags and MODSEQ into the rows of neighbours.
fn write_flags<'r>(
    tx: &Tx<'_>,
    key: Key,
    modseq: ModSeq,
    runs: impl Iterator<Item = &'r [(Uid, Flags)]>,
) -> Result<()> {
    let (mut wanted, mut done) = (0, 0);
    // One row or a range: see `delete_rows`.
    let mut one = tx
        .conn
        .prepare_cached("UPDATE message SET flags = ?1, modseq = ?2 WHERE mailbox = ?3 AND folder = ?4 AND uid = ?5")?;
    let mut many = tx.conn.prepare_cached(
        "UPDATE message SET flags = ?1, modseq = ?2 WHERE mailbox = ?3 AND folder = ?4 AND uid BETWEEN ?5 AND ?6",
    )?;
    let (modseq, mailbox, folder) = (modseq.0 as i64, key.0.0 as i64, key.1.0);
    for run in runs {
        wanted += run.len();
        // What the row says may be older than what the message is: flags are written, not changed.
        for alike in run.chunk_by(|a, b| a.1 == b.1) {
            let (first, last, flags) = (alike[0].0.0, alike[alike.len() - 1].0.0, alike[0].1.bits() as i64);
            done += if first == last {
                one.execute(params![flags, modseq, mailbox, folder, first])?
            } else {
                many.execute(params![flags, modseq, mailbox, folder, first, last])?
            };
        }
    }
    if done == wanted { Ok(()) } else { Err(corrupt("picture of a folder")) }
}

/// At most [`BULK`] messages.
pub(super) fn set_flags(tx: &mut Tx<'_>, key: Key, view: Option<&View>, change: &FlagChange) -> Result<FlagsSet> {
    let folder = Folder::open(tx, key, view)?;
    let mut answer = FlagsSet::default();
    if change.uids.is_empty() {
        return Ok(answer);
    }
    let mut keywords = folder.keywords.clone();
    let known = keywords.names().len();
    let mut operand = system_only(change.flags);
    for name in &change.keywords {
        match change.how {
            // What nobody has cannot be taken away: not worth a bit.
            FlagOperation::Remove => operand = operand.with(keywords.find(name).unwrap_or_default()),
            _ => operand = operand.with(keywords.intern(name).ok_or(StoreError::TooManyKeywords)?),
        }
    }
    // New flags are (old & kept) | set.
    let (kept, set) = match change.how {
        FlagOperation::Replace => (Flags::NONE, operand),
        FlagOperation::ReplaceWithin(these) => {
            (Flags::from_bits(!these.bits()), Flags::from_bits(operand.bits() & these.bits()))
        }
        FlagOperation::Add => (Flags::from_bits(u64::MAX), operand),
        FlagOperation::Remove => (Flags::from_bits(!operand.bits()), Flags::NONE),
    };
    let chosen = folder.choose(tx, &change.uids)?;
    let mut changed: Vec<(Uid, Flags)> = Vec::with_capacity(chosen.len());
    let mut runs: Vec<Run> = Vec::new();
    answer.now.reserve(chosen.len());
    for Chosen { entry, place } in &chosen {
        if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
            answer.modified.push(entry.uid);
            continue;
        }
        let flags = Flags::from_bits(entry.flags.bits() & kept.bits()).with(set);
        if flags != entry.flags {
            match runs.last_mut() {
                Some(run) if run.place + 1 == *place => (run.place, run.changed.end) = (*place, changed.len() + 1),
                _ => runs.push(Run { place: *place, changed: changed.len()..changed.len() + 1 }),
            }
            changed.push((entry.uid, flags));
        }
        answer.now.push((entry.uid, flags, entry.modseq));
    }
    let grown = keywords.names().len() > known;
    if changed.is_empty() && !grown {
        return Ok(answer);
    }
    let modseq = next_modseq(tx, key)?;
    if grown {
        intern(tx, key, &keywords.names()[known..], modseq)?;
    }
    let worth = |run: &&Run| run.changed.len() >= marks::WORTH;
    let many = runs.iter().filter(worth).count();
    let marked = many > 0 && many <= marks::room(tx.conn, key)?;
    if marked {
        let mark = |run: &Run| {
            let run = &changed[run.changed.clone()];
            // A run has a first message, and so a last.
            Mark { first: run[0].0.0, last: run[run.len() - 1].0.0, modseq, kept, given: set }
        };
        marks::note(tx, key, &runs.iter().filter(worth).map(mark).collect::<Vec<_>>())?;
    }
    write_flags(
        tx,
        key,
        modseq,
        runs.iter().filter(|run| !marked || !worth(run)).map(|r| &changed[r.changed.clone()]),
    )?;
    // Both lists are in the order of the UIDs.
    let mut next = changed.iter().peekable();
    for (uid, _, now) in &mut answer.now {
        if next.next_if(|(changed, _)| changed == uid).is_some() {
            *now = modseq;
        }
    }
    if !changed.is_empty() {
        tx.effects.changes.push(Change::Flags(key, changed, modseq));
    }
    Ok(answer)
}

/// At most [`BULK`] messages; fewer only if there are no more.
pub(super) fn expunge(tx: &mut Tx<'_>, key: Key, view: Option<&View>, uids: Option<&[Uid]>) -> Result<Vec<Uid>> {
    let folder = Folder::open(tx, key, view)?;
    let going = match uids {
        None => folder.deleted(tx, BULK)?,
        Some(uids) => {
            let mut chosen = folder.choose(tx, uids)?;
            chosen.retain(|c| c.entry.flags.contains(Flags::DELETED));
            chosen
        }
    };
    if going.is_empty() {
        return Ok(Vec::new());
    }
    delete_rows(tx, key, &going)?;
    forget(tx, key, &going)?;
    Ok(going.into_iter().map(|c| c.entry.uid).collect())
}

/// One message goes, whatever its flags; whether it was there.
pub(super) fn remove(tx: &mut Tx<'_>, key: Key, uid: Uid) -> Result<bool> {
    let going = Folder::open(tx, key, None)?.choose(tx, &[uid])?;
    if going.is_empty() {
        return Ok(false);
    }
    delete_rows(tx, key, &going)?;
    forget(tx, key, &going)?;
    Ok(true)
}

/// What a copy and a move have in common: rows in the folder `to`, with its own bits for the keywords.
fn duplicate_rows(tx: &mut Tx<'_>, from: &Folder<'_>, to: &FolderName, chosen: &[Chosen], at: i64) -> Result<Copied> {
    let place = Place::take(tx, from.key.0, to, chosen.len())?.ok_or(StoreError::NoSuchFolder)?;
    let used = chosen.iter().fold(Flags::NONE, |flags, c| flags.with(c.entry.flags));
    let mut bits: Vec<(Flags, Flags)> = Vec::new();
    for (index, name) in from.keywords.names().iter().enumerate() {
        let Some(here) = Flags::keyword(index).filter(|flag| used.contains(*flag)) else { continue };
        bits.push((here, intern(tx, place.key, &[name], place.modseq)?));
    }
    let mut copied = Copied { uid_validity: place.uid_validity, uids: Vec::with_capacity(chosen.len()) };
    let mut new: Vec<Entry> = Vec::with_capacity(chosen.len());
    let mut insert = tx.conn.prepare_cached(INSERT)?;
    // Place::take saw to it that the UIDs fit.
    for (uid, Chosen { entry, .. }) in (place.uid_next as u32..).zip(chosen) {
        let keywords =
            bits.iter().filter(|(here, _)| entry.flags.contains(*here)).fold(Flags::NONE, |f, (_, b)| f.with(*b));
        let flags = system_only(entry.flags).with(keywords);
        let there = Entry { uid: Uid(uid), flags, modseq: place.modseq, saved: saved(at), ..*entry };
        insert_row(&mut insert, place.key, &there)?;
        new.push(there);
        copied.uids.push((entry.uid, Uid(uid)));
    }
    drop(insert);
    tx.effects.changes.push(Change::Extend(place.key, new));
    Ok(copied)
}

fn epoch(tx: &Tx<'_>, key: Key, to: &FolderName) -> Result<UidValidity> {
    let validity: Option<u32> = tx
        .conn
        .prepare_cached("SELECT uid_validity FROM folder WHERE mailbox = ?1 AND name = ?2 AND selectable = 1")?
        .query_row(params![key.0.0 as i64, to.as_str()], |row| row.get(0))
        .optional()?;
    validity.map(UidValidity).ok_or(StoreError::NoSuchFolder)
}

/// What a copy and a move begin with: the folder, those of its messages that are asked for, and the answer when there is none.
fn begin<'v>(
    tx: &Tx<'_>,
    from: Key,
    view: Option<&'v View>,
    uids: &[Uid],
    to: &FolderName,
) -> Result<(Folder<'v>, Vec<Chosen>, Copied)> {
    let folder = Folder::open(tx, from, view)?;
    let uid_validity = epoch(tx, from, to)?;
    let chosen = folder.choose(tx, uids)?;
    Ok((folder, chosen, Copied { uid_validity, uids: Vec::new() }))
}

pub(super) fn copy(
    tx: &mut Tx<'_>,
    from: Key,
    view: Option<&View>,
    uids: &[Uid],
    to: &FolderName,
    at: i64,
) -> Result<Copied> {
    let (folder, chosen, nothing) = begin(tx, from, view, uids, to)?;
    if chosen.is_empty() {
        return Ok(nothing);
    }
    let octets = chosen.iter().map(|c| u64::from(c.entry.size)).sum();
    grow(tx, from.0, &Growth { octets, messages: chosen.len(), ..Growth::default() })?;
    references::add(tx, from.0, chosen.iter().map(|c| c.entry.body))?;
    duplicate_rows(tx, &folder, to, &chosen, at)
}

/// At most [`BULK`] messages.
pub(super) fn move_some(
    tx: &mut Tx<'_>,
    from: Key,
    view: Option<&View>,
    uids: &[Uid],
    to: &FolderName,
    at: i64,
) -> Result<Copied> {
    let (folder, chosen, nothing) = begin(tx, from, view, uids, to)?;
    if chosen.is_empty() {
        return Ok(nothing);
    }
    move_chosen(tx, &folder, &chosen, to, at)
}

fn move_chosen(tx: &mut Tx<'_>, from: &Folder<'_>, chosen: &[Chosen], to: &FolderName, at: i64) -> Result<Copied> {
    // Into the folder where they are, too: the copies lie above all of them.
    let copied = duplicate_rows(tx, from, to, chosen, at)?;
    delete_rows(tx, from.key, chosen)?;
    Ok(copied)
}

/// INBOX gives all its messages to a folder just made.
pub(super) fn move_all(tx: &mut Tx<'_>, from: Key, to: &FolderName, at: i64) -> Result<()> {
    let folder = Folder::open(tx, from, None)?;
    let all = folder.all(tx)?;
    if !all.is_empty() {
        move_chosen(tx, &folder, &all, to, at)?;
    }
    Ok(())
}
