//! What a store tells of itself: how long commits take, how many requests each holds, whether the last one succeeded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use meter::{Counter, Histogram};

/// Bounds of the time of a commit, in seconds: from a battery-backed disk to one that is dying.
const COMMIT_SECONDS: &[f64] = &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Bounds of the requests in one commit, to the most there can be.
const BATCH_REQUESTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The numbers of one store.
#[derive(Debug)]
pub struct Statistics {
    /// Seconds from the first request of a batch to its being on disk.
    pub commit_seconds: Histogram,
    /// Requests in a batch.
    pub batch_requests: Histogram,
    /// Batches on disk.
    pub committed: Counter,
    /// Batches that did not get there.
    pub failed: Counter,
    /// Slices of upkeep (garbage, compaction) done although somebody waited.
    pub upkeep_between: Counter,
    failing: AtomicBool,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            batch_requests: Histogram::new(BATCH_REQUESTS),
            committed: Counter::default(),
            failed: Counter::default(),
            upkeep_between: Counter::default(),
            failing: AtomicBool::new(false),
        }
    }
}

impl Statistics {
    /// A batch of `requests` is over.
    pub(crate) fn batch(&self, requests: usize, time: Duration, on_disk: bool) {
        self.batch_requests.observe(requests as f64);
        self.commit_seconds.observe(time.as_secs_f64());
        if on_disk {
            self.committed.one()
        } else {
            self.failed.one()
        }
        self.failing.store(!on_disk, Ordering::Relaxed);
    }

    /// Whether the last batch did not get to the disk.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}
