//! Waiting until the operator has fetched what is played to it (LBL, CER-10): outside of a sandbox it does so in its own time, which may be longer than
//! any lease, so that the lease is taken anew meanwhile.

use std::time::{Duration, Instant};

use crate::job::Limits;
use crate::peer::Attempt;
use crate::stand::{Client, Held, MAX_LEASE, StandError};
use crate::verdict::Verdict;

/// Between two looks at what is awaited.
pub(super) const BETWEEN: Duration = Duration::from_millis(100);

/// What is played to an operator.
pub(super) trait Playing: Sync {
    /// What the operator is to fetch, in words.
    const WHAT: &'static str;

    /// Where it is played.
    fn stand(&self) -> &Client;

    /// Plays it, or plays it anew: the lease before ends.
    fn play(&self, length: Duration) -> impl Future<Output = Result<Held, StandError>> + Send;

    /// Whether the operator has fetched it.
    fn is_fetched(&self) -> impl Future<Output = Result<bool, StandError>> + Send;
}

/// Most tries of a good attempt: each leaves a dialogue in the proof.
const MOST_TRIES: u32 = 60;

/// Plays, and waits until it was fetched; the lease then lasts for what follows, `after`, and for the operator to put in force what it fetched.
///
/// # Errors
/// *Non exécuté* when it does not fetch it in its time; what the stand says.
pub(super) async fn fetched<P: Playing>(limits: &Limits, after: Duration, playing: &P) -> Result<Held, Verdict> {
    let needed = limits.settle() + after;
    let length = (limits.fetch() + needed).min(MAX_LEASE);
    let began = Instant::now();
    let mut held = playing.play(length).await?;
    let mut played = Instant::now();
    loop {
        let is_over = playing.is_fetched().await?;
        if !is_over && began.elapsed() >= limits.fetch() {
            let _ = playing.stand().give_back(held).await;
            return Err(Verdict::NonExecute {
                cause: format!(
                    "l'opérateur n'a pas relu {} en {} s : donnez sa période à limits.fetch_seconds",
                    P::WHAT,
                    limits.fetch().as_secs()
                ),
            });
        }
        if played.elapsed() + needed > length && length > needed {
            held = playing.play(length).await?;
            played = Instant::now();
        }
        if is_over {
            return Ok(held);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// A good attempt once all is as before: the operator may have nothing to judge by until it fetches anew, in its own time.
pub(super) async fn again<F: Future<Output = Attempt>>(limits: &Limits, attempt: impl Fn() -> F) -> Attempt {
    let (most, began) = (limits.fetch() + limits.settle(), Instant::now());
    loop {
        let seen = attempt().await;
        if seen.is_accepted() || began.elapsed() >= most {
            return seen;
        }
        tokio::time::sleep((most / MOST_TRIES).max(BETWEEN)).await;
    }
}
