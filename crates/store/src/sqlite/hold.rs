//! Keeping the files of a data folder while somebody copies them.
//!
//! As long as a [`Hold`] lives, large bodies and segments that nobody names any more stay where they are; they go when the last hold
//! does. A crash meanwhile leaves orphans, which the next start removes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::Files;
use super::segment::Segments;

/// What is to be removed once nobody holds it.
#[derive(Clone)]
pub(super) struct Waiting<T>(Arc<Mutex<(usize, BTreeSet<T>)>>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting(Arc::new(Mutex::new((0, BTreeSet::new()))))
    }
}

impl<T: Ord> Waiting<T> {
    /// A count and a set stay consistent whatever panics.
    fn lock(&self) -> MutexGuard<'_, (usize, BTreeSet<T>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody holds.
    pub(super) fn held(&self) -> bool {
        self.lock().0 > 0
    }

    /// Takes the removal on itself while somebody holds; otherwise the caller removes.
    pub(super) fn takes(&self, what: impl FnOnce() -> T) -> bool {
        let mut state = self.lock();
        if state.0 > 0 {
            state.1.insert(what());
            return true;
        }
        false
    }

    fn hold(&self) {
        self.lock().0 += 1;
    }

    /// One holds less; answers what is to be removed now.
    fn release(&self) -> BTreeSet<T> {
        let mut state = self.lock();
        state.0 = state.0.saturating_sub(1);
        if state.0 == 0 { std::mem::take(&mut state.1) } else { BTreeSet::new() }
    }
}

/// As long as it lives, no file of the data folder is removed.
pub(super) struct Hold {
    files: Files,
    segments: Segments,
}

impl Hold {
    pub(super) fn new(files: Files, segments: Segments) -> Self {
        files.waiting.hold();
        segments.waiting.hold();
        Hold { files, segments }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for name in self.files.waiting.release() {
            self.files.remove(&name);
        }
        for segment in self.segments.waiting.release() {
            if let Err(error) = self.segments.remove(segment) {
                tracing::warn!(%error, segment, "an empty segment could not be removed");
            }
        }
    }
}
