//! The index of one mailbox: segments in a folder, encrypted, which answer what their documents would, exactly.
//!
//! It is a cache of the mail and nothing else: a file that is damaged, foreign or of another key is removed and what it held is
//! unknown again; nothing is synced. The key comes from the mailbox's own, and so the index is gone with it.
//!
//! Segments never change. New documents make small ones, which [`Index::merge_some`] joins by tiers, so that their number grows
//! with the logarithm of the documents up to [`MAX_DOCUMENTS`], and only then with it. Searching takes a snapshot of the list and
//! no lock; a file that was merged away stays readable until the last search is over. A crash between a merge and the
//! removal of its sources leaves both; the merged one says whom it replaces.

mod blocks;
mod codec;
#[doc(hidden)]
pub mod fuzzing;
mod gathering;
mod merge;
mod phrase;
mod positions;
mod seeking;
mod segment;
mod texts;
mod tokens;
mod words;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use zeroize::Zeroizing;

use self::blocks::{Broken, Id};
use self::positions::MAX_POSITIONS;
pub use self::seeking::Answer;
use self::segment::Segment;
use crate::document::Document;

/// Most documents of a segment that is made by merging: what a merge rewrites takes seconds, and a search has something to
/// share among its threads.
pub const MAX_DOCUMENTS: usize = 16_384;
/// Segments of a tier that are merged.
const FAN: usize = 8;
/// Segments of the last tier that are merged: fewer, as they stay.
const LAST_FAN: usize = 4;
/// Documents of the last tier's smallest segment.
const LAST: usize = MAX_DOCUMENTS / FAN;
/// A segment is rewritten when one in so many of its documents is gone.
const GONE: usize = 4;
const EXTENSION: &str = "segment";

/// Why documents were not taken.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The folder or a file cannot be written or read.
    #[error("the search index: {0}")]
    Io(#[from] io::Error),
    /// A file that was just written reads otherwise.
    #[error("the search index: a file is damaged")]
    Damaged,
}

impl From<Broken> for IndexError {
    fn from(error: Broken) -> Self {
        match error {
            Broken::Io(error) => IndexError::Io(error),
            Broken::Damaged => IndexError::Damaged,
        }
    }
}

/// The search index of a mailbox.
pub struct Index {
    folder: PathBuf,
    key: Zeroizing<[u8; 32]>,
    segments: RwLock<Arc<List>>,
    /// Held by whoever writes: one at a time.
    writing: Mutex<()>,
    losses: AtomicU64,
}

#[derive(Default)]
struct List {
    segments: Vec<Arc<Segment>>,
}

impl List {
    fn documents(&self) -> usize {
        self.segments.iter().map(|s| s.total()).sum()
    }
}

impl Index {
    /// Opens the index in a folder of its own, made if need be. What cannot be used is removed.
    ///
    /// # Errors
    /// [`IndexError::Io`] when the folder cannot be made or listed.
    pub fn open(folder: &Path, key: Zeroizing<[u8; 32]>) -> Result<Index, IndexError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let opened = match file_id(&path) {
                Some(id) => Segment::open(&path, &key, id),
                // What an interrupted writing left, or what is not ours.
                None => Err(Broken::Damaged),
            };
            match opened {
                Ok(segment) => segments.push(Arc::new(segment)),
                Err(Broken::Damaged) => remove(&path),
                Err(Broken::Io(error)) => tracing::warn!("a file of the search index cannot be read: {error}"),
            }
        }
        let replaced: HashSet<Id> = segments.iter().flat_map(|s| s.replaces.iter().copied()).collect();
        segments.retain(|segment| {
            let stays = !replaced.contains(&segment.id);
            if !stays {
                remove(&segment.path);
            }
            stays
        });
        segments.sort_by_key(|s| s.bodies.iter().min().copied());
        let segments = RwLock::new(Arc::new(List { segments }));
        Ok(Index { folder: folder.to_owned(), key, segments, writing: Mutex::new(()), losses: AtomicU64::new(0) })
    }

    fn list(&self) -> Arc<List> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write_lock(&self) -> MutexGuard<'_, ()> {
        // What a panic left half-written is a file nobody lists.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many documents and segments there are.
    pub fn len(&self) -> (usize, usize) {
        let list = self.list();
        (list.documents(), list.segments.len())
    }

    /// How many times documents were lost since the index was opened, because a file could not be read any more. When this
    /// changes, what is indexed must be compared anew with what there is.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Whether nothing is indexed.
    pub fn is_empty(&self) -> bool {
        self.list().documents() == 0
    }

    /// The bodies indexed, ascending.
    pub fn bodies(&self) -> Vec<u64> {
        let mut bodies: Vec<u64> = self.list().segments.iter().flat_map(|s| s.bodies.iter().copied()).collect();
        bodies.sort_unstable();
        bodies.dedup();
        bodies
    }

    /// Adds documents, each of a body. Those whose body is indexed already are left out. The caller bounds what it gives at
    /// once: a few thousand documents, some megabytes of text.
    ///
    /// # Errors
    /// [`IndexError`]: nothing was added.
    pub fn add(&self, mut documents: Vec<(u64, Document)>) -> Result<(), IndexError> {
        let _writing = self.write_lock();
        let known: HashSet<u64> = {
            let asked: HashSet<u64> = documents.iter().map(|(body, _)| *body).collect();
            self.list().segments.iter().flat_map(|s| &s.bodies).copied().filter(|b| asked.contains(b)).collect()
        };
        documents.retain(|(body, _)| !known.contains(body));
        documents.sort_by_key(|(body, _)| *body);
        documents.dedup_by_key(|(body, _)| *body);
        if documents.is_empty() {
            return Ok(());
        }
        let segment = self.make(|path, id| segment::write(path, &self.key, id, &documents))?;
        self.replace(&[], Some(Arc::new(segment)));
        Ok(())
    }

    /// Writes a segment under a passing name, opens it and gives it its name.
    fn make(&self, write: impl FnOnce(&Path, Id) -> blocks::Result<()>) -> Result<Segment, IndexError> {
        let mut id = Id::default();
        openssl::rand::rand_bytes(&mut id).map_err(|_| io::Error::other("no random numbers"))?;
        let name: String = id.iter().map(|b| format!("{b:02x}")).collect();
        let passing = self.folder.join(format!("{name}.tmp"));
        let path = self.folder.join(format!("{name}.{EXTENSION}"));
        let made = write(&passing, id).and_then(|()| Segment::open(&passing, &self.key, id)).and_then(|segment| {
            fs::rename(&passing, &path)?;
            Ok(Segment { path, ..segment })
        });
        if made.is_err() {
            let _ = fs::remove_file(&passing);
        }
        Ok(made?)
    }

    /// Puts a segment in place of others.
    fn replace(&self, old: &[Id], new: Option<Arc<Segment>>) {
        let mut list = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let kept = list.segments.iter().filter(|s| !old.contains(&s.id)).cloned().chain(new);
        let segments: Vec<_> = kept.collect();
        let gone: Vec<_> = list.segments.iter().filter(|s| old.contains(&s.id)).cloned().collect();
        *list = Arc::new(List { segments });
        drop(list);
        gone.iter().for_each(|segment| remove(&segment.path));
    }

    /// A segment that cannot be read is no longer one.
    fn lost(&self, segment: &Arc<Segment>, error: &Broken) {
        tracing::warn!("a file of the search index is given up and will be made anew: {error}");
        self.replace(&[segment.id], None);
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Does one merge if there is one to do, and answers whether it did; documents whose body is not `alive` are dropped.
    /// With `tidy`, segments of which much is gone are rewritten as well.
    ///
    /// # Errors
    /// [`IndexError`]: all is as before.
    pub fn merge_some(&self, alive: &dyn Fn(u64) -> bool, tidy: bool) -> Result<bool, IndexError> {
        let _writing = self.write_lock();
        let list = self.list();
        let chosen = match tier(&list.segments) {
            chosen if !chosen.is_empty() => chosen,
            _ if tidy => list.segments.iter().filter(|s| mostly_gone(s, alive)).take(1).collect(),
            _ => Vec::new(),
        };
        if chosen.is_empty() {
            return Ok(false);
        }
        let ids: Vec<Id> = chosen.iter().map(|s| s.id).collect();
        if !chosen.iter().any(|s| s.bodies.iter().any(|b| alive(*b))) {
            self.replace(&ids, None);
            return Ok(true);
        }
        let segments: Vec<&Segment> = chosen.iter().map(|s| &***s).collect();
        match self.make(|path, id| merge::merge(path, &self.key, id, &segments, alive)) {
            Ok(segment) => self.replace(&ids, Some(Arc::new(segment))),
            Err(IndexError::Damaged) => {
                // One of them is; which one, reading all of it tells.
                let damaged: Vec<Id> = chosen.iter().filter(|s| !is_sound(s)).map(|s| s.id).collect();
                if damaged.is_empty() {
                    return Err(IndexError::Damaged);
                }
                self.replace(&damaged, None);
                self.losses.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Removes everything: the index of a mailbox that is no more.
    ///
    /// # Errors
    /// [`IndexError::Io`] when a file cannot be removed.
    pub fn forget(folder: &Path) -> Result<(), IndexError> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// The segments to be merged next.
fn tier(segments: &[Arc<Segment>]) -> Vec<&Arc<Segment>> {
    // Those of which two would not fit into one stay as they are.
    let mut by_size: Vec<&Arc<Segment>> = segments.iter().filter(|s| s.positions() <= MAX_POSITIONS / 2).collect();
    by_size.sort_by_key(|s| s.total());
    let mut smallest = 1;
    while smallest <= LAST {
        let last = smallest * FAN > LAST;
        let (size, fan) = if last { (smallest..MAX_DOCUMENTS, LAST_FAN) } else { (smallest..smallest * FAN, FAN) };
        let (mut sum, mut positions) = (0, 0);
        let members = by_size.iter().filter(|s| size.contains(&s.total()));
        let members: Vec<_> = members
            .take_while(|s| {
                sum += s.total();
                // The positions of eight segments fit 32 bits.
                positions += s.positions();
                sum <= MAX_DOCUMENTS && positions <= MAX_POSITIONS
            })
            .take(FAN)
            .copied()
            .collect();
        let many = by_size.iter().filter(|s| size.contains(&s.total())).count() >= fan;
        if many && members.len() > 1 {
            return members;
        }
        smallest *= FAN;
    }
    Vec::new()
}

fn mostly_gone(segment: &Segment, alive: &dyn Fn(u64) -> bool) -> bool {
    segment.bodies.iter().filter(|b| !alive(**b)).count() * GONE > segment.total()
}

fn is_sound(segment: &Segment) -> bool {
    let read = |blocks: &blocks::Blocks| -> blocks::Result<()> {
        let (mut reader, mut raw) = (blocks.reader()?, Vec::new());
        (0..blocks.count()).try_for_each(|n| reader.read(n as u32, &mut raw))
    };
    read(&segment.blocks).is_ok()
}

fn file_id(path: &Path) -> Option<Id> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    if name.len() != 32 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut id = Id::default();
    for (i, octet) in id.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&name[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(id)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("a file of the search index cannot be removed: {error}");
    }
}

#[cfg(test)]
mod tests;
