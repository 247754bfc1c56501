//! Whose turn it is in a campaign: the longest first, and only beside those it gets on with ([`Bearing`]).
//!
//! Order: what logs in, while nothing is disturbed; what disturbs Pro Santé Connect, and beside it what needs no login at all; last, one at
//! a time, what disturbs everything. One place is kept for what disturbs, so that what goes beside it does not keep it waiting.
//!
//! A case that no longer counts on something ([`super::lets_go`]) no longer stops others from disturbing it. Should it then see what may be
//! their doing ([`super::disturbed_since`]) it is run a second time, and lets nothing go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cases::{Bearing, Things};
use crate::catalogue::Case;
use crate::forge::variants;

/// Whether what a case let go was disturbed, and until when.
#[derive(Debug, Default)]
pub(super) struct Calm(Mutex<Disturbed>);

#[derive(Debug, Default)]
struct Disturbed {
    /// How many disturb it now.
    now: usize,
    /// When the last one ended.
    ended: Option<Instant>,
}

impl Calm {
    fn state(&self) -> MutexGuard<'_, Disturbed> {
        // Every change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything disturbed it after that instant.
    pub(super) fn disturbed_since(&self, instant: Instant) -> bool {
        let state = self.state();
        state.now > 0 || state.ended.is_some_and(|ended| ended >= instant)
    }
}

/// A case that waits or runs.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Which.
    pub case: &'static Case,
    bearing: Bearing,
    let_go: Things,
    /// Whether it may let go of anything: not the second time.
    pub may_let_go: bool,
    /// What it let go of.
    pub calm: Arc<Calm>,
}

impl Turn {
    fn new(case: &'static Case, may_let_go: bool) -> Turn {
        let (bearing, calm) = (Bearing::of(case), Arc::default());
        Turn { case, bearing, let_go: Things::NONE, may_let_go, calm }
    }
}

/// The cases of a campaign that are not over.
#[derive(Debug)]
pub(super) struct Turns {
    waiting: Vec<Turn>,
    going: Vec<Turn>,
    parallel: usize,
}

impl Turns {
    /// All of them wait. One at a time they keep the order they are given in, but for those that disturb others, which come last.
    pub(super) fn new(cases: impl Iterator<Item = &'static Case>, parallel: usize) -> Turns {
        let mut waiting: Vec<Turn> = cases.map(|case| Turn::new(case, parallel > 1)).collect();
        waiting.sort_by_key(|turn| {
            (stage(turn.bearing, parallel), if parallel > 1 { u32::MAX - length(turn.case) } else { 0 })
        });
        Turns { waiting, going: Vec::new(), parallel }
    }

    /// How many are not over.
    pub(super) fn left(&self) -> usize {
        self.waiting.len() + self.going.len()
    }

    /// The next that may begin now; it counts as going from here on.
    pub(super) fn begin(&mut self) -> Option<Turn> {
        if self.going.len() >= self.parallel {
            return None;
        }
        let is_last_place = self.parallel > 1 && self.going.len() + 1 == self.parallel;
        let is_kept = is_last_place && self.waiting.iter().any(|turn| turn.bearing.is_disturbing());
        let fits = |turn: &Turn| {
            !(is_kept && turn.bearing.is_undemanding())
                && self.going.iter().all(|other| turn.bearing.is_beside(other.bearing))
        };
        let at = self.waiting.iter().position(fits)?;
        let turn = self.waiting.remove(at);
        for other in self.disturbed_by(turn.bearing) {
            other.calm.state().now += 1;
        }
        self.going.push(turn.clone());
        Some(turn)
    }

    /// Those that let go of what this one disturbs.
    fn disturbed_by(&self, bearing: Bearing) -> impl Iterator<Item = &Turn> {
        self.going.iter().filter(move |other| other.let_go.meets(bearing.disturbs))
    }

    /// A case that runs no longer counts on these.
    pub(super) fn let_go(&mut self, case: &Case, things: Things) {
        if let Some(turn) = self.going.iter_mut().find(|turn| turn.case.id == case.id) {
            turn.bearing.uses = turn.bearing.uses.without(things);
            turn.let_go = turn.let_go | things;
        }
    }

    /// A case ran to its end. With `again` it waits anew, if it let anything go; whether it does.
    pub(super) fn over(&mut self, case: &Case, again: bool) -> bool {
        let Some(at) = self.going.iter().position(|turn| turn.case.id == case.id) else { return false };
        let turn = self.going.remove(at);
        for other in self.disturbed_by(turn.bearing) {
            let mut state = other.calm.state();
            state.now = state.now.saturating_sub(1);
            state.ended = Some(Instant::now());
        }
        let is_again = again && turn.let_go != Things::NONE;
        if is_again {
            // Before what would disturb it.
            self.waiting.insert(0, Turn::new(turn.case, false));
        }
        is_again
    }
}

/// In which order kinds of cases come.
fn stage(bearing: Bearing, parallel: usize) -> u8 {
    match bearing {
        _ if bearing.disturbs == Things::ALL => 3,
        _ if bearing.is_disturbing() => 1 + u8::from(parallel == 1),
        _ if bearing.is_undemanding() && parallel > 1 => 2,
        _ => 0,
    }
}

/// About how many seconds a case takes when refusals take a quarter of a second: only the order counts.
fn length(case: &Case) -> u32 {
    match (case.group(), case.id.as_str()) {
        (_, "SES-04") => 3600,
        (_, "SES-03") => 120,
        // A message on its way.
        ("OPE", _) => 60,
        (_, "RES-02") => 25,
        // The first of those that go by the one survey of each server; the others would only wait for it.
        (_, "RES-01" | "RES-03" | "SES-02" | "TLS-01") => 20,
        ("TLS", _) => 0,
        (_, "JWT-12") => 15,
        (_, "IMA-04" | "IMA-06") => 8,
        // Not before JWT-12 has counted.
        (_, "JWT-13") => 14,
        ("JWT", id) => {
            let count = variants().iter().filter(|variant| variant.cas == id).count();
            u32::try_from(count).unwrap_or(u32::MAX / 2)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn turns(ids: &[&str], parallel: usize) -> Turns {
        let cases = ids.iter().map(|id| Catalogue::embedded().case(id).expect("in the catalogue"));
        Turns::new(cases, parallel)
    }

    fn begun(turns: &mut Turns) -> Vec<&'static str> {
        std::iter::from_fn(|| turns.begin()).map(|turn| turn.case.id.as_str()).collect()
    }

    fn case(id: &str) -> &'static Case {
        Catalogue::embedded().case(id).expect("in the catalogue")
    }

    #[test]
    fn one_at_a_time_in_the_given_order_and_what_disturbs_last() {
        let mut turns = turns(&["TLS-01", "JWT-22", "IMA-02", "RES-04", "SES-03", "RES-01", "STL-01"], 1);
        let mut order = Vec::new();
        while let Some(turn) = turns.begin() {
            assert!(turns.begin().is_none(), "one at a time");
            turns.let_go(turn.case, Things::PSC);
            assert!(turns.begin().is_none(), "and nothing is let go of");
            order.push(turn.case.id.as_str());
            turns.over(turn.case, false);
        }
        assert_eq!(order, ["TLS-01", "IMA-02", "SES-03", "STL-01", "JWT-22", "RES-01", "RES-04"]);
        assert_eq!(turns.left(), 0);
    }

    #[test]
    fn what_needs_no_login_goes_beside_what_disturbs_logins() {
        let all = ["TLS-01", "TLS-02", "STL-01", "STL-03", "IMA-02", "SES-03", "RES-01", "RES-02", "RES-04"];
        let mut turns = turns(&all, 4);
        // The longest first; the last place is kept while something that disturbs waits.
        assert_eq!(begun(&mut turns), ["SES-03", "IMA-02", "TLS-01"]);
        turns.over(case("IMA-02"), false);
        assert_eq!(begun(&mut turns), ["STL-01"], "no outage while a session needs PSC");
        turns.let_go(case("SES-03"), Things::PSC);
        assert_eq!(begun(&mut turns), ["RES-02"]);
        turns.over(case("RES-02"), false);
        assert_eq!(begun(&mut turns), ["RES-01"], "one outage at a time");
        turns.over(case("STL-01"), false);
        turns.over(case("TLS-01"), false);
        turns.over(case("RES-01"), false);
        assert_eq!(begun(&mut turns), ["STL-03", "TLS-02"]);
        for id in ["STL-03", "TLS-02"] {
            turns.over(case(id), false);
        }
        assert_eq!(begun(&mut turns), [] as [&str; 0], "the session still counts on the server");
        turns.let_go(case("SES-03"), Things::SERVER);
        assert_eq!(begun(&mut turns), ["RES-04"]);
        assert!(turns.over(case("SES-03"), true), "it ended while RES-04 ran");
        assert_eq!(begun(&mut turns), [] as [&str; 0], "not again while RES-04 runs");
        turns.over(case("RES-04"), false);
        assert_eq!(begun(&mut turns), ["SES-03"]);
    }

    #[test]
    fn what_reads_the_keys_waits_for_who_counts_the_readings_and_no_longer() {
        let mut turns = turns(&["JWT-13", "JWT-12", "JWT-22"], 4);
        assert_eq!(begun(&mut turns), ["JWT-12"]);
        turns.let_go(case("JWT-12"), Things::KEY_READINGS);
        assert_eq!(begun(&mut turns), ["JWT-13"]);
        turns.over(case("JWT-12"), false);
        assert_eq!(begun(&mut turns), [] as [&str; 0], "other keys while a token is tried");
        turns.over(case("JWT-13"), false);
        assert_eq!(begun(&mut turns), ["JWT-22"]);
    }

    #[test]
    fn a_session_that_was_disturbed_is_seen_again_undisturbed() {
        let mut turns = turns(&["SES-03", "RES-01", "RES-02"], 4);
        let session = turns.begin().expect("first");
        assert_eq!((session.case.id.as_str(), session.may_let_go), ("SES-03", true));
        let began = Instant::now();
        assert!(turns.begin().is_none() && !session.calm.disturbed_since(began));
        turns.let_go(session.case, Things::PSC);
        let outage = turns.begin().expect("an outage");
        assert!(session.calm.disturbed_since(Instant::now()));
        turns.over(outage.case, false);
        let later = Instant::now() + std::time::Duration::from_secs(1);
        assert!(session.calm.disturbed_since(began) && !session.calm.disturbed_since(later));
        assert!(turns.over(session.case, true), "again");
        assert_eq!(turns.left(), 2);
        let session = turns.begin().expect("before the other outage");
        assert_eq!((session.case.id.as_str(), session.may_let_go), ("SES-03", false));
        assert!(turns.begin().is_none(), "nothing disturbs it now");
        assert!(!turns.over(session.case, true), "once");
        assert!(turns.begin().is_some());
    }
}
