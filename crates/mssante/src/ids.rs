//! National identifier of a person (IdNat_PS, OID `1.2.250.1.71.4.2.1`): what a PSC token, a health
//! card or the directory calls somebody. `client.md` §4.4, LPS-IDENT.
//!
//! A value is a type digit followed by the number that the type announces.
//!
//! The key of RPPS numbers is *not* enforced: the examples of the official directory guides do not
//! agree with each other (`899700218896` satisfies the Luhn rule, `810102727017` and `810003456789`
//! do not), and refusing somebody's login over it would be worse than accepting a typing error that
//! matches no holder anyway. [`NationalId::has_luhn_key`] tells.

use std::fmt;
use std::str::FromStr;

use crate::checksum;

/// Longest national identifier accepted, in characters: the longest structure prefix (17) plus `/`
/// plus an internal identifier, rounded up.
const MAX_LEN: usize = 64;

/// What kind of number a [`NationalId`] holds (TRE_G08 as far as the references show it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NationalIdKind {
    /// `8` + 11-digit RPPS number.
    Rpps,
    /// `0` + 9-character ADELI number (a register being closed).
    Adeli,
    /// Structure number, `/`, then the structure's own number for the person: staff who are in no
    /// national register (CPE cards).
    Internal,
    /// Test identity made on the editors' portal (`ANS2021…`, `EDIT…`).
    Editor,
}

/// Why a text is not a national identifier. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NationalIdError {
    /// Empty or longer than any identifier.
    #[error("a national identifier has between 10 and {MAX_LEN} characters")]
    Length,
    /// The first character announces no known type.
    #[error(
        "unknown type of national identifier (8 RPPS, 0 ADELI, 1 3 4 5 6 with an internal number, ANS or EDIT for tests)"
    )]
    Type,
    /// The rest does not have the form that the type announces.
    #[error("the number does not have the form that its type digit announces")]
    Form,
}

/// National identifier of a person. `Debug` masks it; `Display` gives it in full.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NationalId(String);

impl NationalId {
    /// The identifier of an RPPS number (11 digits).
    ///
    /// # Errors
    /// [`NationalIdError::Form`] when the number is not 11 digits.
    pub fn rpps(number: &str) -> Result<Self, NationalIdError> {
        if number.len() == 11 && digits(number) { Ok(Self(format!("8{number}"))) } else { Err(NationalIdError::Form) }
    }

    /// The whole text, type digit included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of number this is.
    #[must_use]
    pub fn kind(&self) -> NationalIdKind {
        match self.0.as_bytes()[0] {
            b'8' => NationalIdKind::Rpps,
            b'0' => NationalIdKind::Adeli,
            b'A' | b'E' => NationalIdKind::Editor,
            _ => NationalIdKind::Internal,
        }
    }

    /// The RPPS number without its type digit, when it is one.
    #[must_use]
    pub fn rpps_number(&self) -> Option<&str> {
        (self.kind() == NationalIdKind::Rpps).then(|| &self.0[1..])
    }

    /// Whether the RPPS or ADELI number satisfies the Luhn rule; `None` for the other kinds.
    /// Informative only, see the module's text.
    #[must_use]
    pub fn has_luhn_key(&self) -> Option<bool> {
        match self.kind() {
            NationalIdKind::Rpps | NationalIdKind::Adeli => Some(checksum::luhn(&self.0[1..])),
            NationalIdKind::Internal | NationalIdKind::Editor => None,
        }
    }

    /// The identifier with its middle hidden, for logs and screens.
    #[must_use]
    pub fn masked(&self) -> String {
        crate::mask(&self.0)
    }
}

impl FromStr for NationalId {
    type Err = NationalIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(10..=MAX_LEN).contains(&text.len()) {
            return Err(NationalIdError::Length);
        }
        if !text.is_ascii() {
            return Err(NationalIdError::Form);
        }
        // All ASCII: byte offsets are character offsets.
        let rest = &text[1..];
        let well_formed = match text.as_bytes()[0] {
            b'8' => rest.len() == 11 && digits(rest),
            b'0' => rest.len() == 9 && upper_alnum(rest),
            // Cabinet ADELI, FINESS, SIREN, SIRET, cabinet RPPS, each with an internal number.
            b'1' => internal(rest, |s| (11..=12).contains(&s.len()) && upper_alnum(s)),
            b'3' => internal(rest, |s| s.len() == 9 && upper_alnum(s)),
            b'4' => internal(rest, |s| s.len() == 9 && digits(s)),
            b'5' => internal(rest, |s| s.len() == 14 && digits(s)),
            b'6' => internal(rest, |s| s.len() == 14 && digits(s)),
            b'A' => text.strip_prefix("ANS").is_some_and(|n| (8..=20).contains(&n.len()) && digits(n)),
            b'E' => text.strip_prefix("EDIT").is_some_and(|n| n.len() <= 32 && upper_alnum(n)),
            _ => return Err(NationalIdError::Type),
        };
        if well_formed { Ok(Self(text.to_owned())) } else { Err(NationalIdError::Form) }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn upper_alnum(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

/// `structure/internal`: one slash, a structure number of the right form, and an internal number of
/// letters, digits, `-`, `_` and `.`.
fn internal(text: &str, structure_ok: impl Fn(&str) -> bool) -> bool {
    text.split_once('/').is_some_and(|(structure, number)| {
        structure_ok(structure)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    })
}

impl fmt::Display for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NationalId({})", self.masked())
    }
}

impl AsRef<str> for NationalId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

crate::serde_as_text!(NationalId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> NationalId {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_identifiers_of_the_references_are_accepted() {
        // LPS-IDENT; client.md §3.3, §4.4; operator.md §3.6, §4.5
        for (text, kind) in [
            ("899700000017", NationalIdKind::Rpps),
            ("899700427885", NationalIdKind::Rpps),
            ("810102727017", NationalIdKind::Rpps),
            ("810003456789", NationalIdKind::Rpps),
            ("0012807590", NationalIdKind::Adeli),
            ("30B0057881/CPET0002", NationalIdKind::Internal),
            ("500000001815646/CPAT00045", NationalIdKind::Internal),
            ("ANS20210107161422", NationalIdKind::Editor),
        ] {
            assert_eq!(id(text).kind(), kind, "{text}");
            assert_eq!(id(text).to_string(), text);
        }
        assert_eq!(id("899700218896").has_luhn_key(), Some(true));
        assert_eq!(id("810102727017").has_luhn_key(), Some(false));
        assert_eq!(id("899700000017").rpps_number(), Some("99700000017"));
        assert_eq!(NationalId::rpps("99700000017"), Ok(id("899700000017")));
    }

    #[test]
    fn ill_formed_identifiers_are_refused() {
        use NationalIdError::{Form, Length, Type};
        for (text, error) in [
            ("", Length),
            ("8", Length),
            ("89970000001", Form),
            ("8997000000170", Form),
            ("89970000001a", Form),
            ("8997000000é7", Form),
            ("00128075901", Form),
            ("799700000017", Type),
            (" 899700000017", Type),
            ("30B0057881", Form),
            ("30B0057881/", Form),
            ("30B0057881/a b", Form),
            ("30B0057881/a/b", Form),
            ("ANS2021010716142x", Form),
        ] {
            assert_eq!(text.parse::<NationalId>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn debug_hides_the_middle() {
        assert_eq!(format!("{:?}", id("899700000017")), "NationalId(89********17)");
    }

    #[test]
    fn serde_goes_through_the_parser() {
        let json = serde_json::to_string(&id("899700000017")).expect("a string");
        assert_eq!(json, "\"899700000017\"");
        assert_eq!(serde_json::from_str::<NationalId>(&json).expect("same"), id("899700000017"));
        assert!(serde_json::from_str::<NationalId>("\"nobody\"").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "\\PC{0,80}") {
            if let Ok(id) = text.parse::<NationalId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn near_misses_never_panic(text in "[0-9A-E/]{0,24}") {
            if let Ok(id) = text.parse::<NationalId>() {
                let _ = (id.kind(), id.has_luhn_key(), id.masked());
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
