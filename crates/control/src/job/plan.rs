//! The plans: each is a predicate on the cases of the catalogue, never a list of its own.

use serde::{Deserialize, Serialize};

use crate::catalogue::Case;

/// What is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// The API LPS: TLS, STARTTLS, autoconfiguration, logins, tokens, sessions, and what becomes of them when PSC fails.
    ApiLps,
    /// The operator interface, the white list, what is kept of a message on its way.
    Operateurs,
    /// BAL APP, opened by certificate.
    BalApp,
    /// The directory.
    Annuaire,
    /// What may be run against production, again and again: no valid token, no real BAL.
    Surveillance,
    /// Every case of the catalogue.
    Complet,
}

impl Plan {
    /// All of them, in the order they are shown.
    pub const ALL: [Plan; 6] =
        [Plan::ApiLps, Plan::Operateurs, Plan::BalApp, Plan::Annuaire, Plan::Surveillance, Plan::Complet];

    /// Whether a case belongs to it.
    #[must_use]
    pub fn has(self, case: &Case) -> bool {
        let group = case.group();
        match self {
            Plan::ApiLps => {
                matches!(group, "TLS" | "STL" | "ACF" | "IMA" | "SMA" | "JWT" | "SES")
                    || matches!(case.id.as_str(), "RES-01" | "RES-02" | "RES-03" | "RES-04")
            }
            Plan::Operateurs => matches!(group, "OPE" | "LBL" | "ENT"),
            Plan::BalApp => group == "CER",
            Plan::Annuaire => group == "ANN",
            Plan::Surveillance => case.prod,
            Plan::Complet => true,
        }
    }

    /// Stable, for files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Plan::ApiLps => "api-lps",
            Plan::Operateurs => "operateurs",
            Plan::BalApp => "bal-app",
            Plan::Annuaire => "annuaire",
            Plan::Surveillance => "surveillance",
            Plan::Complet => "complet",
        }
    }

    /// The plan of a code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Plan> {
        Plan::ALL.into_iter().find(|plan| plan.code() == code)
    }

    /// In plain words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Plan::ApiLps => "Mon API LPS accepte-t-elle les bons jetons et refuse-t-elle les mauvais ?",
            Plan::Operateurs => "Mon interface opérateurs échange-t-elle avec les bons opérateurs, et avec eux seuls ?",
            Plan::BalApp => "Mes BAL applicatives s'ouvrent-elles par le bon certificat, et par lui seul ?",
            Plan::Annuaire => "L'annuaire dit-il vrai de mes BAL, et à temps ?",
            Plan::Surveillance => "Mon service en production est-il toujours tel qu'au dernier contrôle ?",
            Plan::Complet => "Tout : les 120 cas du catalogue",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn every_case_is_in_a_plan_beside_the_whole() {
        let cases = &Catalogue::embedded().cases;
        let count = |plan: Plan| cases.iter().filter(|case| plan.has(case)).count();
        assert_eq!(Plan::ALL.map(count), [71, 29, 10, 8, 32, 120]);
        for case in cases {
            assert!(Plan::ALL[..5].iter().any(|plan| plan.has(case)), "{}", case.id);
        }
        for plan in Plan::ALL {
            assert_eq!(Plan::of_code(plan.code()), Some(plan));
            assert_eq!(serde_json::to_value(plan).expect("a word"), plan.code());
        }
    }
}
