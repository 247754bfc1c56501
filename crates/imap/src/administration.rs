//! What the IMAP server asks about rights (RFC 4314), quota (RFC 9208) and annotations (RFC 5464) of the mailbox a session has
//! open, and whether it may still be open.
//!
//! Who may do what is decided by whoever implements [`Administration`]: the commands here only carry questions and answers.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use async_trait::async_trait;
use mail::{FolderName, Rights};
use tokio::sync::watch;

use crate::backend::Result;

/// Whether SETACL replaces, adds or takes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modification {
    /// These and no others.
    Replace,
    /// `+`.
    Add,
    /// `-`.
    Remove,
}

/// What LISTRIGHTS tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grantable {
    /// Always there, whatever is set.
    pub required: Rights,
    /// May be given or taken.
    pub optional: Rights,
}

/// What a mailbox holds and may hold. There is one quota root, of all folders together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaStatus {
    /// Octets of all messages.
    pub octets: u64,
    /// The most they may be; `None` is no limit.
    pub octets_limit: Option<u64>,
    /// Number of messages.
    pub messages: u64,
    /// The most there may be.
    pub messages_limit: Option<u64>,
}

impl QuotaStatus {
    /// Whether one of the limits is at least `percent` used.
    pub fn is_used(&self, percent: u64) -> bool {
        let used = |now: u64, limit: Option<u64>| {
            limit.is_some_and(|limit| u128::from(now) * 100 >= u128::from(limit) * u128::from(percent))
        };
        used(self.octets, self.octets_limit) || used(self.messages, self.messages_limit)
    }
}

/// Who sees an annotation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Audience {
    /// `/private`: whoever opened the session.
    Private,
    /// `/shared`: everybody who reads the folder.
    Shared,
}

/// The name of an annotation (RFC 5464 §3.2), in lower case: an audience and components.
///
/// Invariant: the path is empty or begins with `/`, has no empty component, and holds ASCII that is neither control, `*` nor
/// `%`. An empty path names no annotation, only where to look from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct EntryName {
    audience: Audience,
    path: String,
}

impl EntryName {
    /// The longest name, in octets: names are ours to keep as well as values.
    pub const MAX_LENGTH: usize = 255;

    /// Reads a name; `None` when it is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= Self::MAX_LENGTH)?.to_ascii_lowercase();
        let (audience, path) = match (text.strip_prefix("/private"), text.strip_prefix("/shared")) {
            (Some(path), _) => (Audience::Private, path),
            (_, Some(path)) => (Audience::Shared, path),
            _ => return None,
        };
        Self::new(audience, path)
    }

    /// A name of its parts.
    pub fn new(audience: Audience, path: &str) -> Option<Self> {
        let valid = |component: &str| {
            !component.is_empty() && component.bytes().all(|b| (b'!'..=b'~').contains(&b) && !matches!(b, b'*' | b'%'))
        };
        let well_formed = match path.strip_prefix('/') {
            Some(components) => components.split('/').all(valid),
            None => path.is_empty(),
        };
        well_formed.then(|| EntryName { audience, path: path.to_ascii_lowercase() })
    }

    /// Who sees it.
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// What follows `/private` or `/shared`: empty, or `/comment`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many levels below `above` it is; `None` when it is not the same or below.
    pub fn depth_under(&self, above: &EntryName) -> Option<usize> {
        if self.audience != above.audience {
            return None;
        }
        let rest = self.path.strip_prefix(&above.path)?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('/').map(|rest| rest.split('/').count()) }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.audience {
            Audience::Private => "/private",
            Audience::Shared => "/shared",
        })?;
        f.write_str(&self.path)
    }
}

/// What stands for the value of an annotation: within a process, values that differ have marks that differ, but for one in 2⁶⁴.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(u64);

impl Mark {
    /// The mark of a value.
    pub fn of(value: &[u8]) -> Self {
        // Keyed for the process: nobody can choose values of one mark.
        static KEY: OnceLock<RandomState> = OnceLock::new();
        Mark(KEY.get_or_init(RandomState::new).hash_one(value))
    }
}

/// Rights, quota and annotations of the mailbox of a session. A folder the session has no `l` on does not exist for it:
/// [`Failure::NonExistent`](crate::backend::Failure::NonExistent).
#[async_trait]
pub trait Administration: Send + Sync {
    /// Whether the session may still have the mailbox open: asked every minute or so. Trouble of our own is `true`.
    async fn still_open(&self) -> bool;

    /// What this session may do in a folder (MYRIGHTS).
    async fn my_rights(&self, folder: &FolderName) -> Result<Rights>;
    /// Who may do what in it, by identifier (GETACL).
    async fn acl(&self, folder: &FolderName) -> Result<Vec<(String, Rights)>>;
    /// Changes the entry of an identifier (SETACL).
    async fn set_acl(&self, folder: &FolderName, identifier: &str, how: Modification, rights: Rights) -> Result<()>;
    /// Removes the entry of an identifier (DELETEACL).
    async fn delete_acl(&self, folder: &FolderName, identifier: &str) -> Result<()>;
    /// What could be given to an identifier (LISTRIGHTS).
    async fn list_rights(&self, folder: &FolderName, identifier: &str) -> Result<Grantable>;

    /// What the mailbox holds.
    async fn quota(&self) -> Result<QuotaStatus>;

    /// The longest value of an annotation, in octets.
    fn annotation_limit(&self) -> usize;
    /// Every annotation of a folder, or with `None` of the mailbox itself, that this session may see, by name.
    async fn annotations(&self, of: Option<&FolderName>) -> Result<Vec<(EntryName, Vec<u8>)>>;
    /// A mark of the value of every annotation this session may see, of the mailbox (`None`) and of folders, by
    /// [`FolderInfo::id`](crate::backend::FolderInfo::id).
    async fn marks(&self) -> Result<Vec<((Option<u64>, EntryName), Mark)>>;
    /// A counter that any change of an annotation moves, seen or not.
    async fn annotation_changes(&self) -> Result<watch::Receiver<u64>>;
    /// Sets (or with `None` removes) annotations, all or none. Too many of them:
    /// [`Failure::Limit`](crate::backend::Failure::Limit).
    async fn annotate(&self, of: Option<&FolderName>, changes: Vec<(EntryName, Option<Vec<u8>>)>) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EntryName {
        EntryName::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(name("/Shared/Comment").to_string(), "/shared/comment");
        assert_eq!(name("/private").path(), "");
        assert_eq!(name("/private/vendor/x/y").audience(), Audience::Private);
        let long = format!("/shared/{}", "x".repeat(EntryName::MAX_LENGTH));
        for bad in [
            "",
            "/",
            "comment",
            "/comment",
            "/sharedx",
            "/shared/",
            "/shared//a",
            "/private/a/",
            "/shared/a*",
            "/shared/%",
            "/shared/é",
            "/shared/a b",
            "/shared/\u{7f}",
            &long,
        ] {
            assert!(EntryName::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn marks_follow_values() {
        assert_eq!(Mark::of(b"a"), Mark::of(b"a"));
        assert_ne!(Mark::of(b"a"), Mark::of(b""));
    }

    #[test]
    fn depths() {
        assert_eq!(name("/shared/a/b").depth_under(&name("/shared/a")), Some(1));
        assert_eq!(name("/shared/a/b").depth_under(&name("/shared")), Some(2));
        assert_eq!(name("/shared/a").depth_under(&name("/shared/a")), Some(0));
        assert_eq!(name("/shared/ab").depth_under(&name("/shared/a")), None);
        assert_eq!(name("/shared/a").depth_under(&name("/private")), None);
    }

    #[test]
    fn how_full() {
        let quota = QuotaStatus { octets: 90, octets_limit: Some(100), messages: 1, messages_limit: None };
        assert!(quota.is_used(90) && !quota.is_used(91));
        assert!(!QuotaStatus::default().is_used(0));
        assert!(QuotaStatus { octets_limit: Some(0), ..QuotaStatus::default() }.is_used(90));
    }
}
