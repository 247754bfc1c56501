//! Message-ID: RFC 5322 §3.6.4, ECO.2.2.1.

use std::fmt;
use std::str::FromStr;

use mssante::Domain;

/// Longest identifier kept, in octets: a line has 998, and those in use have less than 100.
const MAX_ID: usize = 250;
/// Random octets on the left side: none is ever made twice.
const RANDOM: usize = 16;

/// Not a message identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message identifier (<left@right>)")]
pub struct BadMessageId;

/// The identifier of a message, with its angle brackets: printable ASCII without blanks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// A new one. On its right, the domain of the BAL: neither the name nor the address of the machine leaks.
    ///
    /// # Errors
    /// OpenSSL has no randomness to give.
    pub fn generate(domain: &Domain) -> Result<Self, openssl::error::ErrorStack> {
        Ok(Self(format!("<{}@{domain}>", random_text()?)))
    }

    /// With its angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its angle brackets.
    #[must_use]
    pub fn inner(&self) -> &str {
        &self.0[1..self.0.len() - 1]
    }

    /// The identifiers in the value of a field (`References`, `In-Reply-To`, `Message-ID`), in order; what is none is passed over.
    #[must_use]
    pub fn all_in(value: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut rest = value;
        while let Some(start) = rest.find('<') {
            rest = &rest[start..];
            let Some(end) = rest.find('>') else { break };
            // `<` inside: the first one was not the beginning.
            let from = rest[..end].rfind('<').unwrap_or_default();
            if let Ok(id) = rest[from..=end].parse() {
                found.push(id);
            }
            rest = &rest[end + 1..];
        }
        found
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn random_text() -> Result<String, openssl::error::ErrorStack> {
    let mut octets = [0; RANDOM];
    openssl::rand::rand_bytes(&mut octets)?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

impl FromStr for MessageId {
    type Err = BadMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).ok_or(BadMessageId)?;
        let (left, right) = inner.split_once('@').ok_or(BadMessageId)?;
        let clean =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
        if text.len() <= MAX_ID && clean(left) && clean(right) { Ok(Self(text.to_owned())) } else { Err(BadMessageId) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unique_and_silent_about_the_machine() {
        let domain: Domain = "alpha.formation.mssante.fr".parse().expect("a domain");
        let ids: Vec<MessageId> = (0..100).map(|_| MessageId::generate(&domain).expect("randomness")).collect();
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), 100);
        for id in &ids {
            assert!(id.as_str().ends_with("@alpha.formation.mssante.fr>"));
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
    }

    #[test]
    fn found_among_other_words() {
        let found = MessageId::all_in("see <a@b>\t(x) <c d@e> <<f@g> <h@i <@j> <k@>");
        assert_eq!(found.iter().map(MessageId::as_str).collect::<Vec<_>>(), ["<a@b>", "<f@g>"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[<>@a \\PC]{0,60}") {
            for id in MessageId::all_in(&text) {
                prop_assert!(text.contains(id.as_str()));
                prop_assert!(id.as_str().parse::<MessageId>().is_ok());
            }
        }
    }
}
