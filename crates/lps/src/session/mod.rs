//! One BAL over IMAP, as a host program wants it: a session that opens itself again (ECO-REOPEN).
//!
//! Types first; the session itself stands on `imap::client`.

mod known;
mod summary;

use mail::SpecialUse;

pub use known::{Changes, Known};
pub use summary::{Correspondent, FIELDS, MAX_ADDRESSES, MAX_HEADER, MAX_NAMES, Summary};

/// A folder of the BAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its name in Unicode, levels separated by what the server separates them with.
    pub name: String,
    /// The separator of levels; none on a server without levels.
    pub separator: Option<char>,
    /// What it is for.
    pub special: Option<SpecialUse>,
    /// Whether it holds messages: a mere level of names does not.
    pub selectable: bool,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// The UID the next message will have at least.
    pub uid_next: u32,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// Octets, where the server counts them (STATUS=SIZE).
    pub size: Option<u64>,
}

/// Which messages of a folder are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// UIDs asked for; all when empty.
    pub(crate) uids: Vec<u32>,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) limit: Option<usize>,
    pub(crate) oldest: bool,
}

impl Listing {
    /// All of them, oldest first.
    #[must_use]
    pub fn all() -> Self {
        Listing { from: 1, to: u32::MAX, ..Listing::default() }
    }

    /// Those with this UID or a larger one.
    #[must_use]
    pub fn from_uid(uid: u32) -> Self {
        Listing { from: uid.max(1), ..Listing::all() }
    }

    /// Those from one UID to another, both included.
    #[must_use]
    pub fn range(from: u32, to: u32) -> Self {
        Listing { from: from.max(1), to, ..Listing::all() }
    }

    /// These; what is no longer there is left out.
    #[must_use]
    pub fn uids(uids: &[u32]) -> Self {
        let mut uids = uids.to_vec();
        uids.retain(|uid| *uid > 0);
        uids.sort_unstable();
        uids.dedup();
        // None asked for is none given, not all.
        if uids.is_empty() {
            Listing { from: 1, to: 0, ..Listing::default() }
        } else {
            Listing { uids, ..Listing::all() }
        }
    }

    /// At most so many, the most recent ones.
    #[must_use]
    pub fn last(self, limit: usize) -> Self {
        Listing { limit: Some(limit), oldest: false, ..self }
    }

    /// At most so many, the oldest ones.
    #[must_use]
    pub fn first(self, limit: usize) -> Self {
        Listing { limit: Some(limit), oldest: true, ..self }
    }
}

/// Something happened in a folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages came: their UIDs, ascending.
    Arrived(Vec<u32>),
    /// Flags changed or messages went: `Session::sync` tells which.
    Changed,
    /// The folder is another one (UIDVALIDITY): whatever was kept of it must be thrown away.
    Reset,
}
