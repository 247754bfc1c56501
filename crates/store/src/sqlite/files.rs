//! Large bodies, each in a file of its own.
//!
//! Invariants: a file is whole, synced and in its place, and so is its folder, before the commit that names it; it is removed
//! after the commit that forgets it; what a crash leaves between the two is removed at the next start or upkeep. No file is
//! named by two rows: a message for several mailboxes has as many names (hard links).

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hold::Waiting;
use crate::body::{SpoolFile, random_name};
use crate::crypt::Key;
use crate::{Body, Result};

/// Makes a folder that only we may read: it holds health data.
pub(super) fn make_private(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(())
}

/// Makes a folder's entries durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()?;
    Ok(())
}

type InFlight = Arc<Mutex<HashSet<String>>>;

/// A set of names stays consistent whatever panics.
fn lock(set: &InFlight) -> MutexGuard<'_, HashSet<String>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of large bodies.
#[derive(Clone)]
pub(super) struct Files {
    root: Arc<Path>,
    in_flight: InFlight,
    /// Removals put off while somebody copies.
    pub(super) waiting: Waiting<String>,
}

impl Files {
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        make_private(&root)?;
        Ok(Files { root: root.into(), in_flight: InFlight::default(), waiting: Waiting::default() })
    }

    /// Names are random: their first two digits spread them over 256 folders.
    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(&name[..2])
    }

    /// The folder of all of them.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder(name).join(name)
    }

    /// Puts a spooled file in its place under `count` (at least one) names. Blocking.
    pub(super) fn place(&self, spooled: SpoolFile, count: usize) -> Result<Placed> {
        let mut placed = Placed { files: self.clone(), names: Vec::with_capacity(count), kept: false };
        for _ in 0..count.max(1) {
            let name = random_name()?;
            lock(&self.in_flight).insert(name.clone());
            placed.names.push(name);
        }
        let first = self.path(&placed.names[0]);
        for name in &placed.names {
            let folder = self.folder(name);
            if !folder.is_dir() {
                make_private(&folder)?;
                sync_folder(&self.root)?;
            }
        }
        spooled.settle(&first)?;
        for name in &placed.names[1..] {
            let path = self.path(name);
            if std::fs::hard_link(&first, &path).is_err() {
                // A file system without hard links.
                std::fs::copy(&first, &path)?;
                File::open(&path)?.sync_all()?;
            }
        }
        for name in &placed.names {
            sync_folder(&self.folder(name))?;
        }
        Ok(placed)
    }

    /// Opens a body, in clear without a key; `None` when it is gone. Blocking.
    pub(super) fn body(&self, name: &str, size: u64, key: Option<Key>) -> Result<Option<Body>> {
        match File::open(self.path(name)) {
            Ok(file) => Ok(Some(match key {
                None => Body::from_file(Arc::new(file), size),
                Some(key) => Body::from_sealed(Arc::new(file), size, Arc::new(key)),
            })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a file no row names any more. A failure leaves an orphan for the next upkeep.
    pub(super) fn remove(&self, name: &str) {
        if self.waiting.takes(|| name.to_owned()) {
            return;
        }
        if let Err(error) = std::fs::remove_file(self.path(name))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, "a body file could not be removed");
        }
    }

    /// Removes the files that `named` does not know and no commit under way brings. Blocking.
    pub(super) fn remove_orphans(&self, mut named: impl FnMut(&str) -> Result<bool>) -> Result<()> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(&self.root)? {
            let folder = folder?.path();
            if folder.is_dir() {
                for file in std::fs::read_dir(folder)? {
                    found.extend(
                        file?.file_name().into_string().ok().filter(|name| name.len() == 32 && name.is_ascii()),
                    );
                }
            }
        }
        // In this order: a file found above is either still under way now, or its row can be seen, or nobody's.
        let in_flight = lock(&self.in_flight).clone();
        for name in found {
            if !in_flight.contains(&name) && !named(&name)? {
                self.remove(&name);
            }
        }
        Ok(())
    }
}

/// Files in their place whose commit is under way; removed again unless it succeeds.
pub(super) struct Placed {
    files: Files,
    names: Vec<String>,
    kept: bool,
}

impl Placed {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The commit that names them is on disk.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.files.in_flight);
        for name in &self.names {
            if !self.kept {
                self.files.remove(name);
            }
            in_flight.remove(name);
        }
    }
}
