//! What the server can do.

use super::MAX_CAPABILITIES;

/// The words of CAPABILITY, in upper case. They belong to one state of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    /// From the words; what exceeds [`MAX_CAPABILITIES`] is left out.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Capabilities(words.into_iter().take(MAX_CAPABILITIES).map(str::to_ascii_uppercase).collect())
    }

    /// Whether nothing is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a word is among them (any case).
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(word))
    }

    /// What follows `name=` of the first such word.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|word| {
            let (start, value) = word.split_once('=')?;
            start.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// SASL mechanisms offered.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|word| word.strip_prefix("AUTH="))
    }

    /// Whether a SASL mechanism is offered.
    #[must_use]
    pub fn offers(&self, mechanism: &str) -> bool {
        self.mechanisms().any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    /// All the words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// IMAP4rev2 includes a number of extensions that a server of it need not name (RFC 9051 appendix E).
    #[must_use]
    pub fn can(&self, extension: &str) -> bool {
        const IN_REV2: [&str; 9] =
            ["ENABLE", "ESEARCH", "IDLE", "MOVE", "NAMESPACE", "SASL-IR", "SPECIAL-USE", "UIDPLUS", "UNSELECT"];
        self.has(extension) || (self.has("IMAP4REV2") && IN_REV2.iter().any(|e| e.eq_ignore_ascii_case(extension)))
    }
}
