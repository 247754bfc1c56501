//! Roles and what they allow. control.md §5.9.

use serde::{Deserialize, Serialize};

/// What somebody is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Manages the accounts and tokens of an operator, and tests.
    AdministrateurOperateur,
    /// Writes jobs and launches campaigns.
    Testeur,
    /// Reads.
    Lecteur,
    /// Reads, and signs reports.
    Signataire,
    /// Sees every operator, launches audits.
    Regulateur,
    /// The same, for the files it has in charge.
    Instructeur,
    /// Manages operators and accounts; sees no result.
    Administrateur,
}

impl Role {
    /// All.
    pub const ALL: [Role; 7] = [
        Role::AdministrateurOperateur,
        Role::Testeur,
        Role::Lecteur,
        Role::Signataire,
        Role::Regulateur,
        Role::Instructeur,
        Role::Administrateur,
    ];

    /// Stable.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Role::AdministrateurOperateur => "administrateur_operateur",
            Role::Testeur => "testeur",
            Role::Lecteur => "lecteur",
            Role::Signataire => "signataire",
            Role::Regulateur => "regulateur",
            Role::Instructeur => "instructeur",
            Role::Administrateur => "administrateur",
        }
    }

    /// From its code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.code() == code)
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Role::AdministrateurOperateur => "administrateur de l'opérateur",
            Role::Testeur => "testeur",
            Role::Lecteur => "lecteur",
            Role::Signataire => "signataire",
            Role::Regulateur => "régulateur",
            Role::Instructeur => "instructeur",
            Role::Administrateur => "administrateur de l'application",
        }
    }

    /// Whether an account of this role belongs to one operator.
    #[must_use]
    pub fn is_of_operator(self) -> bool {
        matches!(self, Role::AdministrateurOperateur | Role::Testeur | Role::Lecteur | Role::Signataire)
    }

    /// Whether it sees the jobs and results of every operator.
    #[must_use]
    pub fn sees_all(self) -> bool {
        matches!(self, Role::Regulateur | Role::Instructeur)
    }

    /// Whether it sees jobs and results at all.
    #[must_use]
    pub fn sees_results(self) -> bool {
        self != Role::Administrateur
    }

    /// Whether it launches and stops campaigns.
    #[must_use]
    pub fn may_run(self) -> bool {
        matches!(self, Role::AdministrateurOperateur | Role::Testeur | Role::Regulateur | Role::Instructeur)
    }

    /// Whether it writes jobs: those of its own operator.
    #[must_use]
    pub fn may_write(self) -> bool {
        matches!(self, Role::AdministrateurOperateur | Role::Testeur)
    }

    /// Whether it gives the signature of a report: of its own operator.
    #[must_use]
    pub fn may_sign(self) -> bool {
        self == Role::Signataire
    }

    /// Whether it has API tokens: a signatory's serve for signing alone.
    #[must_use]
    pub fn may_have_tokens(self) -> bool {
        self.may_write() || self.may_sign() || self.sees_all()
    }

    /// Whether it submits reports to the regulator, in the name of its operator.
    #[must_use]
    pub fn may_submit(self) -> bool {
        matches!(self, Role::AdministrateurOperateur | Role::Signataire)
    }

    /// Whether it manages accounts: its operator's, or all.
    #[must_use]
    pub fn may_manage(self) -> bool {
        matches!(self, Role::AdministrateurOperateur | Role::Administrateur)
    }
}
