//! Seventeen calls in a second, shared by all users of a client (client.md §6.1: per application).
//!
//! There are seventeen slots. A call takes one and gives it back when its answer begins, and the slot serves again a second after that. So the
//! eighteenth call leaves more than a second after the first was *received*, whatever the network, the scheduler or a busy
//! machine did in between: no second at the gateway, wherever it begins, ever holds more than [`CALLS`]. A bucket that is refilled by the
//! clock would let twice as many through around a refill, and calls that were let go a second apart may still arrive closer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls in a period.
pub const CALLS: usize = 17;
/// The gateway's second, and a little for clocks that differ.
pub const PERIOD: Duration = Duration::from_millis(1_020);

/// When calls are let go.
#[derive(Debug)]
pub(super) struct Pace {
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When each free slot serves again, the oldest first.
    free: VecDeque<Instant>,
    /// Nobody before this: the gateway said so.
    not_before: Option<Instant>,
}

/// A call that may be made.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pace: &'a Pace,
    /// When it served again; kept for a slot that was not used.
    free: Instant,
    used: bool,
    _permit: SemaphorePermit<'a>,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        Pace {
            slots: Semaphore::new(CALLS),
            state: Mutex::new(State { free: VecDeque::from([now; CALLS]), not_before: None }),
        }
    }
}

impl Pace {
    /// Waits for a turn, in the order of asking; `None` when there is none before `deadline`.
    pub async fn turn(&self, deadline: Instant) -> Option<Slot<'_>> {
        // Never closed.
        let permit = tokio::time::timeout_at(deadline.into(), self.slots.acquire()).await.ok()?.ok()?;
        // As many free slots as permits.
        let free = self.state().free.pop_front().unwrap_or_else(Instant::now);
        let mut slot = Slot { pace: self, free, used: false, _permit: permit };
        loop {
            let at = self.state().not_before.map_or(free, |hold| hold.max(free));
            if at >= deadline {
                return None;
            }
            if at <= Instant::now() {
                slot.used = true;
                return Some(slot);
            }
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// Lets nobody go before `until`: the gateway has had enough.
    pub fn hold(&self, until: Instant) {
        let mut state = self.state();
        state.not_before = Some(state.not_before.map_or(until, |hold| hold.max(until)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole when the lock is let go: a panic elsewhere leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    /// Before the permit, which goes with the fields. A call that was dropped may have been received until now.
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if self.used {
            state.free.push_back(Instant::now() + PERIOD);
        } else {
            state.free.push_front(self.free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seventeen_then_a_second_after_the_first_was_answered() {
        let pace = Pace::default();
        let far = Instant::now() + Duration::from_secs(60);
        let mut slots = Vec::new();
        for _ in 0..CALLS {
            slots.push(pace.turn(far).await.expect("a turn"));
        }
        assert!(pace.turn(Instant::now() + Duration::from_millis(20)).await.is_none(), "all are under way");
        let answered = Instant::now();
        drop(slots.remove(0));
        assert!(pace.turn(answered + Duration::from_millis(300)).await.is_none(), "not within the second");
        // Asking in vain cost nothing and put nothing off.
        let next = pace.turn(far).await.expect("a turn");
        assert!(answered.elapsed() >= PERIOD);
        drop((next, slots));
        pace.hold(Instant::now() + Duration::from_secs(3_600));
        assert!(pace.turn(far).await.is_none(), "held");
    }
}
