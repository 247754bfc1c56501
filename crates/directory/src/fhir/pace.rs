//! Seventeen calls in a second, shared by all users of a client (client.md §6.1: per application).
//!
//! A bucket that is refilled would let twice as many through around a refill. Here a call is let go a whole period after the
//! seventeenth before it: no window of one second, wherever it begins, ever holds more than [`CALLS`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls in a period.
pub const CALLS: usize = 17;
/// The period: the gateway's second, and a little for calls that the network brings together.
pub const PERIOD: Duration = Duration::from_millis(1_050);

/// When calls are let go.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last ones were, or will be.
    granted: VecDeque<Instant>,
    /// Nobody before this: the gateway said so.
    not_before: Option<Instant>,
}

impl Pace {
    /// When somebody who asks at `now` may call. They are counted as calling then.
    pub fn grant(&mut self, now: Instant) -> Instant {
        let mut at = self.not_before.map_or(now, |hold| hold.max(now));
        // In the order asked: never before somebody who asked earlier.
        if let Some(last) = self.granted.back() {
            at = at.max(*last);
        }
        if self.granted.len() >= CALLS
            && let Some(first) = self.granted.pop_front()
        {
            at = at.max(first + PERIOD);
        }
        self.granted.push_back(at);
        at
    }

    /// Lets nobody go for so long: the gateway has had enough.
    pub fn hold(&mut self, until: Instant) {
        self.not_before = Some(self.not_before.map_or(until, |hold| hold.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_seventeen_in_a_second(gaps in proptest::collection::vec(0u64..200, 1..200), hold in 0usize..200) {
            let start = Instant::now();
            let (mut pace, mut now, mut at) = (Pace::default(), start, Vec::new());
            for (index, gap) in gaps.iter().enumerate() {
                now += Duration::from_millis(*gap);
                if index == hold {
                    pace.hold(now + Duration::from_secs(3));
                }
                let when = pace.grant(now);
                prop_assert!(when >= now);
                at.push(when);
            }
            prop_assert!(at.windows(2).all(|pair| pair[0] <= pair[1]), "in the order asked");
            prop_assert!(at.windows(CALLS + 1).all(|w| w[CALLS] - w[0] >= Duration::from_secs(1)));
        }
    }

    #[test]
    fn the_first_seventeen_at_once_then_one_period_later() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!((0..CALLS).all(|_| pace.grant(now) == now));
        assert!((0..CALLS).all(|_| pace.grant(now) == now + PERIOD));
        assert_eq!(pace.grant(now), now + 2 * PERIOD);
        // Somebody who waited long enough does not wait.
        assert_eq!(pace.grant(now + 9 * PERIOD), now + 9 * PERIOD);
    }
}
