//! The commands of ACL (RFC 4314), QUOTA (RFC 9208) and METADATA (RFC 5464).

use mail::Rights;

use super::Name;
use crate::administration::{EntryName, Modification};

/// What a client asks about rights, quota and annotations.
#[derive(Clone, Debug, PartialEq)]
pub enum Administer {
    /// SETACL.
    SetAcl {
        /// Folder.
        folder: Name,
        /// Who.
        identifier: String,
        /// How.
        how: Modification,
        /// What.
        rights: Rights,
    },
    /// DELETEACL.
    DeleteAcl {
        /// Folder.
        folder: Name,
        /// Who.
        identifier: String,
    },
    /// GETACL.
    GetAcl(Name),
    /// LISTRIGHTS.
    ListRights {
        /// Folder.
        folder: Name,
        /// Who.
        identifier: String,
    },
    /// MYRIGHTS.
    MyRights(Name),
    /// GETQUOTA with the name of a quota root.
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT.
    GetQuotaRoot(Name),
    /// SETQUOTA: always refused; what it carried is dropped.
    SetQuota,
    /// GETMETADATA.
    GetMetadata {
        /// Folder; `None` is the mailbox itself (an empty name).
        of: Option<Name>,
        /// MAXSIZE: longer values are not told.
        max_size: Option<u64>,
        /// DEPTH.
        depth: Depth,
        /// Which.
        entries: Vec<EntryName>,
    },
    /// SETMETADATA.
    SetMetadata {
        /// Folder; `None` is the mailbox itself (an empty name).
        of: Option<Name>,
        /// What; `None` (NIL) removes.
        changes: Vec<(EntryName, Option<Vec<u8>>)>,
    },
}

/// DEPTH of GETMETADATA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// The entry itself.
    Zero,
    /// It and those right below.
    One,
    /// It and everything below.
    Infinity,
}

impl Administer {
    /// The command's name, for events.
    pub fn name(&self) -> &'static str {
        match self {
            Administer::SetAcl { .. } => "SETACL",
            Administer::DeleteAcl { .. } => "DELETEACL",
            Administer::GetAcl(_) => "GETACL",
            Administer::ListRights { .. } => "LISTRIGHTS",
            Administer::MyRights(_) => "MYRIGHTS",
            Administer::GetQuota(_) => "GETQUOTA",
            Administer::GetQuotaRoot(_) => "GETQUOTAROOT",
            Administer::SetQuota => "SETQUOTA",
            Administer::GetMetadata { .. } => "GETMETADATA",
            Administer::SetMetadata { .. } => "SETMETADATA",
        }
    }
}
