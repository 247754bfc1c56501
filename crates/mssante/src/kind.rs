//! The four kinds of mailbox (TRE_R257-TypeBAL). BAL-KIND; `operator.md` §4.1.

use std::fmt;
use std::str::FromStr;

/// The kind of a mailbox (BAL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MailboxKind {
    /// Personal: one professional.
    Per,
    /// Organisational: a structure, used under the responsibility of entitled professionals.
    Org,
    /// Application: a structure's automated software, authenticated by certificate.
    App,
    /// Cabinet: one responsible professional and co-holders.
    Cab,
}

/// The text is none of the four codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of mailbox: PER, ORG, APP or CAB is expected")]
pub struct UnknownMailboxKind;

impl MailboxKind {
    /// All kinds, in the order of the nomenclature.
    pub const ALL: [Self; 4] = [Self::Per, Self::Org, Self::App, Self::Cab];

    /// The code of the nomenclature: `PER`, `ORG`, `APP`, `CAB`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Per => "PER",
            Self::Org => "ORG",
            Self::App => "APP",
            Self::Cab => "CAB",
        }
    }

    /// The French name, for pages and notices.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Per => "Boîte aux lettres personnelle",
            Self::Org => "Boîte aux lettres organisationnelle",
            Self::App => "Boîte aux lettres applicative",
            Self::Cab => "Boîte aux lettres de cabinet",
        }
    }
}

impl FromStr for MailboxKind {
    type Err = UnknownMailboxKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.code().eq_ignore_ascii_case(text)).ok_or(UnknownMailboxKind)
    }
}

impl fmt::Display for MailboxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

crate::serde_as_text!(MailboxKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        // BAL-KIND
        for kind in MailboxKind::ALL {
            assert_eq!(kind.code().parse(), Ok(kind));
        }
        assert_eq!("per".parse(), Ok(MailboxKind::Per));
        assert_eq!("".parse::<MailboxKind>(), Err(UnknownMailboxKind));
        assert_eq!("PERS".parse::<MailboxKind>(), Err(UnknownMailboxKind));
    }
}
