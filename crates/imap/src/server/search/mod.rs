//! SEARCH, SORT and THREAD: which messages, in what order (RFC 3501 §6.4.4, RFC 5256).
//!
//! A message is judged with as little as possible: first by the view (flags, dates, sizes, numbers), then by the envelope
//! stored at delivery (SENT…), and only then by texts, all of which the backend judges ([`OpenFolder::seek`]): from its
//! index, or by reading what is not indexed yet. Each stage answers "yes", "no" or "not known yet", and what is known is not
//! asked.
//!
//! * [`key`]: the tree; [`found`]: evaluating it; [`answer`]: telling what was found;
//! * [`envelopes`]: envelopes of many messages, in batches;
//! * [`subject`], [`sort`], [`thread`]: RFC 5256;
//!
//! Memory: a bit for each message and what is known of it, the numbers of the bodies asked about, one batch of structures, and for SORT
//! and THREAD the positions and the keys.
//!
//! [`OpenFolder::seek`]: crate::backend::OpenFolder::seek

mod answer;
mod envelopes;
mod found;
mod key;
mod sort;
mod subject;
mod thread;

use tokio_util::sync::CancellationToken;

pub(super) use self::answer::{Positions, Told, saves, tell};
pub(super) use self::found::matching;
pub(super) use self::key::Plan;
pub(super) use self::sort::sorted;
pub(super) use self::thread::{check as check_threads, threads};
use super::output::Output;
use super::progress::Progress;
use super::reply::Reply;
use super::selected::Selected;

/// The base subject, for `fuzz/`.
pub(super) fn base_subject(subject: &str) -> String {
    self::subject::base(subject).text
}

/// What a search needs while it goes on.
pub(super) struct Work<'w> {
    pub(super) out: &'w mut Output,
    pub(super) selected: &'w Selected,
    pub(super) shutdown: &'w CancellationToken,
    pub(super) progress: Progress<'w>,
}

impl Work<'_> {
    /// Tells how far the work is when it is time to.
    async fn step(&mut self, done: usize, total: usize) -> Result<(), super::Ended> {
        self.progress.step(self.out, self.shutdown, done, total).await
    }
}

/// What is said to a charset that is not decoded here (RFC 3501 §6.4.4, RFC 5256 §3); `None` when it is.
pub(super) fn bad_charset(charset: &str) -> Option<Reply> {
    let known = matches!(charset, "UTF-8" | "US-ASCII");
    (!known).then(|| Reply::no("Only these charsets").code("BADCHARSET (US-ASCII UTF-8)"))
}

/// Seconds since 1970, for OLDER and YOUNGER.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
