//! What a session did itself: it is not told of it (RFC 5465 §5).
//!
//! What a command did is on disk before it is answered, so the first look after it sees it, and the next one has nothing of it left
//! to see: what is kept here lives from a command to a look. Where others may have undone it meanwhile, what is there decides: it is
//! the session's own only as long as it is what the session left.

use mail::FolderName;

use crate::administration::{EntryName, Mark};
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
    /// SUBSCRIBE, or UNSUBSCRIBE.
    Subscribed(FolderName, bool),
    /// SETMETADATA of a folder, or of the mailbox: the values it left.
    Annotated(Option<FolderName>, Vec<(EntryName, Option<Mark>)>),
}

impl Own {
    /// What a command changes if it succeeds.
    pub(in super::super) fn of(command: &Command) -> Option<Own> {
        Some(match command {
            Command::Create { folder: Ok(name), .. } => Own::Created(name.clone()),
            Command::Delete(Ok(name)) => Own::Deleted(name.clone()),
            Command::Rename { from: Ok(from), to: Ok(to) } => Own::Renamed(from.clone(), to.clone()),
            Command::Subscribe(Ok(name)) => Own::Subscribed(name.clone(), true),
            Command::Unsubscribe(Ok(name)) => Own::Subscribed(name.clone(), false),
            Command::Administer(Administer::SetMetadata { of, changes }) => {
                let of = of.clone().transpose().ok()?;
                let left = |value: &Option<Vec<u8>>| value.as_deref().map(Mark::of);
                Own::Annotated(of, changes.iter().map(|(entry, value)| (entry.clone(), left(value))).collect())
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

    /// Whether it left the folder subscribed, or not.
    pub(super) fn subscribed(&self, name: &FolderName, now: bool) -> bool {
        matches!(self, Own::Subscribed(named, left) if named == name && *left == now)
    }

    /// Whether it left the annotation so.
    pub(super) fn annotated(&self, of: Option<&FolderName>, entry: &EntryName, now: Option<Mark>) -> bool {
        let is_it = |(named, left): &(EntryName, Option<Mark>)| named == entry && *left == now;
        matches!(self, Own::Annotated(named, entries) if named.as_ref() == of && entries.iter().any(is_it))
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
