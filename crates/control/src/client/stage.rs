//! What one port plays: its scenario, and how far it is in it. Counters go back to their beginning at each step.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use openssl::ssl::SslContext;

use super::data::{AuthAnswer, Cut, Scenario};
use super::seen::Seen;

/// Until authentication.
pub const BEFORE: Duration = Duration::from_secs(60);
/// Afterwards: IDLE may last half an hour (RFC 2177).
pub const AFTER: Duration = Duration::from_secs(31 * 60);
/// Messages taken are this large at most, when the scenario has no limit of its own.
pub const MAX_MESSAGE: u64 = 25_000_000;

/// One scenario, on a port for each protocol.
pub struct Stage {
    /// What is played.
    pub scenario: &'static Scenario,
    /// How TLS is made.
    pub tls: SslContext,
    /// Where what happens is kept.
    pub seen: Seen,
    /// The name of the server, for greetings.
    pub host: String,
    /// Begins the messages taken by the operator's name.
    pub serial: AtomicU64,
    answers: AtomicU32,
    cuts: AtomicU32,
}

impl Stage {
    /// At its beginning.
    #[must_use]
    pub fn new(scenario: &'static Scenario, tls: SslContext, seen: Seen, host: String) -> Stage {
        Stage {
            scenario,
            tls,
            seen,
            host,
            serial: AtomicU64::new(0),
            answers: AtomicU32::new(0),
            cuts: AtomicU32::new(0),
        }
    }

    /// Back to the beginning.
    pub fn rewind(&self) {
        self.answers.store(0, Ordering::Relaxed);
        self.cuts.store(0, Ordering::Relaxed);
    }

    /// The answer to the next authentication.
    #[must_use]
    pub fn answer(&self) -> AuthAnswer {
        let all = &self.scenario.auth;
        let at = self.answers.fetch_add(1, Ordering::Relaxed) as usize;
        // Tested: no scenario without an answer.
        all.get(at).or(all.last()).copied().unwrap_or(AuthAnswer::Accepte)
    }

    /// Whether the session is to be cut here. One cut less is left then.
    #[must_use]
    pub fn is_cut(&self, here: Cut) -> bool {
        self.scenario.coupure == Some(here)
            && self
                .cuts
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cuts| {
                    (cuts < self.scenario.coupures).then_some(cuts + 1)
                })
                .is_ok()
    }

    /// How long before each answer.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.scenario.lenteur_ms)
    }

    /// Largest message.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.scenario.taille_max.unwrap_or(MAX_MESSAGE)
    }
}

/// The error of an XOAUTH2 challenge, as Pro Santé Connect's operators say it.
#[must_use]
pub fn challenge() -> String {
    openssl::base64::encode_block(br#"{"status":"401","schemes":"bearer","scope":"openid"}"#)
}
