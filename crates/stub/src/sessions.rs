//! What the stand-in remembers: codes to be exchanged, sessions, what was revoked. In memory, bounded; a restart ends all
//! sessions, as an outage of PSC would.

use std::collections::{HashMap, VecDeque};

use crate::claims::{Login, SESSION_IDLE, SESSION_MAX};

/// Codes waiting at once; the oldest goes first.
const MAX_CODES: usize = 1_000;
/// Sessions at once; the oldest goes first.
const MAX_SESSIONS: usize = 10_000;
/// Revoked tokens remembered: they live two minutes.
const MAX_REVOKED: usize = 10_000;
/// Life of a code, in seconds (RFC 6749 §4.1.2: at most ten minutes; Keycloak: one).
const CODE_LIFE: i64 = 60;

/// A code given by the login page.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    /// Who logged in.
    pub login: Login,
    /// Where the code went: must be said again.
    pub redirect_uri: String,
    /// PKCE S256 challenge.
    pub challenge: Option<String>,
}

struct Session {
    login: Login,
    last: i64,
}

/// A map that forgets its oldest entry when it is full.
pub(crate) struct Bounded<V> {
    entries: HashMap<String, V>,
    order: VecDeque<String>,
    most: usize,
}

impl<V> Bounded<V> {
    pub fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key)
    }

    pub fn new(most: usize) -> Self {
        Bounded { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    pub fn insert(&mut self, key: String, value: V) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }
}

/// See the module.
pub(crate) struct Sessions {
    codes: Bounded<(Code, i64)>,
    sessions: Bounded<Session>,
    revoked: Bounded<()>,
}

impl Sessions {
    pub fn new() -> Self {
        Sessions {
            codes: Bounded::new(MAX_CODES),
            sessions: Bounded::new(MAX_SESSIONS),
            revoked: Bounded::new(MAX_REVOKED),
        }
    }

    /// Keeps a code for a minute.
    pub fn add_code(&mut self, word: String, code: Code, now: i64) {
        self.codes.insert(word, (code, now));
    }

    /// Takes a code: it serves once.
    pub fn take_code(&mut self, word: &str, now: i64) -> Option<Code> {
        let (code, made) = self.codes.entries.remove(word)?;
        self.codes.order.retain(|key| key != word);
        (now - made <= CODE_LIFE).then_some(code)
    }

    /// Opens a session.
    pub fn open(&mut self, login: Login, now: i64) {
        self.sessions.insert(login.sid.clone(), Session { login, last: now });
    }

    /// A session that was not idle too long, nor lasts too long; it counts as used now.
    pub fn touch(&mut self, sid: &str, now: i64) -> Option<Login> {
        let session = self.sessions.entries.get_mut(sid)?;
        let (idle, max) = (SESSION_IDLE.as_secs() as i64, SESSION_MAX.as_secs() as i64);
        if now - session.last > idle || now - session.login.at > max {
            return None;
        }
        session.last = now;
        Some(session.login.clone())
    }

    /// Ends a session: its tokens are no longer active.
    pub fn end(&mut self, sid: &str) {
        self.revoked.insert(sid.to_owned(), ());
        if let Some(session) = self.sessions.entries.get_mut(sid) {
            session.last = i64::MIN / 2;
        }
    }

    /// Ends one token.
    pub fn revoke(&mut self, jti: &str) {
        self.revoked.insert(jti.to_owned(), ());
    }

    /// Whether a token or its session was ended.
    pub fn is_ended(&self, jti: &str, sid: &str) -> bool {
        self.revoked.entries.contains_key(jti) || self.revoked.entries.contains_key(sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_serve_once_and_not_for_long() {
        let mut sessions = Sessions::new();
        let code = Code { login: Login::alone("899700000017", 0), redirect_uri: String::new(), challenge: None };
        sessions.add_code("a".into(), code.clone(), 0);
        assert!(sessions.take_code("a", 10).is_some());
        assert!(sessions.take_code("a", 10).is_none());
        sessions.add_code("b".into(), code, 0);
        assert!(sessions.take_code("b", CODE_LIFE + 1).is_none());
    }

    #[test]
    fn sessions_end_idle_or_old_or_when_told() {
        let mut sessions = Sessions::new();
        let login = Login::alone("899700000017", 0);
        sessions.open(login.clone(), 0);
        let (idle, max) = (SESSION_IDLE.as_secs() as i64, SESSION_MAX.as_secs() as i64);
        for now in (0..=max).step_by(idle as usize) {
            assert!(sessions.touch(&login.sid, now).is_some(), "{now}");
        }
        assert!(sessions.touch(&login.sid, max + 1).is_none());
        let other = Login::alone("899700000017", 0);
        sessions.open(other.clone(), 0);
        assert!(sessions.touch(&other.sid, idle + 1).is_none());
        let third = Login::alone("899700000017", 0);
        sessions.open(third.clone(), 0);
        sessions.end(&third.sid);
        assert!(sessions.touch(&third.sid, 1).is_none());
        assert!(sessions.is_ended("any", &third.sid));
    }

    #[test]
    fn memory_is_bounded() {
        let mut map = Bounded::new(3);
        for n in 0..10 {
            map.insert(n.to_string(), n);
        }
        assert_eq!((map.entries.len(), map.order.len()), (3, 3));
        assert!(map.entries.contains_key("9"));
    }
}
