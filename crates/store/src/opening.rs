//! How a folder is opened by somebody who is told something of it before its messages are read.
//!
//! Invariant: what [`Reading::outline`] says and the picture that follows are of one moment. Sequence numbers are positions in that
//! picture: whoever was told the number of messages counts on it, whatever others do meanwhile.

use std::pin::Pin;
use std::sync::Arc;

use mail::{Outline, View};
use tokio::sync::watch;

use crate::Result;

/// A folder opened by [`Store::open_folder`](crate::Store::open_folder).
pub enum Opening {
    /// Its picture is there, as by [`Store::watch`](crate::Store::watch).
    Whole(watch::Receiver<Arc<View>>),
    /// Its messages are being read: [`Store::picture`](crate::Store::picture) waits for them.
    Reading(Reading),
}

/// A folder whose messages are being read. Dropped, they are no longer.
pub struct Reading {
    outline: Outline,
    picture: Pin<Box<dyn Future<Output = Result<Arc<View>>> + Send>>,
}

impl Reading {
    pub(crate) fn new(outline: Outline, picture: impl Future<Output = Result<Arc<View>>> + Send + 'static) -> Self {
        Reading { outline, picture: Box::pin(picture) }
    }

    /// The folder at the moment that the picture will be of.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The picture of that moment, and of no other.
    pub(crate) async fn picture(self) -> Result<Arc<View>> {
        self.picture.await
    }
}
