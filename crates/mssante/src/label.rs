//! The display name beside a sender's address. ECO-LABEL (ECO.2.2.7); `client.md` §2.2.
//!
//! A personal mailbox is shown as `Titre_Prénom_NOM_Entité` (title and entity optional), every other
//! kind as the entity that holds it. What the user typed is cleaned of everything that could break
//! out of the header field, and of `_` inside a part, since it separates them.

use std::fmt;

use crate::address::Address;
use crate::text;

/// Longest part kept, in characters: enough for a hospital's full name, short enough for a list.
const MAX_PART: usize = 100;
/// Longest encoded word (RFC 2047 §2).
const MAX_ENCODED_WORD: usize = 75;

/// Why a label cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// First name or surname is blank.
    #[error("the label of a personal mailbox needs a first name and a surname")]
    NoName,
    /// The entity is blank.
    #[error("the label of this mailbox needs the name of the entity that holds it")]
    NoEntity,
}

/// A sender's display name: one line, none of `< > "` nor a control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(String);

impl Label {
    /// The label of a PER mailbox. `title` is for regulated professions (`Dr`, `Pr`); `entity` the
    /// care structure or department.
    ///
    /// # Errors
    /// [`LabelError::NoName`] when the first name or the surname is blank.
    pub fn personal(
        title: Option<&str>,
        first_name: &str,
        surname: &str,
        entity: Option<&str>,
    ) -> Result<Self, LabelError> {
        let (first_name, surname) = (part(first_name), part(surname).to_uppercase());
        if first_name.is_empty() || surname.is_empty() {
            return Err(LabelError::NoName);
        }
        let optional = |value: Option<&str>| value.map(part).filter(|text| !text.is_empty());
        let parts = [optional(title), Some(first_name), Some(surname), optional(entity)];
        Ok(Self(parts.into_iter().flatten().collect::<Vec<_>>().join("_")))
    }

    /// The label of an ORG, APP or CAB mailbox (the referential gives no rule for CAB: it is treated
    /// as an organisation).
    ///
    /// # Errors
    /// [`LabelError::NoEntity`] when the entity is blank.
    pub fn entity(name: &str) -> Result<Self, LabelError> {
        let name = part(name);
        if name.is_empty() { Err(LabelError::NoEntity) } else { Ok(Self(name)) }
    }

    /// The text as people see it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of a `From` field: the label, encoded by RFC 2047 when it is not ASCII and quoted when
    /// it holds specials, then the address. Long labels give several encoded words separated by a
    /// folded line end.
    #[must_use]
    pub fn to_from_field(&self, address: &Address) -> String {
        // What looks like an encoded word would be taken for one by programs that decode inside quotes.
        let plain = self.0.is_ascii() && !self.0.contains("=?");
        let phrase = if plain { format!("\"{}\"", self.0.replace('\\', "\\\\")) } else { encoded_words(&self.0) };
        format!("{phrase} <{address}>")
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One cleaned part of a label.
fn part(raw: &str) -> String {
    let kept: String =
        raw.chars().map(|c| if c == '_' { ' ' } else { c }).filter(|c| !matches!(c, '<' | '>' | '"')).collect();
    text::cut(&text::one_line(&kept), MAX_PART)
}

/// RFC 2047 `B` encoding in UTF-8, cut between characters.
fn encoded_words(text: &str) -> String {
    const FRAME: usize = "=?UTF-8?B??=".len();
    // Base64 gives four characters for three bytes.
    const MAX_BYTES: usize = (MAX_ENCODED_WORD - FRAME) / 4 * 3;
    let mut chunks = vec![String::new()];
    for c in text.chars() {
        if chunks.last().is_some_and(|chunk| chunk.len() + c.len_utf8() > MAX_BYTES) {
            chunks.push(String::new());
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(c);
        }
    }
    let word = |chunk: &String| format!("=?UTF-8?B?{}?=", openssl::base64::encode_block(chunk.as_bytes()));
    chunks.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from() -> Address {
        "marie.martin@alpha.formation.mssante.fr".parse().expect("an address")
    }

    #[test]
    fn examples_of_the_reference() {
        // ECO-LABEL; client.md §2.2
        let label = Label::personal(Some("Dr"), "Marie", "Martin", Some("Cabinet Médical"));
        assert_eq!(label.expect("complete").as_str(), "Dr_Marie_MARTIN_Cabinet Médical");
        let plain = Label::personal(None, "Jean", "DUPONT", Some("  ")).expect("complete");
        assert_eq!(plain.as_str(), "Jean_DUPONT");
        assert_eq!(plain.to_from_field(&from()), "\"Jean_DUPONT\" <marie.martin@alpha.formation.mssante.fr>");
        let hospital = Label::entity("Hôpital A – Service Cardiologie").expect("named");
        assert!(hospital.to_from_field(&from()).starts_with("=?UTF-8?B?"));
        assert_eq!(Label::personal(None, "Jean", "", None), Err(LabelError::NoName));
        assert_eq!(Label::entity("<>"), Err(LabelError::NoEntity));
    }

    #[test]
    fn nothing_breaks_out() {
        let label = Label::entity("A\r\nBcc: x@y.fr\" <evil@z.fr>\\").expect("cleaned");
        assert_eq!(label.as_str(), "A Bcc: x@y.fr evil@z.fr\\");
        let field = label.to_from_field(&from());
        assert_eq!(field.matches('<').count(), 1);
        assert!(field.starts_with("\"A Bcc: x@y.fr evil@z.fr\\\\\" <"));
    }

    proptest! {
        #[test]
        fn every_line_of_a_field_is_short_ascii(name in "[\\PC\\r\\n]{1,300}") {
            if let Ok(label) = Label::entity(&name) {
                let field = label.to_from_field(&from());
                prop_assert!(field.is_ascii());
                prop_assert!(!field.replace("\r\n ", "").contains(['\r', '\n']));
                prop_assert!(field.split("\r\n").all(|line| line.len() <= 250));
            }
        }
    }
}
