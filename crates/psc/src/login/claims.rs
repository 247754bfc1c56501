//! What a checked ID token says of somebody (OIDC Core §2).

use std::fmt;

use serde_json::{Map, Value};

/// Longest `sub` (OIDC Core §2), in octets.
const MAX_SUBJECT: usize = 255;

/// The claims of an ID token that was checked. Never printed.
#[derive(Clone, PartialEq)]
pub struct Claims {
    subject: String,
    all: Map<String, Value>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} of them)", self.all.len())
    }
}

impl Claims {
    /// None when nobody is named.
    pub(super) fn new(all: Map<String, Value>) -> Option<Claims> {
        let subject = subject(&all)?;
        Some(Claims { subject, all })
    }

    /// `sub`: who that is, for this issuer and for ever.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Value::as_str)
    }

    /// Whether a claim is this text, or a list that holds it.
    #[must_use]
    pub fn has(&self, name: &str, value: &str) -> bool {
        match self.all.get(name) {
            Some(Value::String(one)) => one == value,
            Some(Value::Array(many)) => many.iter().any(|one| one == value),
            _ => false,
        }
    }
}

/// `sub`, of an allowed length and without control characters.
pub(super) fn subject(claims: &Map<String, Value>) -> Option<String> {
    let subject = claims.get("sub").and_then(Value::as_str)?;
    let is_good = (1..=MAX_SUBJECT).contains(&subject.len()) && !subject.chars().any(char::is_control);
    is_good.then(|| subject.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_lists() {
        let of = |value: Value| Claims::new(value.as_object().expect("an object").clone());
        let said = of(json!({"sub": "s", "groups": ["a", 1, "b"], "acr": "eidas1", "n": 1})).expect("named");
        assert_eq!((said.subject(), said.text("acr"), said.text("n")), ("s", Some("eidas1"), None));
        assert!(said.has("groups", "b") && said.has("acr", "eidas1"));
        assert!(
            !said.has("groups", "c") && !said.has("n", "1") && !said.has("absent", "") && !said.has("acr", "eidas")
        );
        assert_eq!(format!("{said:?}"), "Claims(4 of them)");
        for nobody in
            [json!({}), json!({"sub": ""}), json!({"sub": 1}), json!({"sub": "x".repeat(256)}), json!({"sub": "a\n"})]
        {
            assert_eq!(of(nobody.clone()), None, "{nobody}");
        }
    }
}
