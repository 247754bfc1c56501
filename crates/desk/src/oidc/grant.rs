//! What a claim makes of somebody: a role, and the operator it is for.

use psc::login::Claims;
use serde::Deserialize;

use super::OidcError;
use crate::account::role::Role;

/// An entry `[[oidc.grant]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The claim looked at: `groups`.
    claim: String,
    /// What it must be, or hold when it is a list.
    value: String,
    /// What they become: the least unless said otherwise.
    #[serde(default = "least")]
    role: Role,
    /// The operator, by its exact name; none for a regulator.
    #[serde(default)]
    organisation: Option<String>,
}

fn least() -> Role {
    Role::Lecteur
}

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted<'a> {
    /// Their role.
    pub role: Role,
    /// The name of their operator.
    pub organisation: Option<&'a str>,
}

impl Grant {
    pub(super) fn check(&self) -> Result<(), OidcError> {
        let wrong = |text| Err(OidcError::Value(text));
        if self.claim.is_empty() || self.value.is_empty() {
            return wrong("grant: claim and value are needed");
        }
        if self.role == Role::Administrateur {
            return wrong("grant: the application's administrator is made here, by name, and not by a claim");
        }
        if self.role.is_of_operator() != self.organisation.is_some() {
            return wrong("grant: a role of an operator needs its organisation, any other role has none");
        }
        Ok(())
    }

    pub(super) fn fits(&self, claims: &Claims) -> bool {
        claims.has(&self.claim, &self.value)
    }

    pub(super) fn granted(&self) -> Granted<'_> {
        Granted { role: self.role, organisation: self.organisation.as_deref() }
    }
}
