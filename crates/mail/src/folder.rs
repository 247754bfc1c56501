//! Folder names and special uses.

use std::fmt;

/// The name of a folder in Unicode, levels separated by [`FolderName::SEPARATOR`].
///
/// Invariants: 1 to [`FolderName::MAX_LENGTH`] octets, at most [`FolderName::MAX_DEPTH`] levels, no empty level, no control
/// character, no `*` or `%`; `INBOX` in capitals whatever its case (also as the first level).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(String);

/// Why a text is not a folder name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FolderNameError {
    /// Empty, or an empty level.
    #[error("a folder name has no empty level")]
    Empty,
    /// Longer than [`FolderName::MAX_LENGTH`].
    #[error("the folder name is longer than {} octets", FolderName::MAX_LENGTH)]
    TooLong,
    /// More levels than [`FolderName::MAX_DEPTH`].
    #[error("the folder name has more than {} levels", FolderName::MAX_DEPTH)]
    TooDeep,
    /// A control character, `*` or `%`.
    #[error("the folder name holds a character that is not allowed")]
    Forbidden,
}

impl FolderName {
    /// Between two levels.
    pub const SEPARATOR: char = '/';
    /// Longest name in octets: long enough for any tree in use, short enough for an index key.
    pub const MAX_LENGTH: usize = 512;
    /// Deepest tree: bounds every walk over it.
    pub const MAX_DEPTH: usize = 20;

    /// The folder that receives new mail.
    pub fn inbox() -> Self {
        FolderName("INBOX".into())
    }

    /// Checks a name. A final separator (RFC 3501 §6.3.3) is dropped.
    pub fn new(name: &str) -> Result<Self, FolderNameError> {
        let name = name.strip_suffix(Self::SEPARATOR).unwrap_or(name);
        if name.len() > Self::MAX_LENGTH {
            return Err(FolderNameError::TooLong);
        }
        if name.chars().any(|c| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}')) {
            return Err(FolderNameError::Forbidden);
        }
        let levels: Vec<&str> = name.split(Self::SEPARATOR).collect();
        if levels.iter().any(|level| level.is_empty()) {
            return Err(FolderNameError::Empty);
        }
        if levels.len() > Self::MAX_DEPTH {
            return Err(FolderNameError::TooDeep);
        }
        let mut name = name.to_owned();
        if levels[0].eq_ignore_ascii_case("INBOX") {
            name.replace_range(..5, "INBOX");
        }
        Ok(FolderName(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The folder one level up, if any.
    pub fn parent(&self) -> Option<FolderName> {
        self.0.rsplit_once(Self::SEPARATOR).map(|(parent, _)| FolderName(parent.to_owned()))
    }

    /// Whether this folder lies under `other`.
    pub fn is_under(&self, other: &FolderName) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What a folder is for (RFC 6154).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SpecialUse {
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

impl SpecialUse {
    /// All of them with their IMAP names.
    pub const ALL: [(SpecialUse, &'static str); 5] = [
        (SpecialUse::Archive, "\\Archive"),
        (SpecialUse::Drafts, "\\Drafts"),
        (SpecialUse::Junk, "\\Junk"),
        (SpecialUse::Sent, "\\Sent"),
        (SpecialUse::Trash, "\\Trash"),
    ];

    /// The IMAP name, e.g. `\Sent`.
    pub fn name(self) -> &'static str {
        match self {
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }

    /// From the IMAP name, any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(u, _)| *u)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_one_spelling() {
        assert_eq!(FolderName::new("inBox"), Ok(FolderName::inbox()));
        assert_eq!(FolderName::new("inbox/A").expect("valid").as_str(), "INBOX/A");
        assert_eq!(FolderName::new("inboxes").expect("valid").as_str(), "inboxes");
    }

    #[test]
    fn refused_names() {
        assert_eq!(FolderName::new(""), Err(FolderNameError::Empty));
        assert_eq!(FolderName::new("a//b"), Err(FolderNameError::Empty));
        assert_eq!(FolderName::new("/a"), Err(FolderNameError::Empty));
        assert_eq!(FolderName::new("a%"), Err(FolderNameError::Forbidden));
        assert_eq!(FolderName::new("a\r\nb"), Err(FolderNameError::Forbidden));
        assert_eq!(FolderName::new(&"a/".repeat(30)), Err(FolderNameError::TooDeep));
        assert_eq!(FolderName::new(&"a".repeat(600)), Err(FolderNameError::TooLong));
        assert!(FolderName::new("a/b").expect("valid").is_under(&FolderName::new("a").expect("valid")));
        assert!(!FolderName::new("ab").expect("valid").is_under(&FolderName::new("a").expect("valid")));
    }
}
