//! Mail addresses of the trust space. RFC 5321 §4.1.2 without quoted local parts or literals.
//!
//! The local part is ASCII dot-atom text, kept as written but compared without case: no two mailboxes
//! differ by case alone. The domain is stored in lower case, ASCII only (an IDN comes as its A-label).
//! Whether a domain may be written to is not this type's business: the white list decides (OPE-LIST).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::ins::Ins;

/// The domain of Mon espace santé: patients' addresses. OPE-PATIENT.
pub const PATIENT_DOMAIN: &str = "patient.mssante.fr";

/// Suffix of nearly every domain of the trust space.
const MSSANTE_SUFFIX: &str = "mssante.fr";

/// The two domains of the white list outside `mssante.fr` (`operator.md` §2.4).
const APICRYPT_DOMAINS: [&str; 2] = ["mssante.apicrypt.org", "interop-mssante.apicrypt.org"];

/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL: usize = 64;
/// RFC 5321 §4.5.3.1.3: a path is at most 256 octets with its angle brackets.
const MAX_ADDRESS: usize = 254;
/// RFC 1035 §2.3.4, without the root.
const MAX_DOMAIN: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// Why a text is not an address. Never quotes the text, since a patient's address holds an INS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or nothing on one side of it.
    #[error("a mail address has the form local@domain")]
    Shape,
    /// The local part has a character or a dot where none may be.
    #[error(
        "the part before @ may only hold ASCII letters, digits and !#$%&'*+-/=?^_`{{|}}~, with single dots between"
    )]
    Local,
    /// The domain is not a dotted host name in ASCII.
    #[error("the domain is not a valid host name")]
    Domain,
    /// Longer than SMTP allows.
    #[error("the address is too long (64 characters before @, 254 in all)")]
    Length,
}

/// A domain name in lower case: at least two labels of letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the domain of patients' addresses.
    #[must_use]
    pub fn is_patient(&self) -> bool {
        self.0 == PATIENT_DOMAIN
    }

    /// Whether the name looks like one of the trust space: under `mssante.fr`, or one of the two
    /// domains of Apicrypt. Informative: the white list alone decides.
    #[must_use]
    pub fn is_mssante(&self) -> bool {
        self.0.strip_suffix(MSSANTE_SUFFIX).is_some_and(|head| head.ends_with('.'))
            || APICRYPT_DOMAINS.contains(&self.0.as_str())
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_DOMAIN {
            return Err(AddressError::Length);
        }
        let label_ok = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let all_digits_tld = text.rsplit('.').next().is_some_and(|tld| tld.bytes().all(|b| b.is_ascii_digit()));
        if text.contains('.') && text.split('.').all(label_ok) && !all_digits_tld {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(AddressError::Domain)
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A mail address. Equality, order and hash ignore the case of the local part.
#[derive(Clone)]
pub struct Address {
    /// Dot-atom text as it was written.
    local: String,
    domain: Domain,
}

impl Address {
    /// The part before `@`, as written.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The text under which a mailbox is looked up: the whole address in lower case.
    #[must_use]
    pub fn lookup_key(&self) -> String {
        format!("{}@{}", self.local.to_ascii_lowercase(), self.domain)
    }

    /// Whether this is in the patients' domain. The local part may still be no INS: see
    /// [`Address::ins`].
    #[must_use]
    pub fn is_patient(&self) -> bool {
        self.domain.is_patient()
    }

    /// The INS of a patient's address; `None` when it is not one or its key is wrong.
    #[must_use]
    pub fn ins(&self) -> Option<Ins> {
        self.is_patient().then(|| self.local.to_ascii_uppercase().parse().ok()).flatten()
    }

    /// The address for logs: in full, except that a patient's INS is masked.
    #[must_use]
    pub fn masked(&self) -> String {
        if self.is_patient() { format!("{}@{}", crate::mask(&self.local), self.domain) } else { self.to_string() }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::Length);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Shape)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Shape);
        }
        if local.len() > MAX_LOCAL {
            return Err(AddressError::Length);
        }
        let atom_ok = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
        if !local.split('.').all(atom_ok) {
            return Err(AddressError::Local);
        }
        Ok(Self { local: local.to_owned(), domain: domain.parse()? })
    }
}

/// RFC 5322 §3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.masked())
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.domain == other.domain && self.local.eq_ignore_ascii_case(&other.local)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.local.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        self.domain.hash(state);
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let local = |address: &Self| address.local.to_ascii_lowercase();
        self.domain.cmp(&other.domain).then_with(|| local(self).cmp(&local(other)))
    }
}

crate::serde_as_text!(Domain);
crate::serde_as_text!(Address);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn address(text: &str) -> Address {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn case_matters_to_nobody() {
        let a = address("Marie.Martin@Alpha.Formation.MSSante.fr");
        let b = address("marie.martin@alpha.formation.mssante.fr");
        assert_eq!(a, b);
        assert_eq!(a.to_string(), "Marie.Martin@alpha.formation.mssante.fr");
        assert_eq!(a.lookup_key(), b.to_string());
        assert_eq!(HashSet::from([a, b]).len(), 1);
    }

    #[test]
    fn refusals() {
        use AddressError::{Domain, Length, Local, Shape};
        let long_local = format!("{}@a.fr", "a".repeat(65));
        let long = format!("{}@{}.fr", "a".repeat(64), "a.".repeat(100));
        for (text, error) in [
            ("", Shape),
            ("a", Shape),
            ("@a.fr", Shape),
            ("a@", Shape),
            ("a@b", Domain),
            ("a@b.", Domain),
            ("a@.b.fr", Domain),
            ("a@b..fr", Domain),
            ("a@-b.fr", Domain),
            ("a@[127.0.0.1]", Domain),
            ("a@127.0.0.1", Domain),
            ("a@b_c.fr", Domain),
            ("a@é.fr", Domain),
            ("a@b.fr\r", Domain),
            (".a@b.fr", Local),
            ("a.@b.fr", Local),
            ("a..b@b.fr", Local),
            ("\"a\"@b.fr", Local),
            ("a b@b.fr", Local),
            ("a\r\n@b.fr", Local),
            ("é@b.fr", Local),
            ("a@b@c.fr", Local),
            (&long_local, Length),
            (&long, Length),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn patients() {
        // OPE-PATIENT
        let good = address("279035121518989@PATIENT.mssante.fr");
        assert!(good.is_patient());
        assert_eq!(good.ins().expect("right key").as_str(), "279035121518989");
        assert!(!format!("{good:?}").contains("0351215"));
        assert!(address("279035121518988@patient.mssante.fr").ins().is_none());
        assert_eq!(address("284062a00412371@patient.mssante.fr").ins().expect("Corsica").as_str(), "284062A00412371");
        assert!(!address("279035121518989@xpatient.mssante.fr").is_patient());
    }

    #[test]
    fn domains_of_the_trust_space() {
        // OPE-LIST
        for good in ["medecin.mssante.fr", "a.b.c.mssante.fr", "mssante.apicrypt.org", "interop-mssante.apicrypt.org"] {
            assert!(good.parse::<Domain>().expect(good).is_mssante(), "{good}");
        }
        for bad in ["mssante.fr", "xmssante.fr", "mssante.fr.evil.com", "apicrypt.org", "x.mssante.apicrypt.org"] {
            assert!(!bad.parse::<Domain>().expect(bad).is_mssante(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "\\PC{0,40}@?\\PC{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().to_ascii_lowercase(), text.to_ascii_lowercase());
            }
        }

        #[test]
        fn ordinary_addresses_are_accepted(text in "[a-zA-Z0-9]{1,10}(\\.[a-z0-9_+-]{1,10}){0,3}@[a-z0-9]{1,10}(\\.[a-z0-9]{1,8}){0,3}\\.mssante\\.fr") {
            let parsed = address(&text);
            prop_assert_eq!(parsed.lookup_key(), text.to_ascii_lowercase());
            prop_assert_eq!(&address(&parsed.to_string()), &parsed);
        }
    }
}
