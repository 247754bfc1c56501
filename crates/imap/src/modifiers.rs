//! The lists `(…)` that may follow SELECT, FETCH and STORE (RFC 4466): one field for each modifier served.
//!
//! All are empty by default, which is the command of RFC 3501.

use mail::sequence::SequenceSet;
use mail::{ModSeq, UidValidity};

use crate::command::Window;

/// What may follow SELECT and EXAMINE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectModifiers {
    /// `CONDSTORE` (RFC 7162 §3.1.8).
    pub condstore: bool,
    /// `QRESYNC (…)` (RFC 7162 §3.2.5).
    pub qresync: Option<Resync>,
}

/// What a client that comes back knows of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Resync {
    /// The UIDVALIDITY it knows.
    pub uid_validity: UidValidity,
    /// The MODSEQ up to which it knows everything; never 0.
    pub modseq: ModSeq,
    /// The UIDs it knows; `None`: perhaps any.
    pub known: Option<SequenceSet>,
    /// Sequence numbers and the UIDs they had, in order.
    pub matched: Option<(SequenceSet, SequenceSet)>,
}

/// What may follow FETCH.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchModifiers {
    /// `CHANGEDSINCE`: only messages whose MODSEQ is above (RFC 7162 §3.1.4.1).
    pub changed_since: Option<ModSeq>,
    /// `VANISHED`: what was expunged since too (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// `PARTIAL`: of the messages named, those within the window (RFC 9394 §3.3).
    pub partial: Option<Window>,
}

/// What may come before the flags of STORE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreModifiers {
    /// `UNCHANGEDSINCE`: only messages whose MODSEQ is not above (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}
