//! National identifier of a structure (IdNat_Struct, OID `1.2.250.1.71.4.2.2`): the `OU` of a
//! certificate, the bearer of an ORG or APP mailbox. `client.md` §4.4 (TRE_G07), LPS-APP.
//!
//! A value is a type digit followed by the number that the type announces, and always has the form of
//! its type. Check digits (Luhn for FINESS, SIREN and SIRET) are enforced by [`FromStr`] and serde,
//! since every real sample in the references satisfies them, with two documented exceptions:
//!
//! * **test range**: a FINESS number whose serial is all zeros (`DD 000000 k`) is accepted whatever
//!   its key `k`. No establishment has the serial zero, and the examples of the white list
//!   (`1750000001`) are written so although their key is wrong (it would be 2);
//! * [`StructureId::lenient`] checks the form only, for reading documents made by others: several
//!   official CDA examples carry fictional FINESS numbers with a wrong key.

use std::fmt;
use std::str::FromStr;

use crate::checksum;

/// The type digit of a structure identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StructureKind {
    /// `0`: cabinet known by an ADELI number and a rank.
    CabinetAdeli,
    /// `1`: FINESS number of a geographical establishment.
    Finess,
    /// `2`: SIREN.
    Siren,
    /// `3`: SIRET.
    Siret,
    /// `4`: cabinet known by an RPPS number and a rank.
    CabinetRpps,
    /// `5`: FINESS number of a legal entity.
    FinessLegal,
}

impl StructureKind {
    fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::CabinetAdeli,
            b'1' => Self::Finess,
            b'2' => Self::Siren,
            b'3' => Self::Siret,
            b'4' => Self::CabinetRpps,
            b'5' => Self::FinessLegal,
            _ => return None,
        })
    }

    /// Whether the number has the form of this type.
    fn has_form(self, number: &str) -> bool {
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        match self {
            // 9 characters of ADELI, then a rank of two digits; three tolerated (length not fixed by
            // the references).
            Self::CabinetAdeli => {
                matches!(number.len(), 11 | 12) && number.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            }
            // A department of digits, or 2A, 2B (and 0A, 0B in test numbers), then digits.
            Self::Finess | Self::FinessLegal => {
                number.len() == 9
                    && number
                        .bytes()
                        .enumerate()
                        .all(|(index, b)| b.is_ascii_digit() || (index == 1 && matches!(b, b'A' | b'B')))
            }
            Self::Siren => number.len() == 9 && digits,
            // 11 digits of RPPS, 3 of rank.
            Self::Siret | Self::CabinetRpps => number.len() == 14 && digits,
        }
    }

    /// Whether the check digits are right; `None` when the type has none that is enforced.
    fn key(self, number: &str) -> Option<bool> {
        match self {
            Self::Finess | Self::FinessLegal | Self::Siren => Some(checksum::luhn(number)),
            Self::Siret => Some(checksum::siret(number)),
            Self::CabinetAdeli | Self::CabinetRpps => None,
        }
    }
}

/// Why a text is not a structure identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StructureIdError {
    /// The first character announces no known type.
    #[error(
        "unknown type of structure identifier (0 cabinet ADELI, 1 FINESS, 2 SIREN, 3 SIRET, 4 cabinet RPPS, 5 FINESS of a legal entity)"
    )]
    Type,
    /// The rest does not have the form that the type announces.
    #[error("the number does not have the form that its type digit announces")]
    Form,
    /// The check digit is wrong: most likely a typing error.
    #[error("the check digit of the structure identifier is wrong")]
    Key,
}

/// National identifier of a structure, type digit included (`1770816478`, `318751275100020`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StructureId(String);

impl StructureId {
    /// Reads an identifier of the right form without looking at its check digit; for documents made
    /// by others. See [`StructureId::has_valid_key`].
    ///
    /// # Errors
    /// [`StructureIdError::Type`] or [`StructureIdError::Form`].
    pub fn lenient(text: &str) -> Result<Self, StructureIdError> {
        let first = text.bytes().next().ok_or(StructureIdError::Form)?;
        let kind = StructureKind::from_digit(first).ok_or(StructureIdError::Type)?;
        // The first character is an ASCII digit: slicing after it is on a boundary.
        if kind.has_form(&text[1..]) { Ok(Self(text.to_owned())) } else { Err(StructureIdError::Form) }
    }

    /// The whole text, type digit included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type of the number.
    #[must_use]
    pub fn kind(&self) -> StructureKind {
        StructureKind::from_digit(self.0.as_bytes()[0]).expect("checked when the value was built")
    }

    /// The number without its type digit.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.0[1..]
    }

    /// Whether the check digit is right; true for the types that have none.
    #[must_use]
    pub fn has_valid_key(&self) -> bool {
        self.kind().key(self.number()).unwrap_or(true)
    }

    /// Whether this is a FINESS number of the test range (serial all zeros), never attributed.
    #[must_use]
    pub fn is_test(&self) -> bool {
        matches!(self.kind(), StructureKind::Finess | StructureKind::FinessLegal) && &self.number()[2..8] == "000000"
    }
}

impl FromStr for StructureId {
    type Err = StructureIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Self::lenient(text)?;
        if id.has_valid_key() || id.is_test() { Ok(id) } else { Err(StructureIdError::Key) }
    }
}

impl fmt::Display for StructureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StructureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Structures are public, but a cabinet's number contains a person's.
        match self.kind() {
            StructureKind::CabinetAdeli | StructureKind::CabinetRpps => {
                write!(f, "StructureId({})", crate::mask(&self.0))
            }
            _ => write!(f, "StructureId({})", self.0),
        }
    }
}

impl AsRef<str> for StructureId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

crate::serde_as_text!(StructureId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_identifiers_of_the_references_are_accepted() {
        // LPS-APP; client.md §4.4, §8
        for (text, kind) in [
            ("1770816478", StructureKind::Finess),
            ("10B0057881", StructureKind::Finess),
            ("1750000001", StructureKind::Finess),
            ("318751275100020", StructureKind::Siret),
            ("2187512751", StructureKind::Siren),
            ("499700427885006", StructureKind::CabinetRpps),
            ("5770816478", StructureKind::FinessLegal),
            ("001280759001", StructureKind::CabinetAdeli),
        ] {
            let id: StructureId = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((id.kind(), id.to_string().as_str()), (kind, text));
        }
    }

    #[test]
    fn wrong_keys_are_refused_except_in_the_test_range() {
        assert_eq!("1770816479".parse::<StructureId>(), Err(StructureIdError::Key));
        assert_eq!("318751275100021".parse::<StructureId>(), Err(StructureIdError::Key));
        assert_eq!("2187512752".parse::<StructureId>(), Err(StructureIdError::Key));
        let test: StructureId = "1750000001".parse().expect("the issue's own example");
        assert!(test.is_test() && !test.has_valid_key());
        // An official CDA example whose key is wrong.
        assert_eq!("1120456789".parse::<StructureId>(), Err(StructureIdError::Key));
        assert!(StructureId::lenient("1120456789").is_ok_and(|id| !id.has_valid_key()));
    }

    #[test]
    fn ill_formed_identifiers_are_refused() {
        use StructureIdError::{Form, Type};
        for (text, error) in [
            ("", Form),
            ("1", Form),
            ("177081647", Form),
            ("17708164780", Form),
            ("1770816é7", Form),
            ("17B08164A8", Form),
            ("6770816478", Type),
            ("é770816478", Type),
            ("R102671", Type),
        ] {
            assert_eq!(StructureId::lenient(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "\\PC{0,20}") {
            if let Ok(id) = text.parse::<StructureId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn one_wrong_digit_is_always_seen(serial in 1u32..999_999, place in 0usize..9, shift in 1u8..10) {
            let base = format!("1{:02}{serial:06}", serial % 90 + 1);
            let good = (0..10).map(|k| format!("{base}{k}")).find(|t| t.parse::<StructureId>().is_ok());
            let mut bytes = good.expect("one key of ten is right").into_bytes();
            bytes[place + 1] = b'0' + (bytes[place + 1] - b'0' + shift) % 10;
            let wrong = String::from_utf8(bytes).expect("digits");
            let id = StructureId::lenient(&wrong).expect("the form is kept");
            prop_assert!(!id.has_valid_key());
        }
    }
}
