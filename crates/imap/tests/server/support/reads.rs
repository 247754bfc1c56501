//! How the service in memory reads the folders that are opened, and how many it is reading.

use std::sync::Arc;

use tokio::sync::watch;

/// How a folder is read when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// Before it is told of.
    First,
    /// After it was told of, at once.
    Later,
    /// After it was told of, once this changes.
    Held,
    /// After it was told of, and in vain.
    Broken,
}

/// Counts a folder as being read.
pub struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    pub fn begin(reading: &Arc<watch::Sender<usize>>) -> Self {
        reading.send_modify(|count| *count += 1);
        UnderWay(Arc::clone(reading))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
