//! How often may be tried: failures by account and by address, forgotten after a while.
//!
//! Kept in memory: a restart forgets them, which costs an attacker more than it gives. Bounded: when too many are known the oldest go.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Failures of one account before it waits.
const PER_ACCOUNT: u32 = 5;
/// Failures from one address: several people may sit behind one.
const PER_ADDRESS: u32 = 30;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(300);
/// Accounts and addresses remembered.
const MOST: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(IpAddr),
}

/// Failures seen.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Who, (u32, SystemTime)>>);

impl Attempts {
    /// Counts one try; whether it may be made. A success takes it back by [`Attempts::forgive`].
    pub fn may_try(&self, login: &str, address: IpAddr, now: SystemTime) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (_, since)| is_recent(*since, now));
            if known.len() >= MOST {
                return false;
            }
        }
        let pairs = [(Who::Account(login.to_lowercase()), PER_ACCOUNT), (Who::Address(address), PER_ADDRESS)];
        let mut is_allowed = true;
        for (who, most) in pairs {
            let entry = known.entry(who).or_insert((0, now));
            if !is_recent(entry.1, now) {
                *entry = (0, now);
            }
            entry.0 = entry.0.saturating_add(1);
            is_allowed &= entry.0 <= most;
        }
        is_allowed
    }

    /// A try that succeeded: the account's failures are forgotten, and the address has made one less.
    pub fn forgive(&self, login: &str, address: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&Who::Account(login.to_lowercase()));
        if let Some((count, _)) = known.get_mut(&Who::Address(address)) {
            *count = count.saturating_sub(1);
        }
    }
}

fn is_recent(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_then_a_pause() {
        let attempts = Attempts::default();
        let (here, start) = (IpAddr::from([192, 0, 2, 1]), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        for _ in 0..PER_ACCOUNT {
            assert!(attempts.may_try("a", here, start));
        }
        assert!(!attempts.may_try("A", here, start), "whatever the case");
        assert!(attempts.may_try("b", here, start), "another account");
        assert!(attempts.may_try("a", here, start + WINDOW));
        attempts.forgive("a", here);
        for n in 0..100 {
            attempts.may_try(&format!("x{n}"), here, start);
        }
        assert!(!attempts.may_try("y", here, start), "the address");
        assert!(attempts.may_try("y", IpAddr::from([192, 0, 2, 2]), start));
    }
}
