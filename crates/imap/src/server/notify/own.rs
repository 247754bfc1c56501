//! What a session did itself: it is not told of it (RFC 5465 §5).
//!
//! What a command did is on disk before it is answered, so the first look after it sees it, and the next one has nothing of it left
//! to see: what is kept here lives from a command to a look.

use mail::FolderName;

use crate::administration::EntryName;
use crate::command::{Administer, Command};

/// Something a command of this session changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) enum Own {
    /// CREATE, with the folders above that there were none of.
    Created(FolderName),
    /// DELETE.
    Deleted(FolderName),
    /// RENAME, with the folders below.
    Renamed(FolderName, FolderName),
    /// SUBSCRIBE or UNSUBSCRIBE.
    Subscribed(FolderName),
    /// SETMETADATA of a folder, or of the mailbox.
    Annotated(Option<FolderName>, Vec<EntryName>),
}

impl Own {
    /// What a command changes if it succeeds.
    pub(in super::super) fn of(command: &Command) -> Option<Own> {
        Some(match command {
            Command::Create { folder: Ok(name), .. } => Own::Created(name.clone()),
            Command::Delete(Ok(name)) => Own::Deleted(name.clone()),
            Command::Rename { from: Ok(from), to: Ok(to) } => Own::Renamed(from.clone(), to.clone()),
            Command::Subscribe(Ok(name)) | Command::Unsubscribe(Ok(name)) => Own::Subscribed(name.clone()),
            Command::Administer(Administer::SetMetadata { of, changes }) => {
                let of = of.clone().transpose().ok()?;
                Own::Annotated(of, changes.iter().map(|(entry, _)| entry.clone()).collect())
            }
            _ => return None,
        })
    }

    /// Whether it made a folder of this name.
    pub(super) fn created(&self, name: &FolderName) -> bool {
        match self {
            Own::Created(made) | Own::Renamed(_, made) => made == name || made.is_under(name),
            _ => false,
        }
    }

    /// Whether it took the name from a folder that is gone.
    pub(super) fn deleted(&self, name: &FolderName) -> bool {
        matches!(self, Own::Deleted(gone) if gone == name)
    }

    /// Whether it gave a folder another name.
    pub(super) fn renamed(&self, old: &FolderName, new: &FolderName) -> bool {
        matches!(self, Own::Renamed(from, to) if explains((from, to), (old, new)))
    }

    /// Whether it subscribed the folder, or ended that.
    pub(super) fn subscribed(&self, name: &FolderName) -> bool {
        matches!(self, Own::Subscribed(named) if named == name)
    }

    /// Whether it changed the annotation.
    pub(super) fn annotated(&self, of: Option<&FolderName>, entry: &EntryName) -> bool {
        matches!(self, Own::Annotated(named, entries) if named.as_ref() == of && entries.contains(entry))
    }
}

/// Whether a renaming brought the other about: it is the same, or that of a folder above.
pub(super) fn explains(above: (&FolderName, &FolderName), this: (&FolderName, &FolderName)) -> bool {
    let (from, to) = above;
    let (old, new) = this;
    if old == from && new == to {
        return true;
    }
    old.is_under(from) && new.is_under(to) && old.as_str()[from.as_str().len()..] == new.as_str()[to.as_str().len()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FolderName {
        FolderName::new(text).expect("valid")
    }

    #[test]
    fn a_renaming_explains_those_below() {
        let (from, to) = (name("a"), name("b/c"));
        let explained = |old: &str, new: &str| explains((&from, &to), (&name(old), &name(new)));
        assert!(explained("a", "b/c") && explained("a/x/y", "b/c/x/y"));
        for (old, new) in [("a/x", "b/c/y"), ("a/x", "b/x"), ("ab", "b/cb"), ("a", "b/c/d"), ("x", "b/c")] {
            assert!(!explained(old, new), "{old} {new}");
        }
    }
}
