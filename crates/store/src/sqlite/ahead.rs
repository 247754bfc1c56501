//! Prewriting: zeros written and synced ahead of the end of the log, by a thread of its own.
//!
//! A sync of octets that only overwrite what is on disk already does not wait for the file system's journal; one that grows the file
//! does (ADR 5 has the measurements). Large batches hide that, so that nothing is prewritten for them: it would only double what
//! the disk carries.
//!
//! Invariants: zeros are only ever written at or behind [`Place::next`], under its lock; the writer moves it behind a batch, under
//! the same lock, before it writes the batch: no zero lands on a record. What was prewritten counts for nothing: a
//! record is valid by its own marks, and a start cuts off whatever lies behind the last.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::Result;

/// Octets prewritten at once, synced together.
const PIECE: u64 = 1024 * 1024;
/// Octets written under the lock: what a batch may wait for, some hundred microseconds.
const SLICE: usize = 128 * 1024;
/// Most octets prewritten ahead: more than comes while a piece is written, and little for a disk to keep.
const MOST: u64 = 4 * 1024 * 1024;
/// A batch of this size or more hides what its sync costs.
const LARGE: u64 = 256 * 1024;

/// Where zeros go.
struct Place {
    file: Option<Arc<File>>,
    /// The next zero, behind every record written and every batch begun.
    next: u64,
    /// Zeros go up to here.
    until: u64,
}

/// The thread, and what it shares with the writer.
pub(super) struct Ahead {
    place: Arc<Mutex<Place>>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Octets of small batches since the start: a store that receives little has little prewritten.
    small: u64,
}

/// Three values that are consistent whatever panics: each is moved by one assignment.
fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes up to a slice of zeros; the file when there is more to come or to sync.
fn slice(place: &Mutex<Place>, zeros: &[u8]) -> std::io::Result<Option<(Arc<File>, u64)>> {
    let mut place = lock(place);
    let Some(file) = place.file.clone().filter(|_| place.next < place.until) else { return Ok(None) };
    // To a whole number of slices, and so of the file system's blocks.
    let length = (zeros.len() as u64 - place.next % zeros.len() as u64).min(place.until - place.next);
    if let Err(error) = file.write_all_at(&zeros[..length as usize], place.next) {
        place.file = None;
        return Err(error);
    }
    place.next += length;
    Ok(Some((file, length)))
}

/// Writes what is wanted, a piece at a time.
fn serve(place: &Mutex<Place>, zeros: &[u8]) -> std::io::Result<()> {
    let mut written: Option<(Arc<File>, u64)> = None;
    loop {
        let more = slice(place, zeros)?;
        let sync = match (&more, &mut written) {
            (None, None) => return Ok(()),
            (None, Some(_)) => true,
            (Some((file, length)), None) => {
                written = Some((file.clone(), *length));
                false
            }
            (Some((file, length)), Some((same, octets))) => {
                *octets += length;
                *octets >= PIECE || !Arc::ptr_eq(file, same)
            }
        };
        if sync && let Some((file, _)) = written.take() {
            file.sync_data()?;
        }
    }
}

impl Ahead {
    /// Starts the thread.
    pub(super) fn start() -> Result<Ahead> {
        let place = Arc::new(Mutex::new(Place { file: None, next: 0, until: 0 }));
        let (ask, asked) = sync_channel::<()>(1);
        let shared = place.clone();
        let thread = std::thread::Builder::new().name("store-ahead".into()).spawn(move || {
            let zeros = vec![0; SLICE];
            while asked.recv().is_ok() {
                if let Err(error) = serve(&shared, &zeros) {
                    // Prewriting is a convenience; what is wrong with the disk, the writer will tell.
                    tracing::debug!(%error, "nothing more is prewritten in this segment");
                }
            }
        })?;
        Ok(Ahead { place, ask: Some(ask), thread: Some(thread), small: 0 })
    }

    /// A batch is to be written up to `end`: no zero goes before it any more.
    pub(super) fn reserve(&self, end: u64) {
        let mut place = lock(&self.place);
        place.next = place.next.max(end);
    }

    /// A batch from `start` to `end` of `file` was committed: prewrites behind it when that pays.
    pub(super) fn note(&mut self, file: &Arc<File>, start: u64, end: u64, full: u64) {
        let octets = end - start;
        if octets >= LARGE {
            return;
        }
        self.small = self.small.saturating_add(octets);
        // In whole slices; as much as came, within bounds.
        let ahead = self.small.clamp(SLICE as u64, MOST);
        let mut place = lock(&self.place);
        if place.next.saturating_sub(end) >= ahead / 2 || end >= full {
            return;
        }
        if place.file.is_none() && place.until >= end && place.until != 0 {
            // It failed before in this segment.
            return;
        }
        place.file = Some(file.clone());
        place.next = place.next.max(end);
        place.until = (end + ahead).min(full);
        drop(place);
        if let Some(ask) = &self.ask {
            // One that is asked already sees what is wanted now.
            let _ = ask.try_send(());
        }
    }

    /// Prewrites nothing more in the file that had it, and does `then` while no zero can be written; it is to cut off what was
    /// prewritten behind its records.
    pub(super) fn leave<T>(&self, then: impl FnOnce() -> T) -> T {
        let mut place = lock(&self.place);
        *place = Place { file: None, next: 0, until: 0 };
        then()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.leave(|| {});
        self.ask.take();
        if let Some(thread) = self.thread.take() {
            // It ends after the slice it is at.
            let _ = thread.join();
        }
    }
}
