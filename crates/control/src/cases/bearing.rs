//! What a case counts on and what it disturbs: by that the engine knows which cases may run beside each other.
//!
//! Invariants: two cases run at the same time only when neither disturbs what the other counts on, nor puts something in a state of its own (PSC,
//! the servers) that the other puts in another. What is not known better counts on everything that may be disturbed; what changes lists for a
//! while disturbs everything.

use std::ops::BitOr;

use crate::catalogue::Case;

/// Some of what cases count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Things(u8);

impl Things {
    /// Nothing.
    pub const NONE: Things = Things(0);
    /// That the servers let us in as they let in anybody, and do what they always do.
    pub const SERVER: Things = Things(1);
    /// That the operator's Pro Santé Connect answers as it should: who logs in with a token needs it.
    pub const PSC: Things = Things(2);
    /// That whoever counts the readings of PSC's keys has caused them all.
    pub const KEY_READINGS: Things = Things(4);
    /// All of it.
    pub const ALL: Things = Things(7);

    /// Whether they have something in common.
    #[must_use]
    pub const fn meets(self, other: Things) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of both.
    const fn shared_with(self, other: Things) -> Things {
        Things(self.0 & other.0)
    }

    /// Those that are not among the others.
    #[must_use]
    pub const fn without(self, other: Things) -> Things {
        Things(self.0 & !other.0)
    }
}

impl BitOr for Things {
    type Output = Things;

    fn bitor(self, other: Things) -> Things {
        Things(self.0 | other.0)
    }
}

/// What one case counts on and disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearing {
    /// What it counts on.
    pub uses: Things,
    /// What it disturbs while it runs.
    pub disturbs: Things,
}

impl Bearing {
    /// Of a case.
    #[must_use]
    pub fn of(case: &Case) -> Bearing {
        let id = case.id.as_str();
        let disturbs = match id {
            // Changes what the operator reads of its peers or of certificates; shows so many bad tokens that it may keep us all out.
            "CER-10" | "RES-04" => Things::ALL,
            _ if case.group() == "LBL" => Things::ALL,
            // Plays a Pro Santé Connect that is down, slow, wrong, or has other keys.
            "RES-01" | "RES-02" | "RES-03" | "JWT-22" => Things::PSC | Things::KEY_READINGS,
            // Show tokens of keys that nobody publishes, which make an operator read the keys. JWT-12 counts the readings, and lets go of them
            // once that is done.
            "JWT-12" | "JWT-13" => Things::KEY_READINGS,
            _ => Things::NONE,
        };
        // Those that never log in, and show nothing that PSC could be asked about (STL-02 shows a token, in clear).
        let needs_nobody = match case.group() {
            "TLS" | "ACF" => true,
            "STL" => id != "STL-02",
            _ => matches!(id, "IMA-01" | "SMA-01" | "SMA-04"),
        };
        let uses = match id {
            _ if needs_nobody => Things::SERVER,
            "JWT-12" => Things::ALL,
            _ => Things::SERVER | Things::PSC,
        };
        Bearing { uses, disturbs }
    }

    /// Whether both may run at the same time.
    #[must_use]
    pub fn is_beside(self, other: Bearing) -> bool {
        // Two that make an operator read the keys do nothing to each other.
        let both = self.disturbs.shared_with(other.disturbs).without(Things::KEY_READINGS);
        !self.disturbs.meets(other.uses) && !other.disturbs.meets(self.uses) && both == Things::NONE
    }

    /// Whether it disturbs what others need to log in or to be served.
    #[must_use]
    pub fn is_disturbing(self) -> bool {
        self.disturbs.meets(Things::SERVER | Things::PSC)
    }

    /// Whether nothing but a server that works is needed for it.
    #[must_use]
    pub fn is_undemanding(self) -> bool {
        self.uses == Things::SERVER && self.disturbs == Things::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn of(id: &str) -> Bearing {
        Bearing::of(Catalogue::embedded().case(id).expect("in the catalogue"))
    }

    #[test]
    fn who_may_run_beside_whom() {
        let is_beside = |one, other| {
            let (one, other) = (of(one), of(other));
            assert_eq!(one.is_beside(other), other.is_beside(one), "one way and the other");
            one.is_beside(other)
        };
        for outage in ["RES-01", "RES-02", "RES-03", "JWT-22"] {
            assert!(is_beside(outage, "TLS-01") && is_beside(outage, "STL-06") && is_beside(outage, "IMA-01"));
            for disturbed in
                ["IMA-02", "SMA-03", "STL-02", "JWT-01", "JWT-20", "SES-03", "RES-01", "JWT-22", "RES-04", "OPE-01"]
            {
                assert!(!is_beside(outage, disturbed), "{outage} {disturbed}");
            }
        }
        for id in ["RES-04", "CER-10", "LBL-01"] {
            assert!(Catalogue::embedded().cases.iter().all(|other| !is_beside(id, &other.id)), "{id}");
        }
        assert!(is_beside("JWT-01", "JWT-12") && !is_beside("JWT-12", "JWT-13") && !is_beside("JWT-12", "JWT-12"));
        let counted = Bearing { uses: of("JWT-12").uses.without(Things::KEY_READINGS), ..of("JWT-12") };
        assert!(
            counted.is_beside(of("JWT-13")) && !counted.is_beside(of("JWT-22")) && !counted.is_beside(of("RES-03"))
        );
        assert!(is_beside("JWT-20", "JWT-01") && is_beside("SES-03", "SES-04") && is_beside("TLS-01", "SES-03"));
    }

    #[test]
    fn all_cases_count_on_the_server() {
        for case in &Catalogue::embedded().cases {
            let bearing = Bearing::of(case);
            assert!(bearing.uses.meets(Things::SERVER), "{}", case.id);
            assert!(bearing.is_undemanding() || bearing.uses.meets(Things::PSC), "{}", case.id);
        }
    }
}
