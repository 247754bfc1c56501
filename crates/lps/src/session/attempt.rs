//! Doing something again after the connection failed: how often, how long, and when not (ECO-REOPEN).
//!
//! Every operation is a loop: [`Session::enter`] gives an open connection, the step is made, and [`Guard::kept`] or
//! [`Guard::failed`] says what becomes of it. A connection belongs to the step that uses it: when the step fails otherwise than by
//! a clean refusal, or is cancelled, the connection is dropped, so that nobody goes on in the middle of an answer.

use std::time::Duration;

use imap::client::ClientError;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep};

use super::link::{Link, Opener};
use super::{Session, SessionError};

/// How long one step is tried again without any progress. A user waits; a program has a later turn.
pub const REOPEN_LIMIT: Duration = Duration::from_secs(120);
/// The same for the very first opening: a wrong setting should show soon.
pub(super) const FIRST_LIMIT: Duration = Duration::from_secs(20);
/// Waits before each new try: at once after a dropped connection, then longer, the last one again and again.
const BACKOFF: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_secs(3),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// What was tried of one operation.
pub(super) struct Attempts {
    since: Instant,
    failures: usize,
    limit: Duration,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Attempts::within(REOPEN_LIMIT)
    }

    pub(super) fn within(limit: Duration) -> Self {
        Attempts { since: Instant::now(), failures: 0, limit }
    }

    /// Something was done: what follows is tried as if it were the first time.
    pub(super) fn progress(&mut self) {
        (self.since, self.failures) = (Instant::now(), 0);
    }

    /// Waits for the next try, or gives the error back.
    pub(super) async fn failed(&mut self, error: SessionError) -> Result<(), SessionError> {
        if !error.is_worth_another_try() {
            return Err(error);
        }
        let wait = BACKOFF[self.failures.min(BACKOFF.len() - 1)];
        self.failures += 1;
        // Many clients of a server that comes back should not come back at the same moment.
        let wait = wait.mul_f64(0.75 + 0.5 * jitter());
        if self.since.elapsed() + wait > self.limit {
            return Err(error);
        }
        tracing::debug!(failures = self.failures, "imap: opening the session again");
        sleep(wait).await;
        Ok(())
    }
}

/// From 0 to 1, without any need to be unpredictable.
fn jitter() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // 16 bits of a hasher that is seeded anew each time.
    f64::from(RandomState::new().hash_one(0u8) as u16) / f64::from(u16::MAX)
}

/// An open connection for one step.
pub(super) struct Guard<'s> {
    slot: MutexGuard<'s, Option<Link>>,
    /// Taken from the slot: a cancelled step leaves nothing there.
    link: Link,
}

impl Guard<'_> {
    pub(super) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The step is done.
    pub(super) fn kept(mut self) {
        self.link.touch();
        *self.slot = Some(self.link);
    }

    /// The step failed: tells whether to try again, after a wait, or why not.
    pub(super) async fn failed(
        self,
        error: ClientError,
        folder: Option<&str>,
        attempts: &mut Attempts,
    ) -> Result<(), SessionError> {
        if error.is_clean() {
            let error = SessionError::of(error, folder);
            self.kept();
            // A server that is busy for a moment keeps its connection.
            return attempts.failed(error).await;
        }
        drop(self);
        attempts.failed(SessionError::of(error, folder)).await
    }
}

impl Session {
    /// An open connection, with that folder open as it is now.
    pub(super) async fn enter(&self, folder: Option<&str>, attempts: &mut Attempts) -> Result<Guard<'_>, SessionError> {
        self.enter_with(folder, true, attempts).await
    }

    /// The same; without `refresh` the folder may be as it was at the last answer.
    pub(super) async fn enter_with(
        &self,
        folder: Option<&str>,
        refresh: bool,
        attempts: &mut Attempts,
    ) -> Result<Guard<'_>, SessionError> {
        loop {
            let mut slot = self.slot.lock().await;
            let mut link = match self.alive(&mut slot).await? {
                Some(link) => link,
                None => match self.opener.open().await {
                    Ok(link) => link,
                    Err(error) => {
                        drop(slot);
                        attempts.failed(error).await?;
                        continue;
                    }
                },
            };
            let selected = match folder {
                Some(folder) => link.select(folder, refresh).await.map(drop),
                None => Ok(()),
            };
            let guard = Guard { slot, link };
            match selected {
                Ok(()) => return Ok(guard),
                Err(error) => guard.failed(error, folder, attempts).await?,
            }
        }
    }

    async fn alive(&self, slot: &mut Option<Link>) -> Result<Option<Link>, SessionError> {
        let Some(mut link) = slot.take() else { return Ok(None) };
        Ok(link.is_alive(&self.opener).await?.then_some(link))
    }

    pub(super) fn opener(&self) -> &Opener {
        &self.opener
    }
}
