//! What the vendor's server remembers between the steps of a login: in memory, bounded, the oldest forgotten first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use psc::login::{PscSession, RedirectLogin};

/// Life of a ticket: the browser brings it in one redirection.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Logins under way at once, about 2 KB each.
const MAX_LOGINS: usize = 10_000;
/// Tickets on their way at once.
const MAX_TICKETS: usize = 10_000;
/// People logged in at once.
const MAX_SESSIONS: usize = 100_000;

type Digest = [u8; 32];

/// A login under way.
pub(super) struct Begun {
    pub login: RedirectLogin,
    pub program: Program,
}

/// The program that waits for it.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Digest of its secret.
    pub challenge: Digest,
    /// Where it listens on the person's machine.
    pub port: u16,
    /// Given back to it.
    pub state: String,
}

struct Ticket {
    session: PscSession,
    challenge: Digest,
    until: SystemTime,
}

/// Entries in the order they came.
struct Bounded<V> {
    entries: HashMap<Digest, V>,
    order: VecDeque<Digest>,
    most: usize,
}

impl<V> Bounded<V> {
    fn new(most: usize) -> Self {
        Bounded { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    /// Adds an entry; the oldest is given back when there are too many.
    fn insert(&mut self, key: Digest, value: V) -> Option<V> {
        if self.entries.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        // Those that were removed still stand in the order.
        if self.order.len() > self.most.saturating_mul(2) {
            self.order.retain(|key| self.entries.contains_key(key));
        }
        let mut gone = None;
        while self.entries.len() > self.most {
            gone = self.entries.remove(&self.order.pop_front()?);
        }
        gone
    }

    fn retain(&mut self, stays: impl Fn(&V) -> bool) {
        self.entries.retain(|_, value| stays(value));
        self.order.retain(|key| self.entries.contains_key(key));
    }
}

/// See the module.
pub(super) struct Kept {
    logins: Bounded<Begun>,
    tickets: Bounded<Ticket>,
    sessions: Bounded<PscSession>,
    swept: SystemTime,
}

/// Time between two looks at everything that is over.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Kept {
    pub fn new(now: SystemTime) -> Kept {
        Kept {
            logins: Bounded::new(MAX_LOGINS),
            tickets: Bounded::new(MAX_TICKETS),
            sessions: Bounded::new(MAX_SESSIONS),
            swept: now,
        }
    }

    /// Forgets what is over, once a minute.
    pub fn sweep(&mut self, now: SystemTime) {
        if now.duration_since(self.swept).unwrap_or(SWEEP_EVERY) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        self.logins.retain(|begun| !begun.login.is_expired());
        self.tickets.retain(|ticket| now < ticket.until);
        self.sessions.retain(|session| session.over().is_none());
    }

    pub fn begin(&mut self, begun: Begun) {
        self.logins.insert(super::digest(begun.login.state().expose()), begun);
    }

    /// The login of a return's `state`; it is taken.
    pub fn take_login(&mut self, state: &str) -> Option<Begun> {
        self.logins.entries.remove(&super::digest(state))
    }

    pub fn issue(&mut self, ticket: &str, session: PscSession, challenge: Digest, now: SystemTime) {
        let until = now + TICKET_LIFE;
        self.tickets.insert(super::digest(ticket), Ticket { session, challenge, until });
    }

    /// The session of a ticket, for whoever has the secret. The ticket is spent either way.
    pub fn redeem(&mut self, ticket: &str, secret: &str, now: SystemTime) -> Option<PscSession> {
        let ticket = self.tickets.entries.remove(&super::digest(ticket))?;
        (now < ticket.until && super::fits(secret, &ticket.challenge)).then_some(ticket.session)
    }

    pub fn keep(&mut self, handle: &str, session: PscSession) {
        self.sessions.insert(super::digest(handle), session);
    }

    pub fn session(&self, handle: &str) -> Option<PscSession> {
        self.sessions.entries.get(&super::digest(handle)).cloned()
    }

    pub fn forget(&mut self, handle: &str) -> Option<PscSession> {
        self.sessions.entries.remove(&super::digest(handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_whatever_comes_and_goes() {
        let mut entries = Bounded::new(3);
        for n in 0..100_u8 {
            entries.insert([n; 32], n);
            if n % 2 == 0 {
                entries.entries.remove(&[n; 32]);
            }
            assert!(entries.entries.len() <= 3 && entries.order.len() <= 7, "{n}");
        }
        assert!(entries.entries.contains_key(&[99; 32]));
        entries.retain(|n| *n > 97);
        assert_eq!((entries.entries.len(), entries.order.len()), (1, 1));
    }
}
