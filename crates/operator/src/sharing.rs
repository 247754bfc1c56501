//! What somebody may do in a folder: the one place where capacity and access list meet (BAL-ROLES, RFC 4314).
//!
//! * Whoever may open the mailbox has, in every folder, the rights of their capacity: everything, a delegate everything but
//!   `a`. No entry of a list ever gives more, and who has no right on the mailbox has none in its folders.
//! * An entry for the person replaces that in its folder; without one the entry for `anyone` does. The titulaire is under
//!   `anyone`'s only by an entry of their own, and keeps `l` and `a` whatever is written: nobody is locked out of their mailbox.
//! * Applications are not persons: lists do not speak of them.

use mail::Rights;
use mssante::NationalId;
use store::{AccessEntry, FolderId, Grantee, Role};

use crate::rights::Capacity;

/// What the titulaire cannot lose.
pub const OF_THE_HOLDER: Rights = Rights::LOOKUP.with(Rights::ADMINISTER);

/// The most that somebody of this capacity may do.
pub fn by_capacity(capacity: Capacity) -> Rights {
    match capacity {
        Capacity::Holder | Capacity::As(Role::CoHolder | Role::Member) | Capacity::Application => Rights::ALL,
        Capacity::As(Role::Delegate) => Rights::ALL.without(Rights::ADMINISTER),
    }
}

/// What somebody may do in `folder` by the mailbox's lists, which are ordered by folder as a store gives them: a thousand folders may
/// have a thousand entries each, and all folders are asked about for one LIST. `person` is `None` for an application.
pub fn in_folder(capacity: Capacity, person: Option<&NationalId>, list: &[AccessEntry], folder: FolderId) -> Rights {
    let most = by_capacity(capacity);
    let Some(person) = person else { return most };
    let list = &list[list.partition_point(|e| e.folder < folder)..];
    let list = &list[..list.partition_point(|e| e.folder == folder)];
    let entry = |wanted: &dyn Fn(&Grantee) -> bool| list.iter().find(|e| wanted(&e.grantee)).map(|e| e.rights);
    let own = entry(&|grantee| matches!(grantee, Grantee::Person(id) if id == person));
    if capacity == Capacity::Holder {
        return own.unwrap_or(most).with(OF_THE_HOLDER);
    }
    own.or_else(|| entry(&|grantee| *grantee == Grantee::Anyone)).unwrap_or(most).and(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: FolderId = FolderId(3);

    fn id(text: &str) -> NationalId {
        text.parse().expect("a national id")
    }

    fn rights(text: &str) -> Rights {
        text.parse().expect("rights")
    }

    fn entry(grantee: Grantee, text: &str) -> AccessEntry {
        AccessEntry { folder: FOLDER, grantee, rights: rights(text) }
    }

    #[test]
    fn each_folder_has_its_own_entries() {
        let me = id("899700000017");
        let of = |folder: u32, text: &str| AccessEntry { folder: FolderId(folder), ..entry(Grantee::Anyone, text) };
        let list = [of(2, "l"), of(3, "lr"), of(3, "lrs"), of(7, "lrsw")];
        let see = |folder| in_folder(Capacity::As(Role::Member), Some(&me), &list, FolderId(folder));
        assert_eq!(
            [1, 2, 3, 5, 7, 9].map(see),
            ["lrswipkxtea", "l", "lr", "lrswipkxtea", "lrsw", "lrswipkxtea"].map(rights)
        );
    }

    #[test]
    fn capacities_and_entries() {
        // BAL-ROLES
        let (me, other) = (id("899700000017"), id("899700000025"));
        let all =
            [Capacity::Holder, Capacity::As(Role::CoHolder), Capacity::As(Role::Member), Capacity::As(Role::Delegate)];
        let see = |capacity, list: &[AccessEntry]| in_folder(capacity, Some(&me), list, FOLDER);
        for capacity in all {
            assert_eq!(see(capacity, &[]), by_capacity(capacity));
            // Another folder's, or somebody else's.
            assert_eq!(
                in_folder(capacity, Some(&me), &[entry(Grantee::Anyone, "")], FolderId(4)),
                by_capacity(capacity)
            );
            assert_eq!(see(capacity, &[entry(Grantee::Person(other.clone()), "")]), by_capacity(capacity));
        }
        let own = |text: &str| [entry(Grantee::Anyone, "lr"), entry(Grantee::Person(me.clone()), text)];
        assert_eq!(see(Capacity::As(Role::Member), &own("lrs")), rights("lrs"), "the nearer entry, not both");
        assert_eq!(see(Capacity::As(Role::Member), &own("lrs")[..1]), rights("lr"));
        assert_eq!(see(Capacity::As(Role::Member), &own("")), Rights::NONE);
        assert_eq!(see(Capacity::As(Role::Delegate), &own("lra")), rights("lr"), "never more than the capacity");
        assert_eq!(see(Capacity::Holder, &own("r")), rights("lra"), "never locked out");
        assert_eq!(see(Capacity::Holder, &own("r")[..1]), Rights::ALL, "anyone else");
        assert_eq!(in_folder(Capacity::Application, None, &own(""), FOLDER), Rights::ALL);
    }
}
