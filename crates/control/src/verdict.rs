//! What a control says, of a variant, of a case, of a campaign. MSS-20; control.md §5.6.
//!
//! Invariants: silence, a 421 or a name that does not resolve never make a non-conformity; a campaign with something heavy left open
//! has no verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How heavy a non-conformity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A finding without effect.
    Information,
    /// A recommendation, the quality of a diagnosis, something on its way out.
    #[serde(rename = "mineure")]
    Minor,
    /// A duty missed, without immediate compromise.
    #[serde(rename = "majeure")]
    Major,
    /// Somebody else can read, send or impersonate, or the nominal exchange does not work.
    #[serde(rename = "bloquante")]
    Blocking,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Information => "information",
            Severity::Minor => "mineure",
            Severity::Major => "majeure",
            Severity::Blocking => "bloquante",
        })
    }
}

/// What a case, or one variant of it, says. The texts are in French, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "etat", rename_all = "snake_case")]
pub enum Verdict {
    /// As it must be.
    Conforme,
    /// Not as it must be.
    NonConforme {
        /// How heavy.
        niveau: Severity,
    },
    /// The duty does not concern what is tested.
    NonApplicable {
        /// Why not.
        raison: String,
    },
    /// Not run.
    NonExecute {
        /// Why not.
        cause: String,
    },
    /// Run, but nothing can be concluded.
    Inconclusif {
        /// Why not.
        raison: String,
    },
    /// Somebody must look.
    AExaminer {
        /// At what.
        raison: String,
    },
}

impl Verdict {
    /// Not as it must be.
    #[must_use]
    pub fn fault(niveau: Severity) -> Verdict {
        Verdict::NonConforme { niveau }
    }

    /// Nothing can be concluded.
    #[must_use]
    pub fn unclear(raison: impl fmt::Display) -> Verdict {
        Verdict::Inconclusif { raison: raison.to_string() }
    }

    /// The same, its reason changed when it has one.
    #[must_use]
    pub fn with_reason(self, change: impl Fn(String) -> String) -> Verdict {
        match self {
            Verdict::Conforme | Verdict::NonConforme { .. } => self,
            Verdict::NonApplicable { raison } => Verdict::NonApplicable { raison: change(raison) },
            Verdict::NonExecute { cause } => Verdict::NonExecute { cause: change(cause) },
            Verdict::Inconclusif { raison } => Verdict::Inconclusif { raison: change(raison) },
            Verdict::AExaminer { raison } => Verdict::AExaminer { raison: change(raison) },
        }
    }

    /// Stable, for JSON, exit codes and filters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Verdict::Conforme => "conforme",
            Verdict::NonConforme { .. } => "non_conforme",
            Verdict::NonApplicable { .. } => "non_applicable",
            Verdict::NonExecute { .. } => "non_execute",
            Verdict::Inconclusif { .. } => "inconclusif",
            Verdict::AExaminer { .. } => "a_examiner",
        }
    }

    /// For people: `non conforme (majeure)`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Verdict::Conforme => "conforme".to_owned(),
            Verdict::NonConforme { niveau: Severity::Information } => "constat".to_owned(),
            Verdict::NonConforme { niveau } => format!("non conforme ({niveau})"),
            Verdict::NonApplicable { .. } => "non applicable".to_owned(),
            Verdict::NonExecute { .. } => "non exécuté".to_owned(),
            Verdict::Inconclusif { .. } => "inconclusif".to_owned(),
            Verdict::AExaminer { .. } => "à examiner".to_owned(),
        }
    }

    /// The reason, when there is one to give.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Conforme | Verdict::NonConforme { .. } => None,
            Verdict::NonApplicable { raison } | Verdict::Inconclusif { raison } | Verdict::AExaminer { raison } => {
                Some(raison)
            }
            Verdict::NonExecute { cause } => Some(cause),
        }
    }

    /// The verdict of a case from those of its variants: the heaviest non-conformity first; then what is open; a case of which nothing
    /// was run is not conforming.
    #[must_use]
    pub fn of<'a>(variants: impl IntoIterator<Item = &'a Verdict>) -> Verdict {
        let weight = |verdict: &Verdict| match verdict {
            Verdict::NonConforme { niveau } if *niveau > Severity::Information => 10 + *niveau as u8,
            Verdict::AExaminer { .. } => 6,
            Verdict::Inconclusif { .. } => 5,
            Verdict::NonExecute { .. } => 4,
            Verdict::NonConforme { .. } => 3,
            Verdict::Conforme => 2,
            Verdict::NonApplicable { .. } => 1,
        };
        let nothing = Verdict::NonExecute { cause: "aucune variante".to_owned() };
        variants.into_iter().max_by_key(|verdict| weight(verdict)).cloned().unwrap_or(nothing)
    }
}

/// What a campaign says (MSS-20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignVerdict {
    /// None, or only minor ones.
    Conforme,
    /// A major one.
    NonConformeMajeure,
    /// A blocking one.
    NonConformeBloquante,
    /// A blocking or major case is open: nothing is said, whatever the rest.
    NonEtabli,
}

impl CampaignVerdict {
    /// From the cases: severity of each in the catalogue, and its verdict.
    #[must_use]
    pub fn of<'a>(cases: impl IntoIterator<Item = (Severity, &'a Verdict)>) -> CampaignVerdict {
        let mut heaviest = None;
        let mut is_open = false;
        for (severity, verdict) in cases {
            match verdict {
                Verdict::NonConforme { niveau } => heaviest = heaviest.max(Some(*niveau)),
                Verdict::Inconclusif { .. } | Verdict::NonExecute { .. } | Verdict::AExaminer { .. } => {
                    is_open |= severity >= Severity::Major;
                }
                Verdict::Conforme | Verdict::NonApplicable { .. } => {}
            }
        }
        match heaviest {
            _ if is_open => CampaignVerdict::NonEtabli,
            Some(Severity::Blocking) => CampaignVerdict::NonConformeBloquante,
            Some(Severity::Major) => CampaignVerdict::NonConformeMajeure,
            _ => CampaignVerdict::Conforme,
        }
    }

    /// Stable, for JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            CampaignVerdict::Conforme => "conforme",
            CampaignVerdict::NonConformeMajeure => "non_conforme_majeure",
            CampaignVerdict::NonConformeBloquante => "non_conforme_bloquante",
            CampaignVerdict::NonEtabli => "non_etabli",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            CampaignVerdict::Conforme => "Conforme",
            CampaignVerdict::NonConformeMajeure => "Non conforme (majeure)",
            CampaignVerdict::NonConformeBloquante => "Non conforme (bloquante)",
            CampaignVerdict::NonEtabli => "Verdict non établi",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_variant_decides() {
        let (good, minor) = (Verdict::Conforme, Verdict::fault(Severity::Minor));
        let open = Verdict::unclear("421");
        assert_eq!(Verdict::of([&good, &minor]), minor);
        assert_eq!(Verdict::of([&good, &open]), open);
        assert_eq!(Verdict::of([&open, &minor]), minor);
        assert_eq!(Verdict::of([&good, &Verdict::NonApplicable { raison: String::new() }]), good);
        assert_eq!(Verdict::of([]).code(), "non_execute");
    }

    #[test]
    fn mss_20() {
        use Severity::{Blocking, Major, Minor};
        let (good, open) = (Verdict::Conforme, Verdict::unclear("x"));
        let fault = Verdict::fault;
        let verdict = |cases: &[(Severity, &Verdict)]| CampaignVerdict::of(cases.iter().copied());
        assert_eq!(verdict(&[(Blocking, &good), (Minor, &fault(Minor))]), CampaignVerdict::Conforme);
        assert_eq!(verdict(&[(Major, &fault(Major)), (Blocking, &good)]), CampaignVerdict::NonConformeMajeure);
        assert_eq!(
            verdict(&[(Major, &fault(Major)), (Blocking, &fault(Blocking))]),
            CampaignVerdict::NonConformeBloquante
        );
        // Whatever the rest.
        assert_eq!(verdict(&[(Blocking, &fault(Blocking)), (Major, &open)]), CampaignVerdict::NonEtabli);
        assert_eq!(verdict(&[(Minor, &open), (Major, &good)]), CampaignVerdict::Conforme);
    }
}
