//! What a client is told while a long command goes on (RFC 9585): `* OK [INPROGRESS ("tag" done total)]`, first after some
//! seconds, then about every ten. Told between two steps of the work, whose own lengths bound how late it comes.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{Config, Ended};
use crate::response;

/// How far a command is.
pub(super) struct Progress<'t> {
    tag: &'t str,
    next: Instant,
    every: Duration,
    /// What the stages before this one had to do.
    before: u64,
}

impl<'t> Progress<'t> {
    pub(super) fn new(tag: &'t str, config: &Config) -> Self {
        Progress::every(tag, config.progress_after, config.progress_every)
    }

    /// First after so long, then every so often.
    pub(super) fn every(tag: &'t str, after: Duration, every: Duration) -> Self {
        Progress { tag, next: Instant::now() + after, every, before: 0 }
    }

    /// So much of so much is done in this stage: told when it is time. Ends the command when the server stops.
    pub(super) async fn step(
        &mut self,
        out: &mut Output,
        shutdown: &CancellationToken,
        done: usize,
        total: usize,
    ) -> Result<(), Ended> {
        if shutdown.is_cancelled() {
            return Err(Ended::Bye("The server is stopping"));
        }
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + self.every;
        let (done, total) = (self.before + done as u64, self.before + total as u64);
        out.put(b"* OK [INPROGRESS (");
        response::quoted(out.buffer(), self.tag);
        out.line(format_args!(" {done} {total})] Working on it"));
        out.flush().await
    }

    /// A stage of so much is over: numbers go on growing in the next.
    pub(super) fn stage(&mut self, total: usize) {
        self.before += total as u64;
    }
}
