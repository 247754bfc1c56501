//! The check digits of French identifiers: Luhn and its variants.

/// Luhn check over the whole text, check digit last. Letters `A` and `B` count 1 and 2, as FINESS
/// numbers of Corsica do (`2A…`, `2B…`; the test number `0B0057881` of `client.md` §4.4 agrees).
/// Any other character makes the check fail.
pub(crate) fn luhn(text: &str) -> bool {
    let mut sum = 0u32;
    for (index, byte) in text.bytes().rev().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b'A' => 1,
            b'B' => 2,
            _ => return false,
        };
        sum += match (index % 2 == 1, digit) {
            (false, _) => digit,
            (true, 0..=4) => digit * 2,
            (true, _) => digit * 2 - 9,
        };
    }
    !text.is_empty() && sum.is_multiple_of(10)
}

/// SIREN of La Poste, whose establishments do not follow the Luhn rule.
const LA_POSTE: &str = "356000000";

/// SIRET check: Luhn over the 14 digits; the establishments of La Poste may instead have a plain
/// digit sum that is a multiple of 5 (INSEE).
pub(crate) fn siret(text: &str) -> bool {
    if luhn(text) {
        return true;
    }
    let sum: u32 = text.bytes().map(|b| u32::from(b.wrapping_sub(b'0'))).sum();
    text.starts_with(LA_POSTE) && text.bytes().all(|b| b.is_ascii_digit()) && sum.is_multiple_of(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finess_numbers_of_the_references() {
        for good in ["770816478", "0B0057881", "750512345", "750803447", "187512751"] {
            assert!(luhn(good), "{good}");
        }
        for bad in ["750000001", "770816479", "", "77081647X"] {
            assert!(!luhn(bad), "{bad}");
        }
    }

    #[test]
    fn la_poste_has_its_own_rule() {
        assert!(siret("18751275100020"));
        assert!(!siret("18751275100021"));
        // 3+5+6+1+2+3 = 20, a multiple of 5, and not a Luhn number.
        assert!(!luhn("35600000000123") && siret("35600000000123"));
        assert!(!siret("35600000000124"));
    }
}
