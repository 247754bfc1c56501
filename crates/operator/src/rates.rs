//! How much one mailbox or one address may ask for: sessions at once, logins, messages, octets (`[rates]`).
//!
//! Token buckets: each key has a level that rises with what is asked and leaks at the allowed rate, so that a burst of one whole period
//! is allowed and no more than the rate in the long run.
//!
//! Invariants:
//! * what counts against a mailbox is counted after its user proved a right on it: nobody can use up somebody else's;
//! * a refused login costs time and nothing else: behind one address there may be a hospital, and the others of it must get in;
//! * memory is bounded by [`MAX_KEYS`] whatever the number of addresses that come.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use store::MailboxId;
use trust::clock::SharedClock;
use trust::presence::owner;

use crate::config;
use crate::monitoring::{Limit, Meter};

/// Keys remembered at once; some 6 MB. Beyond, newcomers share one bucket until old ones have leaked empty.
const MAX_KEYS: usize = 100_000;
/// Each time as many more refused logins have gathered as `refusals_per_minute_per_address`, the answer takes twice as long…
/// …up to this many times: 250 ms become 8 s.
const MOST_STEPS: u32 = 5;
/// The longest a piece of mail waits for its mailbox's rate: well under the time-outs of mail software.
const LONGEST_PACE: Duration = Duration::from_secs(20);

/// Time between two searches for buckets that leaked empty.
const SWEEP: Duration = Duration::from_secs(10);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: SystemTime,
}

impl Bucket {
    fn leak(&mut self, now: SystemTime, rate: f64) {
        let elapsed = now.duration_since(self.at).unwrap_or_default();
        self.level = (self.level - elapsed.as_secs_f64() * rate).max(0.0);
        self.at = now;
    }
}

/// The buckets of one limit. `None` is the bucket that newcomers share when there is no room.
#[derive(Debug)]
struct Buckets<K>(Mutex<Kept<K>>);

#[derive(Debug)]
struct Kept<K> {
    buckets: HashMap<Option<K>, Bucket>,
    /// When those that had leaked empty were looked for.
    swept: SystemTime,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Buckets(Mutex::new(Kept { buckets: HashMap::new(), swept: SystemTime::UNIX_EPOCH }))
    }
}

impl<K: Hash + Eq + Copy> Buckets<K> {
    /// Looks at a bucket that leaks `most` in `per`, and answers what `with` makes of it.
    fn with<T>(&self, key: K, now: SystemTime, most: u64, per: Duration, with: impl FnOnce(&mut Bucket) -> T) -> T {
        let rate = most as f64 / per.as_secs_f64();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { buckets, swept } = &mut *kept;
        let mut key = Some(key);
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            // Looking at all of them for every newcomer would cost more than what they ask for.
            if now.duration_since(*swept).is_ok_and(|since| since >= SWEEP) {
                *swept = now;
                buckets.retain(|_, bucket| {
                    bucket.leak(now, rate);
                    bucket.level > 0.0
                });
            }
            if buckets.len() >= MAX_KEYS {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { level: 0.0, at: now });
        bucket.leak(now, rate);
        with(bucket)
    }

    /// Asks for one of `most` in `per`.
    fn take(&self, key: K, now: SystemTime, most: u64, per: Duration) -> bool {
        most == 0
            || self.with(key, now, most, per, |bucket| {
                // A hair of slack: leaking in parts must not round a whole one away.
                let fits = bucket.level + 1.0 <= most as f64 + 1e-6;
                if fits {
                    bucket.level += 1.0;
                }
                fits
            })
    }

    /// Takes `cost` of `most` in `per` whatever is left, and answers how long to wait for it.
    fn spend(&self, key: K, now: SystemTime, cost: u64, most: u64, per: Duration) -> Duration {
        if most == 0 {
            return Duration::ZERO;
        }
        self.with(key, now, most, per, |bucket| {
            bucket.level += cost as f64;
            let over = bucket.level - most as f64;
            if over <= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(over / most as f64 * per.as_secs_f64()) }
        })
    }
}

/// The limits of one operator.
#[derive(Debug)]
pub struct Rates {
    settings: RwLock<config::Rates>,
    clock: SharedClock,
    meter: Arc<Meter>,
    sessions: Mutex<HashMap<MailboxId, u64>>,
    logins: Buckets<MailboxId>,
    attempts: Buckets<IpAddr>,
    refusals: Buckets<IpAddr>,
    messages: Buckets<MailboxId>,
    octets: Buckets<MailboxId>,
}

impl Rates {
    /// Nothing asked for yet.
    pub fn new(settings: config::Rates, clock: SharedClock, meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Rates {
            settings: RwLock::new(settings),
            clock,
            meter,
            sessions: Mutex::default(),
            logins: Buckets::default(),
            attempts: Buckets::default(),
            refusals: Buckets::default(),
            messages: Buckets::default(),
            octets: Buckets::default(),
        })
    }

    /// Other limits from now on; what was asked for still counts.
    pub fn set(&self, settings: config::Rates) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> config::Rates {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether an address may try to log in once more.
    pub fn attempt(&self, address: IpAddr) -> bool {
        let most = self.settings().logins_per_minute_per_address;
        let may = self.attempts.take(owner(address), self.clock.now(), most, MINUTE);
        if !may {
            self.meter.limited(Limit::LoginsOfAddress);
        }
        may
    }

    /// A login from an address is refused: how many times longer than usual the answer takes.
    pub fn refused(&self, address: IpAddr) -> u32 {
        let most = self.settings().refusals_per_minute_per_address;
        if most == 0 {
            return 1;
        }
        let gathered = self.refusals.with(owner(address), self.clock.now(), most, MINUTE, |bucket| {
            // Bounded, so that an address is forgiven some minutes after it stopped.
            bucket.level = (bucket.level + 1.0).min(most as f64 * f64::from(MOST_STEPS + 1));
            bucket.level
        });
        // At most MOST_STEPS + 1: the level is bounded above.
        let steps = (gathered / most as f64) as u32;
        if steps > 0 {
            self.meter.limited(Limit::Refusals);
        }
        2_u32.pow(steps.min(MOST_STEPS))
    }

    /// A session of a mailbox whose user proved a right on it; `None` when it has too many, or opens them too fast.
    pub fn enter(self: &Arc<Self>, mailbox: MailboxId) -> Option<Arc<Allowance>> {
        let settings = self.settings();
        if !self.logins.take(mailbox, self.clock.now(), settings.logins_per_minute_per_mailbox, MINUTE) {
            self.meter.limited(Limit::LoginsOfMailbox);
            return None;
        }
        let most = settings.sessions_per_mailbox;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let here = sessions.entry(mailbox).or_default();
        if most != 0 && *here >= most {
            self.meter.limited(Limit::SessionsOfMailbox);
            return None;
        }
        *here += 1;
        Some(Arc::new(Allowance { rates: self.clone(), mailbox }))
    }
}

/// What one session may ask for. It counts as a session of its mailbox until it is dropped.
#[derive(Debug)]
pub struct Allowance {
    rates: Arc<Rates>,
    mailbox: MailboxId,
}

impl Allowance {
    /// Whether one more message may be submitted now.
    pub fn message(&self) -> bool {
        let rates = &self.rates;
        let may = rates.messages.take(self.mailbox, rates.clock.now(), rates.settings().messages_per_hour, HOUR);
        if !may {
            rates.meter.limited(Limit::Messages);
        }
        may
    }

    /// Counts octets read or written, and waits when the mailbox has had its share.
    pub async fn pace(&self, octets: u64) {
        let wait = self.share(octets);
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(LONGEST_PACE)).await;
        }
    }

    /// Counts octets, and answers how long they have to wait.
    fn share(&self, octets: u64) -> Duration {
        let rates = &self.rates;
        let most = rates.settings().mib_per_minute.saturating_mul(1024 * 1024);
        let wait = rates.octets.spend(self.mailbox, rates.clock.now(), octets, most, MINUTE);
        if !wait.is_zero() {
            rates.meter.limited(Limit::Octets);
        }
        wait
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let mut sessions = self.rates.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = sessions.get_mut(&self.mailbox) {
            *here -= 1;
            if *here == 0 {
                sessions.remove(&self.mailbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust::clock::ManualClock;

    fn rates(settings: config::Rates) -> (Arc<Rates>, ManualClock) {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + HOUR);
        (Rates::new(settings, clock.shared(), Meter::new()), clock)
    }

    const BAL: MailboxId = MailboxId(7);

    #[test]
    fn sessions_end_and_logins_come_back_with_time() {
        let (rates, clock) = rates(config::Rates {
            sessions_per_mailbox: 2,
            logins_per_minute_per_mailbox: 4,
            ..config::Rates::default()
        });
        let first = rates.enter(BAL).expect("a place");
        let second = rates.enter(BAL).expect("a place");
        assert!(rates.enter(BAL).is_none(), "two sessions at once");
        assert!(rates.enter(MailboxId(8)).is_some(), "another mailbox");
        drop((first, second));
        drop(rates.enter(BAL).expect("a place again"));
        assert!(rates.enter(BAL).is_none(), "four logins in a minute");
        clock.advance(Duration::from_secs(14));
        assert!(rates.enter(BAL).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(rates.enter(BAL).is_some(), "a quarter of a minute gives one back");
        rates.set(config::Rates { logins_per_minute_per_mailbox: 0, ..config::Rates::default() });
        assert!((0..100).all(|_| rates.enter(BAL).is_some()), "no limit");
    }

    #[test]
    fn a_burst_of_an_hour_of_messages_and_no_more_than_the_rate_after() {
        let (rates, clock) = rates(config::Rates { messages_per_hour: 60, ..config::Rates::default() });
        let session = rates.enter(BAL).expect("a place");
        assert_eq!((0..100).filter(|_| session.message()).count(), 60);
        clock.advance(Duration::from_secs(600));
        // Another session of the same mailbox has no allowance of its own.
        let other = rates.enter(BAL).expect("a place");
        assert_eq!((0..100).filter(|_| other.message()).count(), 10);
    }

    #[test]
    fn octets_beyond_the_rate_wait() {
        let (rates, clock) = rates(config::Rates { mib_per_minute: 60, ..config::Rates::default() });
        let session = rates.enter(BAL).expect("a place");
        assert_eq!(session.share(60 << 20), Duration::ZERO);
        assert_eq!(session.share(5 << 20).as_secs(), 5);
        assert_eq!(session.share(5 << 20).as_secs(), 10);
        clock.advance(Duration::from_secs(30));
        assert_eq!(session.share(0), Duration::ZERO);
    }

    #[test]
    fn refusals_cost_more_and_more_and_are_forgiven() {
        let (rates, clock) = rates(config::Rates { logins_per_minute_per_address: 3, ..config::Rates::default() });
        let from: IpAddr = "2001:db8::1".parse().expect("an address");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        let costs: Vec<u32> = (0..300).map(|_| rates.refused(from)).collect();
        assert!(costs[..29].iter().all(|cost| *cost == 1), "{costs:?}");
        assert_eq!((costs[40], costs[70], costs[299]), (2, 4, 32));
        assert_eq!(rates.refused(neighbour), 32, "the same /64");
        assert_eq!(rates.refused(IpAddr::from([192, 0, 2, 1])), 1);
        clock.advance(Duration::from_secs(6 * 60));
        assert_eq!(rates.refused(from), 1);
        assert!((0..3).all(|_| rates.attempt(from)) && !rates.attempt(neighbour), "three attempts in a minute");
        clock.advance(Duration::from_secs(20));
        assert!(rates.attempt(neighbour));
        rates.set(config::Rates { refusals_per_minute_per_address: 0, ..config::Rates::default() });
        assert!((0..300).all(|_| rates.refused(from) == 1), "no limit");
    }

    #[test]
    fn many_addresses_take_little_memory() {
        let buckets = Buckets::default();
        let clock = SystemTime::UNIX_EPOCH;
        for number in 0..2 * MAX_KEYS {
            buckets.take(number, clock, 10, MINUTE);
        }
        assert_eq!(buckets.0.lock().expect("no panic").buckets.len(), MAX_KEYS + 1);
        // Those that leaked empty are forgotten.
        buckets.take(usize::MAX, clock + HOUR, 10, MINUTE);
        assert_eq!(buckets.0.lock().expect("no panic").buckets.len(), 1);
    }
}
