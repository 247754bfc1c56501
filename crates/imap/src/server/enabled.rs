//! What the client has enabled (RFC 5161): it changes what responses look like for the rest of the session.
//!
//! Kept twice: by the session, and by the folder it has open ([`Selected::enabled`](super::selected::Selected)), so that
//! commands that only see the folder know. `Session::enable` and `Session::notified` are the places that change either.

use crate::command::{Command, FetchItem, Numbers, SearchKey, StatusItem};

/// A set of what can be enabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Enabled(u8);

impl Enabled {
    /// MODSEQ in every FETCH response (RFC 7162 §3.1).
    pub(super) const CONDSTORE: Enabled = Enabled(1);
    /// VANISHED instead of EXPUNGE (RFC 7162 §3.2); CONDSTORE with it.
    pub(super) const QRESYNC: Enabled = Enabled(1 << 1 | 1);
    /// UTF-8 in names and strings (RFC 6855).
    pub(super) const UTF8: Enabled = Enabled(1 << 2);
    /// IMAP4rev2 (RFC 9051); UTF-8 with it.
    pub(super) const REV2: Enabled = Enabled(1 << 3 | 1 << 2);
    /// UIDs instead of sequence numbers everywhere (RFC 9586).
    pub(super) const UIDONLY: Enabled = Enabled(1 << 4);
    /// Changes of flags told unasked name the UID: NOTIFY with FlagChange (RFC 5465 §5.1), as long as it lasts.
    pub(super) const FLAG_CHANGE: Enabled = Enabled(1 << 5);

    /// Whether all of `other` is enabled.
    pub(super) fn has(self, other: Enabled) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those too.
    pub(super) fn with(self, other: Enabled) -> Enabled {
        Enabled(self.0 | other.0)
    }

    /// Without those.
    pub(super) fn without(self, other: Enabled) -> Enabled {
        Enabled(self.0 & !other.0)
    }

    /// What a command enables by being sent (RFC 7162 §3.1: the "CONDSTORE enabling commands"); SELECT does so itself, once
    /// the folder that was open is closed.
    pub(super) fn by(command: &Command) -> Enabled {
        let condstore = match command {
            Command::Status { items, .. } => items.contains(&StatusItem::HighestModSeq),
            Command::Fetch { items, modifiers, .. } => {
                items.contains(&FetchItem::ModSeq) || modifiers.changed_since.is_some()
            }
            Command::Store { modifiers, .. } => modifiers.unchanged_since.is_some(),
            Command::Search { key, .. } | Command::Sort { key, .. } | Command::Thread { key, .. } => by_modseq(key),
            _ => false,
        };
        if condstore { Enabled::CONDSTORE } else { Enabled::default() }
    }
}

/// Whether a command names messages by their numbers, or is answered by such numbers (RFC 9586 §3.3).
pub(super) fn uses_numbers(command: &Command) -> bool {
    match command {
        Command::Select { modifiers, .. } => modifiers.qresync.as_ref().is_some_and(|r| r.matched.is_some()),
        Command::Search { numbers, key, .. }
        | Command::Sort { numbers, key, .. }
        | Command::Thread { numbers, key, .. } => *numbers == Numbers::Sequence || by_number(key),
        Command::Fetch { numbers, .. }
        | Command::Store { numbers, .. }
        | Command::Replace { numbers, .. }
        | Command::Copy { numbers, .. }
        | Command::Move { numbers, .. } => *numbers == Numbers::Sequence,
        _ => false,
    }
}

/// Whether a charset is named by a client that enabled UTF-8 (RFC 6855 §3); IMAP4rev2 lets it be named.
pub(super) fn double_charset(enabled: Enabled, command: &Command) -> bool {
    let named = matches!(command, Command::Search { charset: Some(_), .. });
    named && enabled.has(Enabled::UTF8) && !enabled.has(Enabled::REV2)
}

/// Whether a sequence number is sought. The parser bounds the depth.
fn by_number(key: &SearchKey) -> bool {
    match key {
        SearchKey::Sequence(_) => true,
        SearchKey::And(keys) => keys.iter().any(by_number),
        SearchKey::Or(one, other) => by_number(one) || by_number(other),
        SearchKey::Not(key) => by_number(key),
        _ => false,
    }
}

/// Whether MODSEQ is sought. The parser bounds the depth.
pub(super) fn by_modseq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(by_modseq),
        SearchKey::Or(one, other) => by_modseq(one) || by_modseq(other),
        SearchKey::Not(key) => by_modseq(key),
        _ => false,
    }
}
