//! What the scripted operator saw: every session, with the facts that cases judge and the dialogue that proves them.
//!
//! Bounded: so many sessions, so many lines of each, so many octets of messages; what is beyond is counted, not kept. Secrets are kept
//! as their SHA-256 alone. Of messages, the octets live as long as the step they belong to and never reach a report.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::watch;

use super::hello::Hello;
use crate::wire::Line;

/// Sessions kept: a whole campaign has some hundreds.
const MAX_SESSIONS: usize = 2000;
/// Lines of one session kept: a long one of a real client has a hundred.
const MAX_LINES: usize = 300;
/// Verbs of one session kept.
const MAX_VERBS: usize = 300;
/// Secrets of one session kept: honest software sends one.
const MAX_SECRETS: usize = 20;
/// Octets of messages kept at once; judged and dropped after each step.
const MAX_KEPT: usize = 64 * 1024 * 1024;

/// What was spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Reading.
    Imap,
    /// Sending.
    Smtp,
    /// Autoconfiguration.
    Autoconfig,
    /// Where a redirection leads: nobody should come.
    Ailleurs,
    /// Lists of revoked certificates and OCSP.
    Revocation,
}

/// How TLS went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// It was not begun.
    #[default]
    Aucun,
    /// The handshake failed; the reason.
    Echec(String),
    /// Version and suite.
    Etabli(String),
}

/// Where a command was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before TLS.
    Clair,
    /// Inside TLS.
    Tls,
    /// Inside TLS, authenticated.
    Ouverte,
}

/// Something secret that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// `XOAUTH2`, `PLAIN`, `LOGIN`…
    pub mecanisme: String,
    /// Who it is for, as the client says.
    pub utilisateur: String,
    /// Of the token or password.
    pub sha256: String,
    /// Where it was sent.
    pub phase: Phase,
    /// Whether it came with the command.
    pub initiale: bool,
    /// Whether it was accepted.
    pub accepte: bool,
}

/// A message that came in.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// MAIL FROM.
    pub de: String,
    /// RCPT TO.
    pub a: Vec<String>,
    /// SIZE of MAIL FROM.
    pub annonce: Option<u64>,
    /// Octets that came.
    pub taille: u64,
    /// SHA-256 of them, dots taken away.
    pub sha256: String,
    /// Message-ID, its SHA-256: it may hold a name.
    pub message_id: Option<String>,
    /// Whether its end came.
    pub entier: bool,
    /// Whether it was answered 250.
    pub accepte: bool,
    /// What it is, while the step lasts.
    #[serde(skip)]
    pub octets: Arc<Vec<u8>>,
}

/// One session.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Its number.
    pub numero: u64,
    /// With whom.
    pub service: Service,
    /// The scenario played; none: the one of the port.
    pub scenario: String,
    /// Milliseconds since the operator was started.
    pub debut_ms: u64,
    /// The same, of its end.
    pub fin_ms: Option<u64>,
    /// What the client offered.
    pub hello: Option<Hello>,
    /// How TLS went.
    pub tls: Tls,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Verbs and where they were said.
    pub verbes: Vec<(Phase, String)>,
    /// Whether a challenge that tells an error was answered by an empty line; none when there was none.
    pub ligne_vide: Option<bool>,
    /// Whether a command came before the true answer to the one before it.
    pub en_avance: bool,
    /// Whether what it was opened for was done: something was read, a message taken.
    pub abouti: bool,
    /// Whether it was authenticated.
    pub ouverte: bool,
    /// Whether we cut it.
    pub coupee: bool,
    /// Messages.
    pub messages: Vec<Mail>,
    /// First line and host of an HTTP request.
    pub requete: Option<String>,
    /// The dialogue.
    pub dialogue: Vec<Line>,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: Vec<Session>,
    next: u64,
    lost: u64,
    octets: usize,
}

/// Where sessions are kept.
#[derive(Debug, Clone)]
pub struct Seen {
    kept: Arc<Mutex<Kept>>,
    started: Instant,
    /// Moves at each thing seen.
    moved: Arc<watch::Sender<u64>>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { kept: Arc::default(), started: Instant::now(), moved: Arc::new(watch::Sender::new(0)) }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The number of the next session.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.lock().next
    }

    /// Sessions from that number on.
    #[must_use]
    pub fn since(&self, mark: u64) -> Vec<Session> {
        self.lock().sessions.iter().filter(|session| session.numero >= mark).cloned().collect()
    }

    /// Sessions that were not kept because there were too many.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Something to wait for what comes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Forgets what messages hold.
    pub fn forget_messages(&self) {
        let mut kept = self.lock();
        kept.octets = 0;
        for mail in kept.sessions.iter_mut().flat_map(|session| &mut session.messages) {
            mail.octets = Arc::default();
        }
    }

    /// A session begins.
    #[must_use]
    pub fn begin(&self, service: Service, scenario: &str) -> Handle {
        let mut kept = self.lock();
        let number = kept.next;
        kept.next += 1;
        let now = self.now();
        if kept.sessions.len() >= MAX_SESSIONS {
            kept.lost += 1;
        } else {
            kept.sessions.push(Session {
                numero: number,
                service,
                scenario: scenario.to_owned(),
                debut_ms: now,
                fin_ms: None,
                hello: None,
                tls: Tls::Aucun,
                secrets: Vec::new(),
                verbes: Vec::new(),
                ligne_vide: None,
                en_avance: false,
                abouti: false,
                ouverte: false,
                coupee: false,
                messages: Vec::new(),
                requete: None,
                dialogue: Vec::new(),
            });
        }
        drop(kept);
        self.stir();
        Handle { seen: self.clone(), number, started: Instant::now() }
    }

    fn stir(&self) {
        self.moved.send_modify(|count| *count += 1);
    }
}

/// A session under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Handle {
    seen: Seen,
    number: u64,
    started: Instant,
}

impl Handle {
    /// Changes what is known of it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut kept = self.seen.lock();
        let at = kept.sessions.binary_search_by_key(&self.number, |session| session.numero).ok()?;
        Some(change(&mut kept.sessions[at]))
    }

    /// A line of the dialogue: `>` the client's, `<` ours, `=` a remark.
    pub fn line(&self, from: char, text: String) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.with(|session| {
            if session.dialogue.len() < MAX_LINES {
                session.dialogue.push(Line { ms, from, text });
            }
        });
        self.seen.stir();
    }

    /// A verb.
    pub fn verb(&self, phase: Phase, verb: &str) {
        self.with(|session| {
            if session.verbes.len() < MAX_VERBS {
                session.verbes.push((phase, verb.chars().take(40).collect()));
            }
        });
    }

    /// A secret.
    pub fn secret(&self, secret: Secret) {
        self.with(|session| {
            if session.secrets.len() < MAX_SECRETS {
                session.secrets.push(secret);
            }
        });
    }

    /// A message; its octets are kept when there is room.
    pub fn mail(&self, mut mail: Mail) {
        let mut kept = self.seen.lock();
        if kept.octets + mail.octets.len() > MAX_KEPT {
            mail.octets = Arc::default();
        }
        kept.octets += mail.octets.len();
        if let Ok(at) = kept.sessions.binary_search_by_key(&self.number, |session| session.numero) {
            kept.sessions[at].abouti |= mail.accepte;
            kept.sessions[at].messages.push(mail);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let now = self.seen.now();
        self.with(|session| session.fin_ms = Some(now));
        self.seen.stir();
    }
}
