//! When to try again, when to tell the sender, when to give up. All in seconds.

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 3600;

/// The delays of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Before the second attempt.
    pub first_retry: i64,
    /// After which the sender is told of the delay.
    pub delay_notice: i64,
    /// After which a server that cannot be trusted (no TLS, wrong certificate) is no longer waited for: it is less likely to
    /// mend itself than a server that is down, and the sender must know.
    pub distrust: i64,
}

impl Schedule {
    /// When to try again after `attempts` attempts (at least one), the last of them at `now`: the pause doubles from
    /// `first_retry` to an hour; `key` spreads what failed together over a quarter of the pause.
    pub fn next(&self, now: i64, attempts: u32, key: u64) -> i64 {
        let doublings = attempts.saturating_sub(1).min(20);
        let pause = self.first_retry.saturating_mul(1 << doublings).clamp(1, LONGEST_PAUSE.max(self.first_retry));
        let spread = i64::try_from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).unwrap_or(0) % (pause / 4).max(1);
        now + pause + spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let schedule = Schedule { first_retry: 60, delay_notice: 0, distrust: 0 };
        let pauses: Vec<i64> = (1..=9).map(|n| schedule.next(0, n, 0)).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        for key in 0..1000 {
            let pause = schedule.next(0, 3, key);
            assert!((240..300).contains(&pause), "{pause}");
        }
        assert_eq!(schedule.next(0, u32::MAX, 0), 3600);
    }
}
