//! Prewriting: zeros written and synced ahead of the end of the log, by a thread of its own.
//!
//! A sync of octets that only overwrite what is on disk already does not wait for the file system's journal; one that grows the file
//! does (ADR 5 has the measurements). Large batches hide that, so that nothing is prewritten for them: it would only double what
//! the disk carries.
//!
//! While nothing comes, more is made ready than while something does: as much as came so far, within bounds, and what does not fit the segment in a
//! *spare* that becomes the next one. A burst that finds its room ready shares the disk with nobody (ADR 32).
//!
//! Invariants: zeros are only ever written at or behind [`Place::next`], under its lock; the writer moves it behind a batch, under
//! the same lock, before it writes the batch: no zero lands on a record. A spare is the thread's while it is made, and a segment once it has that name: it
//! changes hands under the lock. What was prewritten counts for nothing: a record is valid by its own marks, and a start cuts off
//! whatever lies behind the last.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::files::sync_folder;
use super::segment::TITLE;
use crate::{Result, StoreError};

/// Octets prewritten at once, synced together.
const PIECE: u64 = 1024 * 1024;
/// Octets written under the lock: what a batch may wait for, some hundred microseconds.
const SLICE: usize = 128 * 1024;
/// Most octets prewritten ahead: more than comes while a piece is written, and little for a disk to keep.
const MOST: u64 = 4 * 1024 * 1024;
/// A batch of this size or more hides what its sync costs.
const LARGE: u64 = 256 * 1024;

/// Octets that stay free on the disk whatever is made ready while nothing comes.
const FREE: u64 = 1024 * 1024 * 1024;
/// The spare's name, beside the segments. One that a crash left is removed at the next start.
const SPARE: &str = "next";

/// Where zeros go.
#[derive(Default)]
struct Place {
    file: Option<Arc<File>>,
    /// The next zero, behind every record written and every batch begun.
    next: u64,
    /// Zeros go up to here.
    until: u64,
    /// Octets of the spare to be made; zero for none.
    wanted: u64,
    /// The spare, with its title, and how far it is prewritten.
    spare: Option<(Arc<File>, u64)>,
}

/// The thread, and what it shares with the writer.
pub(super) struct Ahead {
    place: Arc<Mutex<Place>>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    folder: Arc<Path>,
    /// Octets that stay free on the disk.
    free: u64,
    /// Octets of small batches since the start: a store that receives little has little prewritten.
    small: u64,
}

/// Values that are consistent whatever panics: each is moved by one assignment.
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

/// A spare that has its title and nothing else.
fn begin_spare(path: &Path) -> std::io::Result<(Arc<File>, u64)> {
    let file = File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all_at(&TITLE, 0)?;
    Ok((Arc::new(file), TITLE.len() as u64))
}

/// Makes the spare that is wanted, as far as nothing comes meanwhile.
fn make_spare(place: &Mutex<Place>, folder: &Path, zeros: &[u8]) -> std::io::Result<()> {
    let path = folder.join(SPARE);
    let begun = {
        let mut place = lock(place);
        if place.wanted == 0 {
            return Ok(());
        }
        match place.spare.take() {
            Some(spare) => Ok(spare),
            // Under the lock: the one that becomes a segment has its name by then.
            None => begin_spare(&path),
        }
    };
    let made = begun.and_then(|(file, mut written)| {
        loop {
            let wanted = lock(place).wanted;
            if written >= wanted || written % PIECE == 0 {
                file.sync_all()?;
            }
            if written >= wanted {
                return Ok((file, written));
            }
            let length = (zeros.len() as u64 - written % zeros.len() as u64).min(wanted - written);
            file.write_all_at(&zeros[..length as usize], written)?;
            written += length;
        }
    });
    let mut place = lock(place);
    place.wanted = 0;
    match made {
        Ok(spare) => {
            place.spare = Some(spare);
            Ok(())
        }
        Err(error) => {
            // What is left of it is truncated the next time, or removed at the next start.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Has `ahead` octets behind `end` prewritten; answers whether there is anything to do.
fn want(place: &mut Place, file: &Arc<File>, end: u64, ahead: u64, full: u64) -> bool {
    if end >= full || place.file.is_none() && place.until >= end && place.until != 0 {
        // The segment is full, or it failed before in it.
        return false;
    }
    place.file = Some(file.clone());
    place.next = place.next.max(end);
    place.until = place.until.max((end + ahead).min(full));
    true
}

impl Ahead {
    /// Starts the thread. `folder` has the segments.
    pub(super) fn start(folder: Arc<Path>) -> Result<Ahead> {
        match std::fs::remove_file(folder.join(SPARE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let place = Arc::new(Mutex::new(Place::default()));
        let (ask, asked) = sync_channel::<()>(1);
        let (shared, root) = (place.clone(), folder.clone());
        let thread = std::thread::Builder::new().name("store-ahead".into()).spawn(move || {
            let zeros = vec![0; SLICE];
            while asked.recv().is_ok() {
                if let Err(error) = serve(&shared, &zeros).and_then(|()| make_spare(&shared, &root, &zeros)) {
                    // Prewriting is a convenience; what is wrong with the disk, the writer will tell.
                    tracing::debug!(%error, "nothing more is prewritten in this segment");
                }
            }
        })?;
        Ok(Ahead { place, ask: Some(ask), thread: Some(thread), folder, free: FREE, small: 0 })
    }

    /// A batch is to be written up to `end`: no zero goes before it any more.
    pub(super) fn reserve(&self, end: u64) {
        let mut place = lock(&self.place);
        place.next = place.next.max(end);
        // What comes goes before what may.
        place.until = place.until.min(place.next.max(end + MOST));
        place.wanted = 0;
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
        if place.next.saturating_sub(end) >= ahead / 2 {
            return;
        }
        if want(&mut place, file, end, ahead, full) {
            drop(place);
            self.ask();
        }
    }

    /// Nothing comes, and the last record of `file` ends at `end`: makes ready for as much as came in small batches since the start, in this segment
    /// and in the next one.
    pub(super) fn rest(&mut self, file: &Arc<File>, end: u64, full: u64) {
        let ready = self.small.min(2 * full);
        let here = full.saturating_sub(end).min(ready);
        let mut place = lock(&self.place);
        // Not for little, which is made ready as it comes.
        let more = ready > MOST && place.next < end + here;
        let next = (ready - here).min(full);
        let spare = ready > MOST && next >= PIECE && place.spare.as_ref().is_none_or(|(_, made)| *made < next);
        if !more && !spare {
            return;
        }
        match rustix::fs::statvfs(&*self.folder) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) >= self.free.saturating_add(ready) => {}
            _ => return,
        }
        let more = more && want(&mut place, file, end, here, full);
        if spare {
            place.wanted = next;
        }
        drop(place);
        if more || spare {
            self.ask();
        }
    }

    fn ask(&self) {
        if let Some(ask) = &self.ask {
            // One that is asked already sees what is wanted now.
            let _ = ask.try_send(());
        }
    }

    /// Gives the spare the name of the segment that begins, durably; `None` where there is none.
    pub(super) fn begin(&self, path: &Path) -> Option<Arc<File>> {
        let mut place = lock(&self.place);
        let (file, prewritten) = place.spare.take()?;
        place.wanted = 0;
        let named =
            std::fs::rename(self.spare(), path).map_err(StoreError::from).and_then(|()| sync_folder(&self.folder));
        if let Err(error) = named {
            tracing::debug!(%error, "the spare segment cannot be used");
            return None;
        }
        (place.file, place.next, place.until) = (Some(file.clone()), prewritten, prewritten);
        Some(file)
    }

    fn spare(&self) -> PathBuf {
        self.folder.join(SPARE)
    }

    /// Prewrites nothing more in the file that had it, and does `then` while no zero can be written; it is to cut off what was
    /// prewritten behind its records.
    pub(super) fn leave<T>(&self, then: impl FnOnce() -> T) -> T {
        let mut place = lock(&self.place);
        (place.file, place.next, place.until) = (None, 0, 0);
        then()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.leave(|| {});
        lock(&self.place).wanted = 0;
        self.ask.take();
        if let Some(thread) = self.thread.take() {
            // It ends after the slice it is at.
            let _ = thread.join();
        }
        if lock(&self.place).spare.take().is_some() {
            // One that stays is removed at the next start.
            let _ = std::fs::remove_file(self.spare());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const FULL: u64 = 8 * 1024 * 1024;

    fn until(what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A segment in which small batches came up to `end`, and what is ahead of it.
    fn received(folder: &Path, end: u64, small: u64) -> (Ahead, Arc<File>) {
        let mut ahead = Ahead::start(folder.into()).expect("started");
        let path = folder.join("1.seg");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path).expect("made");
        let file = Arc::new(file);
        ahead.reserve(end);
        file.write_all_at(&vec![7; end as usize], 0).expect("written");
        // The batch that is noted brings an octet.
        (ahead.small, ahead.free) = (small - 1, 0);
        ahead.note(&file, end - 1, end, FULL);
        (ahead, file)
    }

    fn zeros_behind(file: &File, end: u64, length: u64) {
        let mut octets = vec![1; length as usize];
        file.read_exact_at(&mut octets, end).expect("read");
        assert!(octets.iter().all(|octet| *octet == 0));
    }

    #[test]
    fn while_nothing_comes_as_much_is_ready_as_came() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut ahead, file) = received(folder.path(), FULL - MOST - PIECE, 2 * MOST);
        let length = || file.metadata().expect("asked").len();
        until("what comes has its zeros", || length() == FULL - PIECE);
        assert!(!ahead.spare().exists());
        ahead.rest(&file, FULL - MOST - PIECE, FULL);
        until("the segment is ready to its end", || length() == FULL);
        let place = ahead.place.clone();
        let made = || lock(&place).spare.as_ref().map(|(_, made)| *made);
        until("the rest is in a spare", || made() == Some(MOST - PIECE));
        zeros_behind(&file, FULL - MOST - PIECE, MOST + PIECE);
        // More came: the spare goes on where it ended.
        ahead.small = 100 * FULL;
        ahead.rest(&file, FULL - MOST - PIECE, FULL);
        until("the spare grows to a segment", || made() == Some(FULL));
        let second = folder.path().join("2.seg");
        let begun = ahead.begin(&second).expect("there is one");
        assert!(!ahead.spare().exists() && second.exists());
        let mut title = TITLE;
        begun.read_exact_at(&mut title, 0).expect("read");
        assert_eq!(title, TITLE);
        zeros_behind(&begun, TITLE.len() as u64, FULL - TITLE.len() as u64);
        // It is ready: nothing is written into it, and it is one segment only.
        ahead.note(&begun, 16, 1000, FULL);
        assert!(ahead.begin(&folder.path().join("3.seg")).is_none());
        assert!(lock(&ahead.place).next == FULL && begun.metadata().expect("asked").len() == FULL);
    }

    #[test]
    fn what_comes_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut ahead, file) = received(folder.path(), PIECE, 100 * FULL);
        ahead.free = u64::MAX;
        ahead.rest(&file, PIECE, FULL);
        assert!(lock(&ahead.place).wanted == 0, "the disk keeps its room");
        ahead.free = 0;
        ahead.rest(&file, PIECE, FULL);
        let place = lock(&ahead.place);
        assert!(place.wanted > 0 || place.spare.is_some());
        drop(place);
        ahead.reserve(PIECE + 1);
        let place = lock(&ahead.place);
        assert!(place.wanted == 0 && place.until <= place.next.max(PIECE + 1 + MOST));
    }

    #[test]
    fn little_has_nothing_ready_and_a_spare_left_by_a_crash_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(SPARE), b"left").expect("written");
        let (mut ahead, file) = received(folder.path(), 1000, MOST);
        assert!(!ahead.spare().exists());
        ahead.rest(&file, 1000, FULL);
        assert!(lock(&ahead.place).until <= 1000 + MOST && lock(&ahead.place).wanted == 0);
    }

    #[test]
    fn a_spare_goes_with_its_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut ahead, file) = received(folder.path(), FULL - PIECE, 2 * MOST);
        ahead.rest(&file, FULL - PIECE, FULL);
        until("a spare", || lock(&ahead.place).spare.is_some());
        drop(ahead);
        assert!(!folder.path().join(SPARE).exists());
    }
}
