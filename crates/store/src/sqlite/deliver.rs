//! [`Store::commit`](crate::Store::commit): delivery, APPEND, acceptance into the queue, the end of a queue entry.
//!
//! The path every message takes: as few statements as can be (one each for usage, folder, row and body), and everything that may
//! refuse a plain delivery is looked at before anything is written, so that it needs no savepoint of its own.

use std::borrow::Cow;

use mail::{Entry, ModSeq, Uid};
use rusqlite::{OptionalExtension, params};

use super::facts::{self, Placement};
use super::files::Placed;
use super::messages::{Growth, Place, grow, insert, intern, saved, system_only};
use super::queue;
use super::record::{Owner, Record, Whole};
use super::references;
use super::register::must_exist;
use super::segment::Spot;
use super::threads::Joined;
use super::writer::Tx;
use crate::model::sent_key;
use crate::{
    Commit, Committed, DUPLICATE_MEMORY, Delivered, LinkKey, MailboxId, NewQueueEntry, Result, Settlement, StoreError,
    Target,
};

/// A message whose octets are where they can be committed from.
pub(super) struct Message {
    pub(super) size: u64,
    pub(super) links: Vec<LinkKey>,
    /// For each place that keeps one ([`keepers`]).
    pub(super) kept: Vec<Kept>,
    /// Large ones: the files, under one name for each place that keeps one.
    pub(super) placed: Option<Placed>,
}

/// Who keeps a message: a mailbox, or the queue (`None`).
pub(super) type Keeper = Option<MailboxId>;

/// How one place keeps a message.
pub(super) struct Kept {
    pub(super) keeper: Keeper,
    pub(super) origin: Origin,
    /// The name of the file with the octets, for large ones.
    pub(super) file: Option<String>,
}

/// Where a record is.
pub(super) enum Origin {
    /// To be written to the log with the commit.
    New(Record),
    /// In the log since before a crash.
    Logged(Whole, Spot),
}

impl Kept {
    /// Octets it brings to the log.
    pub(super) fn octets(&self) -> usize {
        match &self.origin {
            Origin::New(record) => record.octets.len(),
            Origin::Logged(..) => 0,
        }
    }

    /// Completes the record, or compares it with the one in the log; answers where it is, and its sealed structure.
    fn settle(
        self,
        tx: &mut Tx<'_>,
        owner: Owner,
        commit: u16,
        write_facts: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(Spot, Vec<u8>)> {
        match self.origin {
            Origin::New(mut record) => {
                record.complete(owner, commit, write_facts);
                let structure = record.structure().to_vec();
                Ok((tx.effects.batch.put(record)?, structure))
            }
            Origin::Logged(whole, spot) => {
                let mut now = Vec::new();
                write_facts(&mut now);
                if whole.head.owner != owner || whole.facts() != now {
                    return Err(StoreError::Damaged("the log does not follow from the database"));
                }
                Ok((spot, whole.structure().to_vec()))
            }
        }
    }
}

/// A [`Commit`](crate::Commit) ready for the writer.
pub(super) struct Prepared {
    pub(super) message: Option<Message>,
    pub(super) deliver: Vec<Target>,
    pub(super) enqueue: Option<NewQueueEntry>,
    pub(super) settle: Option<Settlement>,
    pub(super) duplicate_key: Option<[u8; 16]>,
    pub(super) saved_at: i64,
    /// Which of the commits of its request.
    pub(super) commit: u16,
}

impl Prepared {
    /// Whether the log alone can bring it back after a crash: it only makes messages.
    pub(super) fn logged(&self) -> bool {
        self.settle.is_none()
    }

    /// Whether it is refused before it writes, or not at all.
    pub(super) fn plain(&self) -> bool {
        let one = |targets: &[Target]| matches!(targets, [target] if target.keywords.is_empty());
        self.settle.is_none()
            && match &self.enqueue {
                None => one(&self.deliver),
                Some(entry) => self.deliver.is_empty() && !entry.recipients.is_empty(),
            }
    }
}

/// The places that keep the octets: each mailbox once, and the queue.
pub(super) fn keepers(deliver: &[Target], enqueue: bool) -> Vec<Keeper> {
    let mut keepers: Vec<Keeper> = Vec::with_capacity(1);
    for target in deliver {
        if !keepers.contains(&Some(target.mailbox)) {
            keepers.push(Some(target.mailbox));
        }
    }
    if enqueue {
        keepers.push(None);
    }
    keepers
}

pub(super) fn commit(tx: &mut Tx<'_>, prepared: Prepared) -> Result<Committed> {
    let Prepared { message, deliver, enqueue, settle, duplicate_key, saved_at, commit } = prepared;
    let mut committed = Committed { delivered: vec![Delivered::Duplicate; deliver.len()], queued: None };
    if let Some(settlement) = &settle {
        queue::settle(tx, settlement)?;
    }
    let Some(Message { size, links, kept, placed }) = message else {
        return if deliver.is_empty() && enqueue.is_none() {
            Ok(committed)
        } else {
            Err(StoreError::Io("a commit delivers a message it does not hold".into()))
        };
    };
    for kept in kept {
        let Some(mailbox) = kept.keeper else {
            let Some(entry) = &enqueue else { continue };
            let Some(entry) = not_sent_yet(tx, entry, duplicate_key)? else {
                tx.effects.unnamed.extend(kept.file);
                continue;
            };
            let entry = &*entry;
            let id = queue::enqueue(tx, entry, duplicate_key, size, kept.file.as_deref())?;
            let file = kept.file.clone();
            let facts = |out: &mut Vec<u8>| facts::write_queued(out, entry, duplicate_key, file.as_deref());
            let (spot, _) = kept.settle(tx, Owner::Queue(id.0), commit, facts)?;
            queue::place(tx, id, spot)?;
            committed.queued = Some(id);
            continue;
        };
        let chosen = |target: &&Target| target.mailbox == mailbox;
        // Who keeps it was taken from the targets.
        let Some(date) = deliver.iter().find(chosen).map(|target| target.internal_date) else { continue };
        let time = Commit::time(saved_at, date);
        if is_duplicate(tx, mailbox, duplicate_key, time)? {
            // Its name nobody takes.
            tx.effects.unnamed.extend(kept.file);
            continue;
        }
        let mut targets = 0;
        for target in deliver.iter().filter(chosen) {
            can_take(tx, target)?;
            targets += 1;
        }
        let joined = Joined::find(tx, mailbox, &links)?;
        let growth = Growth {
            octets: size * targets as u64,
            messages: targets,
            bodies: 1,
            threads: usize::from(joined.thread.is_none()),
            links: joined.unknown.len(),
        };
        let (body, thread) =
            grow(tx, mailbox, &growth).or_else(|refused| Err(unknown_folder(tx, &deliver)?.unwrap_or(refused)))?;
        let thread = joined.thread.unwrap_or(thread);
        joined.note(tx, mailbox, thread)?;
        remember(tx, mailbox, duplicate_key, time)?;
        let mut placements = Vec::with_capacity(targets);
        for (target, delivered) in deliver.iter().zip(&mut committed.delivered) {
            if target.mailbox == mailbox {
                let placement =
                    put(tx, target, Entry { size: size as u32, body, thread, saved: saved(saved_at), ..BLANK })?;
                *delivered = Delivered::Message { uid_validity: placement.uid_validity, uid: placement.entry.uid };
                placements.push(placement);
            }
        }
        let file = kept.file.clone();
        let facts = |out: &mut Vec<u8>| {
            facts::write_delivery(out, &placements, duplicate_key, saved_at, &links, file.as_deref())
        };
        let (spot, structure) = kept.settle(tx, Owner::Mailbox(mailbox, body), commit, facts)?;
        insert_body(tx, mailbox, body, size, targets, &structure, spot, file.as_deref())?;
    }
    tx.effects.placed.extend(placed);
    Ok(committed)
}

/// # Errors
/// [`StoreError::NoSuchMailbox`], [`StoreError::NoSuchFolder`]; [`StoreError::FolderRefused`] when it has no UID left.
fn can_take(tx: &Tx<'_>, target: &Target) -> Result<()> {
    let next: Option<i64> = tx
        .conn
        .prepare_cached("SELECT uid_next FROM folder WHERE mailbox = ?1 AND name = ?2 AND selectable = 1")?
        .query_row(params![target.mailbox.0 as i64, target.folder.as_str()], |row| row.get(0))
        .optional()?;
    match next {
        Some(next) if next < i64::from(u32::MAX) => Ok(()),
        Some(_) => Err(StoreError::FolderRefused("no UID is left in the folder")),
        None => {
            must_exist(tx.conn, target.mailbox)?;
            Err(StoreError::NoSuchFolder)
        }
    }
}

/// A folder that does not exist is told before a quota that is reached: making it is in the client's hands.
fn unknown_folder(tx: &Tx<'_>, deliver: &[Target]) -> Result<Option<StoreError>> {
    for target in deliver {
        let known = tx
            .conn
            .prepare_cached("SELECT 1 FROM folder WHERE mailbox = ?1 AND name = ?2 AND selectable = 1")?
            .exists(params![target.mailbox.0 as i64, target.folder.as_str()])?;
        if !known {
            must_exist(tx.conn, target.mailbox)?;
            return Ok(Some(StoreError::NoSuchFolder));
        }
    }
    Ok(None)
}

/// Whether the mailbox had the message.
fn is_duplicate(tx: &Tx<'_>, mailbox: MailboxId, key: Option<[u8; 16]>, now: i64) -> Result<bool> {
    let Some(key) = key else { return Ok(false) };
    let at: Option<i64> = tx
        .conn
        .prepare_cached("SELECT at FROM duplicate WHERE mailbox = ?1 AND key = ?2")?
        .query_row(params![mailbox.0 as i64, &key[..]], |row| row.get(0))
        .optional()?;
    if at.is_some_and(|at| at >= now.saturating_sub(DUPLICATE_MEMORY)) {
        must_exist(tx.conn, mailbox)?;
        return Ok(true);
    }
    Ok(false)
}

/// The entry with the recipients that its sender has not sent this message to, which are remembered; none when all have it.
fn not_sent_yet<'e>(
    tx: &Tx<'_>,
    entry: &'e NewQueueEntry,
    key: Option<[u8; 16]>,
) -> Result<Option<Cow<'e, NewQueueEntry>>> {
    let (Some(sender), Some(key)) = (entry.sender, key) else { return Ok(Some(Cow::Borrowed(entry))) };
    let mut left = Vec::with_capacity(entry.recipients.len());
    for recipient in &entry.recipients {
        let key = Some(sent_key(key, &recipient.address));
        if !is_duplicate(tx, sender, key, entry.accepted_at)? {
            remember(tx, sender, key, entry.accepted_at)?;
            left.push(recipient.clone());
        }
    }
    Ok(match left.len() {
        0 if !entry.recipients.is_empty() => None,
        count if count == entry.recipients.len() => Some(Cow::Borrowed(entry)),
        _ => Some(Cow::Owned(NewQueueEntry { recipients: left, ..entry.clone() })),
    })
}

/// Remembers that the mailbox has the message now.
fn remember(tx: &Tx<'_>, mailbox: MailboxId, key: Option<[u8; 16]>, now: i64) -> Result<()> {
    if let Some(key) = key {
        tx.conn.prepare_cached("INSERT OR REPLACE INTO duplicate VALUES (?1, ?2, ?3)")?.execute(params![
            mailbox.0 as i64,
            &key[..],
            now
        ])?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // The columns of a row.
fn insert_body(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    body: u64,
    size: u64,
    references: usize,
    structure: &[u8],
    spot: Spot,
    file: Option<&str>,
) -> Result<()> {
    if references > 1 {
        references::add_some(tx, mailbox, std::iter::once(body), references - 1)?;
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO body (mailbox, id, size, refs, file, structure, segment, place, stored)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            mailbox.0 as i64,
            body as i64,
            size as i64,
            file,
            structure,
            spot.segment,
            spot.offset as i64,
            spot.stored as i64
        ])?;
    Ok(())
}

/// An entry about which nothing is known yet.
const BLANK: Entry = Entry {
    uid: Uid(0),
    size: 0,
    flags: mail::Flags::NONE,
    modseq: ModSeq(0),
    internal_date: 0,
    body: 0,
    saved: 0,
    thread: 0,
};

/// One message into one folder; `entry` is what it has in all of them. Its size was checked against MAX_MESSAGE before the
/// commit was sent.
fn put(tx: &mut Tx<'_>, target: &Target, entry: Entry) -> Result<Placement> {
    let place = Place::take(tx, target.mailbox, &target.folder, 1)?.ok_or(StoreError::NoSuchFolder)?;
    let keywords = intern(tx, place.key, &target.keywords, place.modseq)?;
    let uid = Uid(place.uid_next as u32);
    let flags = system_only(target.flags).with(keywords);
    let entry = Entry { uid, flags, modseq: place.modseq, internal_date: target.internal_date, ..entry };
    insert(tx, place.key, entry)?;
    Ok(Placement {
        folder: place.key.1,
        name: target.folder.clone(),
        uid_validity: place.uid_validity,
        entry,
        keywords: target.keywords.clone(),
    })
}
