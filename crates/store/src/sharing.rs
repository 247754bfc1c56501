//! Who may do what in a folder (RFC 4314), and what is noted about folders (RFC 5464): values, not decisions.
//!
//! A store keeps what was written; what an entry means beside the rights on the mailbox is decided by whoever opens it.
//! Every engine keeps these rules: a new folder begins with the entries of the folder above it, what INBOX is renamed to with
//! those of INBOX, in the same commit; a renamed folder keeps its own; a deleted one loses entries and annotations, even when
//! its name stays.

use mail::Rights;
use mssante::NationalId;

use crate::{FolderId, Result, StoreError};

/// Whom an entry is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grantee {
    /// Everybody who may open the mailbox and has no entry of their own (`anyone`).
    Anyone,
    /// One person.
    Person(NationalId),
}

impl Grantee {
    /// As IMAP and the tables write it.
    pub fn as_str(&self) -> &str {
        match self {
            Grantee::Anyone => "anyone",
            Grantee::Person(id) => id.as_str(),
        }
    }

    /// The other way.
    ///
    /// # Errors
    /// When the text is neither `anyone` nor a national identifier.
    pub fn parse(text: &str) -> std::result::Result<Self, mssante::NationalIdError> {
        if text == "anyone" { Ok(Grantee::Anyone) } else { text.parse().map(Grantee::Person) }
    }
}

/// An entry of a folder's access list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessEntry {
    /// Which folder.
    pub folder: FolderId,
    /// Who.
    pub grantee: Grantee,
    /// What. No right at all is an entry too.
    pub rights: Rights,
}

/// Who sees an annotation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Everybody who reads the folder (`/shared`).
    Shared,
    /// One reader (`/private`), by a name of the caller's choosing that is not empty.
    Private(String),
}

impl Scope {
    /// What the tables write: nothing stands for everybody.
    pub(crate) fn owner(&self) -> &str {
        match self {
            Scope::Shared => "",
            Scope::Private(owner) => owner,
        }
    }
}

/// An annotation as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// Whose.
    pub scope: Scope,
    /// Its name below `/shared` or `/private`, in lower case, e.g. `/comment`.
    pub entry: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// A change of one annotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnotationChange {
    /// Whose.
    pub scope: Scope,
    /// Its name below `/shared` or `/private`, in lower case.
    pub entry: String,
    /// The new value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// Entries in one folder's access list: more persons than any BAL of a hospital service has.
pub const MAX_ACCESS_ENTRIES: usize = 1000;
/// Entries of all folders of a mailbox together: each LIST reads them, and a new folder begins with those of the folder above it.
pub const MAX_ACCESS_OF_MAILBOX: usize = 20_000;
/// Octets in one annotation: a comment, a colour, a filter; not a file store.
pub const MAX_ANNOTATION: usize = 16 * 1024;
/// Annotations of one scope in one folder.
pub const MAX_ANNOTATIONS: usize = 50;
/// Octets of all annotations of a mailbox, names included: they do not count for its quota, so something must bound them.
pub const MAX_ANNOTATION_OCTETS: usize = 4 * 1024 * 1024;

/// Whether a folder of a mailbox may have so many entries in its access list, and the mailbox so many in all.
///
/// # Errors
/// [`StoreError::FolderRefused`].
pub(crate) fn check_entries(of_folder: usize, of_mailbox: usize) -> Result<()> {
    if of_folder > MAX_ACCESS_ENTRIES {
        return Err(StoreError::FolderRefused("its access list is too long"));
    }
    if of_mailbox > MAX_ACCESS_OF_MAILBOX {
        return Err(StoreError::FolderRefused("the access lists of the mailbox are too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grantees_both_ways() {
        for text in ["anyone", "899700000017"] {
            assert_eq!(Grantee::parse(text).expect("valid").as_str(), text);
        }
        for text in ["", "Anyone", "-899700000017", "owner", "marie"] {
            assert!(Grantee::parse(text).is_err(), "{text}");
        }
    }
}
