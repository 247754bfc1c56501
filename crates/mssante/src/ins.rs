//! INS: the national health identity of a patient. ECO-PATIENT, OPE-PATIENT; `client.md` §5.
//!
//! The matricule has 15 characters: 13 of NIR or NIA (sex, year, month, department, commune, order)
//! and a key of two digits, `97 - (N mod 97)`, where Corsica's `2A` and `2B` count as `19` and `18`.

use std::fmt;
use std::str::FromStr;

use crate::address::{Address, PATIENT_DOMAIN};

/// The register that gave an INS, as an OID in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InsAuthority {
    /// NIR, the definitive number.
    Nir,
    /// NIA, the waiting number.
    Nia,
    /// NIR of the test identities.
    NirTest,
    /// NIR of the demonstration identities.
    NirDemo,
}

impl InsAuthority {
    /// All registers whose numbers are an INS.
    pub const ALL: [Self; 4] = [Self::Nir, Self::Nia, Self::NirTest, Self::NirDemo];

    /// The OID of the register.
    #[must_use]
    pub fn oid(self) -> &'static str {
        match self {
            Self::Nir => "1.2.250.1.213.1.4.8",
            Self::Nia => "1.2.250.1.213.1.4.9",
            Self::NirTest => "1.2.250.1.213.1.4.10",
            Self::NirDemo => "1.2.250.1.213.1.4.11",
        }
    }

    /// The register of an OID, when it is one of an INS (the historic INS-C, `….4.2`, is not).
    #[must_use]
    pub fn from_oid(oid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|authority| authority.oid() == oid)
    }
}

/// Sex as the first digit of the matricule tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sex {
    /// Digits 1, 3 and 7.
    Male,
    /// Digits 2, 4 and 8.
    Female,
}

/// Why a text is not an INS matricule. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InsError {
    /// Not 15 characters of the right kind.
    #[error("an INS has 15 characters: 13 of NIR or NIA and a key of two digits")]
    Form,
    /// The key does not fit the number.
    #[error("the key of the INS is wrong")]
    Key,
}

/// INS matricule with a right key. `Debug` masks it; `Display` gives it in full.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ins(String);

impl Ins {
    /// The key of the first 13 characters of a matricule, 1 to 97.
    ///
    /// # Errors
    /// [`InsError::Form`] when they are not 13 characters of NIR or NIA.
    pub fn key_of(number: &str) -> Result<u8, InsError> {
        let bytes = number.as_bytes();
        if bytes.len() != 13 || !matches!(bytes[0], b'1'..=b'4' | b'7' | b'8') {
            return Err(InsError::Form);
        }
        let mut value = 0u64;
        for (index, &byte) in bytes.iter().enumerate() {
            // Corsica: "2A" counts as 19 and "2B" as 18, that is one ten less and the digit changed.
            let digit = match (index, byte) {
                (_, b'0'..=b'9') => u64::from(byte - b'0'),
                (6, b'A') if bytes[5] == b'2' => {
                    value -= 1;
                    9
                }
                (6, b'B') if bytes[5] == b'2' => {
                    value -= 1;
                    8
                }
                _ => return Err(InsError::Form),
            };
            value = value * 10 + digit;
        }
        Ok(u8::try_from(97 - value % 97).expect("between 1 and 97"))
    }

    /// The 15 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sex at birth as the number tells it.
    #[must_use]
    pub fn sex(&self) -> Sex {
        if matches!(self.0.as_bytes()[0], b'1' | b'3' | b'7') { Sex::Male } else { Sex::Female }
    }

    /// Last two digits of the year of birth (the century is not in the number).
    #[must_use]
    pub fn birth_year(&self) -> u8 {
        self.two_digits(1)
    }

    /// Month of birth, 1 to 12; `None` when the number carries a conventional value (month unknown).
    #[must_use]
    pub fn birth_month(&self) -> Option<u8> {
        Some(self.two_digits(3)).filter(|month| (1..=12).contains(month))
    }

    /// The patient's address in Mon espace santé: `<INS>@patient.mssante.fr`. To be built from a
    /// *qualified* INS only (ECO.2.2.6); whether it is qualified is the caller's to know.
    #[must_use]
    pub fn address(&self) -> Address {
        format!("{}@{PATIENT_DOMAIN}", self.0).parse().expect("15 digits or capitals and a constant domain")
    }

    /// The matricule with its middle hidden, for logs.
    #[must_use]
    pub fn masked(&self) -> String {
        crate::mask(&self.0)
    }

    fn two_digits(&self, at: usize) -> u8 {
        self.0[at..at + 2].parse().expect("digits, checked when the value was built")
    }
}

impl FromStr for Ins {
    type Err = InsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 15 || !text.is_ascii() {
            return Err(InsError::Form);
        }
        let (number, key) = text.split_at(13);
        let expected = Self::key_of(number)?;
        if !key.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InsError::Form);
        }
        if key.parse() == Ok(expected) { Ok(Self(text.to_owned())) } else { Err(InsError::Key) }
    }
}

impl fmt::Display for Ins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ins({})", self.masked())
    }
}

crate::serde_as_text!(Ins);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn key_vectors() {
        // client.md §5
        for (number, key) in [("2550699999999", 34), ("2790351215189", 89), ("284062A004123", 71)] {
            assert_eq!(Ins::key_of(number), Ok(key), "{number}");
            let ins: Ins = format!("{number}{key:02}").parse().expect("its own key");
            assert_eq!(ins.sex(), Sex::Female);
        }
    }

    #[test]
    fn accessors() {
        let ins: Ins = "279035121518989".parse().expect("the patient of the CDA samples");
        assert_eq!((ins.sex(), ins.birth_year(), ins.birth_month()), (Sex::Female, 79, Some(3)));
        assert_eq!(ins.address().to_string(), "279035121518989@patient.mssante.fr");
        assert!(ins.address().is_patient());
        assert_eq!(format!("{ins:?}"), "Ins(27***********89)");
        assert_eq!("255069999999934".parse::<Ins>().expect("vector").birth_month(), Some(6));
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            ("279035121518988", InsError::Key),
            ("27903512151898", InsError::Form),
            ("2790351215189899", InsError::Form),
            ("2790351A1518989", InsError::Form),
            ("27903A121518989", InsError::Form),
            ("284062a00412371", InsError::Form),
            ("579035121518989", InsError::Form),
            ("2790351215189 9", InsError::Form),
            ("2790351215189+9", InsError::Form),
            ("27903512151é989", InsError::Form),
        ] {
            assert_eq!(text.parse::<Ins>(), Err(error), "{text}");
        }
    }

    #[test]
    fn registers() {
        assert_eq!(InsAuthority::from_oid("1.2.250.1.213.1.4.10"), Some(InsAuthority::NirTest));
        assert_eq!(InsAuthority::from_oid("1.2.250.1.213.1.4.2"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<Ins>();
        }

        #[test]
        fn exactly_one_key_fits(number in "[1-2][0-9]{4}(2A|2B|[0-9]{2})[0-9]{6}") {
            let good = (0..100).filter(|k| format!("{number}{k:02}").parse::<Ins>().is_ok()).count();
            prop_assert_eq!(good, 1);
        }
    }
}
