//! The segments: append-only files that hold every message once.
//!
//! `segments/NNNNNNNN.seg`, numbered from 1. The writer appends the [records](super::record) of a batch to the last one and syncs
//! it once ([`Log`]); everybody reads ([`Segments`]). A segment that is full is never written again; compaction copies what
//! is still needed of it elsewhere and removes it.
//!
//! Invariants: a record that a row names is whole and synced; batches have ascending numbers and a batch is synced before the
//! next begins, so that only the last can be torn; what a batch that failed left is made invalid, synced, before anybody is told
//! and before anything else is appended.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{Errno, ReadWriteFlags};

use super::ahead::Ahead;
use super::files::{make_private, sync_folder};
use super::hold::Waiting;
use super::record::{HEAD, Head, Record, Whole};
use crate::{Result, StoreError};

/// Octets after which a segment is full.
pub(super) const SEGMENT: u64 = 64 * 1024 * 1024;
/// What a segment begins with.
pub(super) const TITLE: [u8; 16] = *b"VAGUEMESTRESEG1\n";
/// Where its first record is.
pub(super) const FIRST: u64 = TITLE.len() as u64;
/// Segments kept open for reading.
const OPEN: usize = 128;

/// Where a record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Spot {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Octets of its head and payload.
    pub(super) stored: u64,
}

/// A place between two records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) offset: u64,
}

impl Position {
    /// A number of batches that none before this place reaches: there are fewer of them than octets. What a start counts from, so
    /// that numbers ascend over all starts.
    pub(super) fn number(self) -> u64 {
        u64::from(self.segment) << 32 | self.offset
    }
}

/// The files, for reading.
#[derive(Clone)]
pub(super) struct Segments {
    root: Arc<Path>,
    open: Arc<Mutex<HashMap<u32, Arc<File>>>>,
    /// Removals put off while somebody copies.
    pub(super) waiting: Waiting<u32>,
}

impl Segments {
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        make_private(&root)?;
        Ok(Segments { root: root.into(), open: Arc::default(), waiting: Waiting::default() })
    }

    pub(super) fn path(&self, segment: u32) -> PathBuf {
        self.root.join(format!("{segment:08}.seg"))
    }

    /// The numbers there are, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for file in std::fs::read_dir(&self.root)? {
            let name = file?.file_name();
            let number: Option<u32> =
                name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|name| name.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A segment; `None` when it is gone.
    pub(super) fn file(&self, segment: u32) -> Result<Option<Arc<File>>> {
        // A map of open files stays consistent whatever panics.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&segment) {
            return Ok(Some(file.clone()));
        }
        let file = match File::open(self.path(segment)) {
            Ok(file) => Arc::new(file),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        if open.len() >= OPEN {
            open.clear();
        }
        open.insert(segment, file.clone());
        Ok(Some(file))
    }

    /// A record without its facts; `None` when its segment is gone. Blocking.
    pub(super) fn read(&self, spot: Spot) -> Result<Option<Whole>> {
        let Some(file) = self.file(spot.segment)? else { return Ok(None) };
        read(&file, spot.offset, spot.stored).map(Some)
    }

    /// Removes a segment nobody needs. Readers that have it open go on.
    pub(super) fn remove(&self, segment: u32) -> Result<()> {
        if self.waiting.takes(|| segment) {
            return Ok(());
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&segment);
        match std::fs::remove_file(self.path(segment)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}

/// A record out of a segment's file.
pub(super) fn read(file: &File, offset: u64, length: u64) -> Result<Whole> {
    // A record is at most an inline message and its structure; a wrong length must not take all memory.
    let length = usize::try_from(length).ok().filter(|n| *n as u64 <= SEGMENT * 2);
    let mut octets = vec![0; length.ok_or(StoreError::Damaged("a record has an impossible length"))?];
    match file.read_exact_at(&mut octets, offset) {
        Ok(()) => Whole::parse(octets),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(StoreError::Damaged("a segment is too short")),
        Err(e) => Err(e.into()),
    }
}

/// Walks over the records of one segment.
pub(super) struct Walk {
    file: Arc<File>,
    length: u64,
    /// Where the next record would be.
    pub(super) offset: u64,
}

impl Walk {
    /// From `offset`; `None` when the segment is gone.
    pub(super) fn start(segments: &Segments, segment: u32, offset: u64) -> Result<Option<Walk>> {
        let Some(file) = segments.file(segment)? else { return Ok(None) };
        let length = file.metadata()?.len();
        Ok(Some(Walk { file, length, offset: offset.max(FIRST) }))
    }

    /// Octets of the segment.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The head here, if there is one whose record fits the file.
    pub(super) fn head(&self) -> Result<Option<Head>> {
        let mut octets = [0; HEAD];
        match self.file.read_exact_at(&mut octets, self.offset) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        Ok(Head::parse(&octets).filter(|head| self.offset + head.length() <= self.length))
    }

    /// The next whole record and where it begins; `None` where none is: the end, or damage.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Whole)>> {
        let Some(head) = self.head()? else { return Ok(None) };
        match read(&self.file, self.offset, head.length()) {
            Ok(whole) => {
                let offset = self.offset;
                self.offset += head.length();
                Ok(Some((offset, whole)))
            }
            Err(StoreError::Damaged(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Goes to the next octets that look like a head, from one octet further; whether there are any.
    pub(super) fn seek(&mut self) -> Result<bool> {
        const PIECE: usize = 1024 * 1024;
        let mut piece = vec![0; PIECE];
        let mut at = self.offset + 1;
        while at + (HEAD as u64) <= self.length {
            let length = PIECE.min((self.length - at) as usize);
            self.file.read_exact_at(&mut piece[..length], at)?;
            for place in 0..=length.saturating_sub(HEAD) {
                if let Some(head) = piece[place..].first_chunk::<HEAD>()
                    && head[0] == b'V'
                    && Head::parse(head).is_some()
                {
                    self.offset = at + place as u64;
                    return Ok(true);
                }
            }
            // Those octets at the end where a head may begin come again.
            at += (length - (HEAD - 1).min(length - 1)) as u64;
        }
        self.offset = self.length;
        Ok(false)
    }

    /// Behind the last octet, from `end` on, that is not zero; `end` without.
    pub(super) fn last_written(&self, end: u64) -> Result<u64> {
        const PIECE: u64 = 64 * 1024;
        let mut piece = vec![0; PIECE as usize];
        let mut until = self.length;
        while until > end {
            let from = until.saturating_sub(PIECE).max(end);
            let piece = &mut piece[..(until - from) as usize];
            self.file.read_exact_at(piece, from)?;
            if let Some(last) = piece.iter().rposition(|octet| *octet != 0) {
                return Ok(from + last as u64 + 1);
            }
            until = from;
        }
        Ok(end)
    }
}

/// The records of a batch that is being made. The default takes none (a process that only administers).
#[derive(Default)]
pub(super) struct Batch {
    start: Position,
    next: u64,
    records: Vec<Record>,
}

impl Batch {
    /// Takes a completed record; answers where it will be.
    pub(super) fn put(&mut self, record: Record) -> Result<Spot> {
        if self.start.segment == 0 {
            return Err(StoreError::Unusable("opened for its register only".into()));
        }
        if self.records.len() >= BATCH_RECORDS {
            return Err(StoreError::Io("too many messages in one commit".into()));
        }
        let spot = Spot { segment: self.start.segment, offset: self.next, stored: record.head.stored() };
        self.next += record.head.length();
        self.records.push(record);
        Ok(spot)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Gives up the records from number `from` on: their request was refused.
    pub(super) fn truncate(&mut self, from: usize) {
        for record in self.records.drain(from.min(self.records.len())..) {
            self.next -= record.head.length();
        }
    }

    /// The records from number `from` on are one request's.
    pub(super) fn group(&mut self, from: usize) {
        let count = self.records.len();
        for (place, record) in self.records.iter_mut().enumerate().skip(from) {
            // A request's records are counted in 16 bits: the caller bounds them.
            record.head.more = (count - 1 - place) as u16;
        }
    }
}

/// Records in one batch: the head counts them in 16 bits.
const BATCH_RECORDS: usize = 60_000;

/// The end of the log, where the writer appends.
pub(super) struct Log {
    segments: Segments,
    file: Arc<File>,
    position: Position,
    /// The last batch's number.
    batch: u64,
    /// The last batch failed and what it left is not made invalid yet.
    torn: bool,
    /// Octets appended since the database last noted a position.
    pub(super) unmarked: u64,
    ahead: Ahead,
}

impl Log {
    /// Goes on at `position`, cutting what lies behind it; `None` begins the first segment. Blocking.
    pub(super) fn start(segments: Segments, position: Option<Position>, batch: u64) -> Result<Self> {
        let (file, position) = match position {
            None => {
                let number = segments.numbers()?.last().map_or(1, |last| last + 1);
                (make(&segments, number)?, Position { segment: number, offset: FIRST })
            }
            Some(position) => {
                let file = File::options().read(true).write(true).open(segments.path(position.segment))?;
                if position.offset == FIRST {
                    // A crash may have left it without.
                    file.write_all_at(&TITLE, 0)?;
                }
                if file.metadata()?.len() != position.offset {
                    file.set_len(position.offset)?;
                    file.sync_all()?;
                }
                (Arc::new(file), position)
            }
        };
        // Even when nothing was read to know the last number by.
        let batch = batch.max(position.number());
        let ahead = Ahead::start(segments.root.clone())?;
        Ok(Log { segments, file, position, batch, torn: false, unmarked: 0, ahead })
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// A batch to be filled; a full segment is left for a new one.
    pub(super) fn begin(&mut self) -> Result<Batch> {
        if self.torn {
            self.invalidate()?;
        }
        if self.position.offset >= SEGMENT {
            self.trim();
            let number = self.position.segment + 1;
            self.file = match self.ahead.begin(&self.segments.path(number)) {
                Some(file) => file,
                None => make(&self.segments, number)?,
            };
            self.position = Position { segment: number, offset: FIRST };
        }
        Ok(Batch { start: self.position, next: self.position.offset, records: Vec::new() })
    }

    /// Writes the batch's records and syncs them. Until [`Log::keep`] they count for nothing. `redo`: the database's commit
    /// will not be synced.
    pub(super) fn write(&mut self, batch: &mut Batch, redo: bool) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.batch += 1;
        self.torn = true;
        self.ahead.reserve(batch.next);
        let count = batch.records.len();
        for (place, record) in batch.records.iter_mut().enumerate() {
            record.finish(self.batch, place, count, redo);
        }
        write_durably(&self.file, &batch.records, batch.start.offset)?;
        Ok(())
    }

    /// The commit that names the batch's records was made.
    pub(super) fn keep(&mut self, batch: &Batch) {
        if !batch.is_empty() {
            self.torn = false;
            self.unmarked += batch.next - self.position.offset;
            self.ahead.note(&self.file, self.position.offset, batch.next, SEGMENT);
            self.position.offset = batch.next;
        }
    }

    /// Nothing comes: makes ready for what may.
    pub(super) fn rest(&mut self) {
        self.ahead.rest(&self.file, self.position.offset, SEGMENT);
    }

    /// Gives back what was prewritten behind the last record.
    fn trim(&self) {
        // What stays for a failure is zeros, which no reader minds.
        let _ = self.ahead.leave(|| match self.file.metadata() {
            Ok(file) if file.len() > self.position.offset => self.file.set_len(self.position.offset),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        });
    }

    /// Makes invalid what a failed batch left; tried again before the next if it cannot.
    pub(super) fn abandon(&mut self) {
        if self.torn
            && let Err(error) = self.invalidate()
        {
            tracing::error!(%error, "the end of the log could not be mended; nothing is written until it can");
        }
    }

    fn invalidate(&mut self) -> Result<()> {
        // Cutting needs no room on the disk.
        self.ahead.leave(|| self.file.set_len(self.position.offset))?;
        self.file.sync_data()?;
        // Nothing of it is left: the next batch has its number, so that only one may be missing at the end of the log.
        self.batch -= 1;
        self.torn = false;
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.torn {
            self.trim();
        }
    }
}

/// Writes records one behind the other from `at`, and what finds them, to the disk: in one call where the system has it, which also
/// waits for these octets only and not for what is [prewritten](super::ahead) behind them.
fn write_durably(file: &File, records: &[Record], at: u64) -> Result<()> {
    /// What one call takes (IOV_MAX).
    const SLICES: usize = 1024;
    let mut slices: Vec<IoSlice<'_>> = records.iter().map(|record| IoSlice::new(&record.octets)).collect();
    let (mut slices, mut offset) = (&mut slices[..], at);
    while slices.len() <= SLICES {
        if slices.is_empty() {
            return Ok(());
        }
        match rustix::io::pwritev2(file, slices, offset, ReadWriteFlags::DSYNC) {
            Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => break,
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    for slice in slices.iter() {
        file.write_all_at(slice, offset)?;
        offset += slice.len() as u64;
    }
    file.sync_data()?;
    Ok(())
}

fn make(segments: &Segments, number: u32) -> Result<Arc<File>> {
    let path = segments.path(number);
    let file = File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all_at(&TITLE, 0)?;
    file.sync_all()?;
    sync_folder(&segments.root)?;
    Ok(Arc::new(file))
}
