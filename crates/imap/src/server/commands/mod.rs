//! The commands, one file each.

pub(super) mod acl;
pub(super) mod append;
mod catenate;
pub(super) mod close;
pub(super) mod compress;
pub(super) mod copy;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod enable;
pub(super) mod expunge;
pub(super) mod fetch;
pub(super) mod id;
pub(super) mod idle;
pub(super) mod list;
pub(super) mod lsub;
pub(super) mod metadata;
pub(super) mod r#move;
pub(super) mod namespace;
pub(super) mod notify;
pub(super) mod pattern;
pub(super) mod quota;
pub(super) mod rename;
pub(super) mod replace;
pub(super) mod search;
pub(super) mod select;
pub(super) mod sort;
pub(super) mod status;
pub(super) mod store;
pub(super) mod subscribe;
pub(super) mod thread;
pub(super) mod unauthenticate;

use mail::{Flags, FolderName, Keywords, Uid};

use super::output::Output;
use super::reply::{Outcome, Reply};
use crate::backend::Account;
use crate::command::{Administer, Name};

/// Rights, quota and annotations.
pub(super) async fn administer(out: &mut Output, account: &dyn Account, asked: Administer) -> Outcome {
    match asked {
        Administer::SetAcl { folder, identifier, how, rights } => {
            acl::set(account, folder, &identifier, how, rights).await
        }
        Administer::DeleteAcl { folder, identifier } => acl::delete(account, folder, &identifier).await,
        Administer::GetAcl(folder) => acl::get(out, account, folder).await,
        Administer::ListRights { folder, identifier } => acl::list(out, account, folder, &identifier).await,
        Administer::MyRights(folder) => acl::mine(out, account, folder).await,
        Administer::GetQuota(root) => quota::get(out, account, &root).await,
        Administer::GetQuotaRoot(folder) => quota::root(out, account, folder).await,
        Administer::SetQuota => Ok(quota::set()),
        Administer::GetMetadata { of, max_size, depth, entries } => {
            metadata::get(out, account, metadata::Request { of, max_size, depth, entries }).await
        }
        Administer::SetMetadata { of, changes } => metadata::set(account, of, changes).await,
    }
}

/// A folder that should exist: a name that cannot be a folder's is one that does not.
fn existing(name: Name) -> Result<FolderName, Reply> {
    name.map_err(|_| Reply::no("No such folder").code("NONEXISTENT"))
}

/// A folder that may have to be made.
fn possible(name: Name) -> Result<FolderName, Reply> {
    name.map_err(|_| Reply::no("That cannot be a folder's name").code("CANNOT"))
}

/// Flags by name, as system flags and keywords. `\Recent` belongs to the server; unknown system flags are refused
/// (RFC 3501 §2.3.2), keywords that no folder can keep too.
fn flags(names: &[String]) -> Result<(Flags, Vec<String>), Reply> {
    let mut system = Flags::NONE;
    let mut keywords: Vec<String> = Vec::new();
    for name in names {
        if let Some(flag) = Flags::system(name) {
            system = system.with(flag);
        } else if name.starts_with('\\') {
            return Err(Reply::bad("That flag cannot be set"));
        } else if name.len() > Keywords::MAX_LENGTH {
            return Err(Reply::no("That keyword is too long").code("LIMIT"));
        } else if !keywords.iter().any(|k| k.eq_ignore_ascii_case(name)) {
            keywords.push(name.clone());
        }
    }
    if keywords.len() > Keywords::MAX {
        return Err(Reply::no("Too many keywords").code("LIMIT"));
    }
    Ok((system, keywords))
}

/// UIDs in the order given, runs written as ranges (COPYUID: the n-th of one set answers to the n-th of the other).
fn uid_list(uids: impl Iterator<Item = Uid>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for Uid(uid) in uids {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(uid) => *end = uid,
            _ => runs.push((uid, uid)),
        }
    }
    let text = |(from, to): &(u32, u32)| if from == to { from.to_string() } else { format!("{from}:{to}") };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_lists_keep_the_order() {
        let list = |uids: &[u32]| uid_list(uids.iter().copied().map(Uid));
        assert_eq!(list(&[]), "");
        assert_eq!(list(&[4]), "4");
        assert_eq!(list(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(list(&[5, 3, 4]), "5,3:4");
        assert_eq!(list(&[u32::MAX]), "4294967295");
    }

    #[test]
    fn flags_by_name() {
        let names = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let (system, keywords) = flags(&names(&["\\seen", "$Junk", "$JUNK", "\\Deleted"])).expect("valid");
        assert_eq!(system, Flags::SEEN.with(Flags::DELETED));
        assert_eq!(keywords, ["$Junk"]);
        assert!(flags(&names(&["\\Recent"])).is_err());
        assert!(flags(&names(&["\\Strange"])).is_err());
        assert!(flags(&["k".repeat(Keywords::MAX_LENGTH + 1)]).is_err());
    }
}
