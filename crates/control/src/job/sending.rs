//! `[sending]`: how long a campaign waits for what the operator sends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a campaign waits for what the operator sends to the traps. Past these nothing is concluded against it,
/// but that one of two messages was lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sending {
    /// Seconds until a message that nothing hinders is there.
    pub arrival_seconds: u64,
    /// Seconds until a message that was put off is there: several retries of the operator's queue.
    pub retry_seconds: u64,
    /// Seconds until the sender is told that a message could not be delivered.
    pub notice_seconds: u64,
    /// Seconds after a message has come during which it must not come again.
    pub repeat_seconds: u64,
}

impl Default for Sending {
    fn default() -> Sending {
        Sending { arrival_seconds: 120, retry_seconds: 3600, notice_seconds: 900, repeat_seconds: 30 }
    }
}

/// The longest wait: a day.
const MOST: u64 = 86_400;

impl Sending {
    /// How long to wait for a message that nothing hinders.
    #[must_use]
    pub fn arrival(&self) -> Duration {
        Duration::from_secs(self.arrival_seconds.min(MOST))
    }

    /// How long to wait for a message that was put off.
    #[must_use]
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds.min(MOST))
    }

    /// How long to wait for a notice.
    #[must_use]
    pub fn notice(&self) -> Duration {
        Duration::from_secs(self.notice_seconds.min(MOST))
    }

    /// How long to look for a second copy.
    #[must_use]
    pub fn repeat(&self) -> Duration {
        Duration::from_secs(self.repeat_seconds.min(MOST))
    }
}
