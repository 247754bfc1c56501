//! A place whose content is changed while others look at it: who looked keeps what they saw.

use std::sync::{Arc, PoisonError, RwLock};

/// The place. Clones are the same place.
#[derive(Debug)]
pub(crate) struct Slot<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Slot(self.0.clone())
    }
}

impl<T> Slot<T> {
    pub(crate) fn new(content: T) -> Self {
        Slot(Arc::new(RwLock::new(Arc::new(content))))
    }

    /// What is there now.
    pub(crate) fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts something else there.
    pub(crate) fn set(&self, content: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(content);
    }
}
