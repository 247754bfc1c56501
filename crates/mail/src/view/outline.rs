//! What is known of a folder before its messages are read: enough for the answer to SELECT.

use super::{ModSeq, Uid, UidValidity, View};
use crate::flags::Keywords;

/// A folder at one moment, without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The epoch of the UIDs.
    pub uid_validity: UidValidity,
    /// The UID the next message will have, or more.
    pub uid_next: Uid,
    /// The highest MODSEQ of the folder, expunges included: with `uid_validity` it names the moment.
    pub highest_modseq: ModSeq,
    /// The keywords of the folder.
    pub keywords: Keywords,
    /// Number of messages.
    pub messages: usize,
}

impl Outline {
    /// The picture of that moment as it is before the first of its messages is read.
    pub fn without_messages(&self) -> View {
        View::empty(self.uid_validity, self.uid_next, self.highest_modseq, self.keywords.clone())
    }

    /// Whether a picture is of the same moment of the same folder: every change of a folder gives a MODSEQ.
    pub fn is_of(&self, view: &View) -> bool {
        self.moment() == (view.uid_validity, view.highest_modseq)
    }

    /// Whether another outline is, likewise.
    pub fn is_same_moment(&self, other: &Outline) -> bool {
        self.moment() == other.moment()
    }

    fn moment(&self) -> (UidValidity, ModSeq) {
        (self.uid_validity, self.highest_modseq)
    }
}

impl From<&View> for Outline {
    fn from(view: &View) -> Self {
        Outline {
            uid_validity: view.uid_validity,
            uid_next: view.uid_next,
            highest_modseq: view.highest_modseq,
            keywords: view.keywords.clone(),
            messages: view.len(),
        }
    }
}
