//! What a program knows of a folder between two synchronisations, and what changed.
//!
//! Small and serialisable: 16 octets a message, so that a BAL of 50,000 messages costs under a megabyte. `Known` moves forward
//! only when a synchronisation succeeded whole.

use std::sync::Arc;

use mail::{Flags, Keywords};
use serde::{Deserialize, Serialize};

/// The state of a folder as it was last seen. Begin with the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Known {
    /// UIDVALIDITY; 0 before the first synchronisation.
    pub(crate) validity: u32,
    /// HIGHESTMODSEQ, 0 where the server does not count.
    pub(crate) modseq: u64,
    /// UIDNEXT.
    pub(crate) next: u32,
    /// Messages, ascending by UID.
    pub(crate) messages: Vec<(u32, Flags)>,
    /// Names of the keyword bits.
    pub(crate) keywords: Keywords,
}

impl Known {
    /// UIDVALIDITY of the folder; 0 before the first synchronisation. UIDs mean nothing under another.
    #[must_use]
    pub fn validity(&self) -> u32 {
        self.validity
    }

    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The UIDs, ascending.
    pub fn uids(&self) -> impl Iterator<Item = u32> + '_ {
        self.messages.iter().map(|(uid, _)| *uid)
    }

    /// The flags of a message; none when it is not known. Keywords beyond the 56th of a folder are not kept.
    #[must_use]
    pub fn flags(&self, uid: u32) -> Option<Vec<String>> {
        let place = self.messages.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        Some(self.messages[place].1.names(&self.keywords).map(str::to_owned).collect())
    }

    /// The flags as bits, new keywords learnt.
    pub(crate) fn learn<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Flags {
        let mut flags = Flags::NONE;
        for name in names {
            let known = Flags::system(name).or_else(|| match name.starts_with('\\') {
                true => None, // \Recent is of the session, not of the message
                false => self.keywords.intern(name),
            });
            flags = flags.with(known.unwrap_or(Flags::NONE));
        }
        flags
    }
}

/// What changed since [`Known`]. The host program takes them in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The folder is another one (UIDVALIDITY): whatever was kept of it must be thrown away. Everything is in `arrived`.
    pub reset: bool,
    /// Messages that are gone, ascending.
    pub vanished: Vec<u32>,
    /// Messages that are new, ascending. Their flags are in [`Known`]; [`Session::list`](super::Session::list) tells the rest.
    pub arrived: Vec<u32>,
    /// Messages whose flags changed, ascending; which now are is in [`Known`].
    pub marked: Vec<u32>,
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.reset && self.vanished.is_empty() && self.arrived.is_empty() && self.marked.is_empty()
    }
}

/// As it is kept: columns, so that text forms stay short.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    validity: u32,
    modseq: u64,
    next: u32,
    uids: Vec<u32>,
    flags: Vec<u64>,
    keywords: Vec<String>,
}

impl From<Known> for Kept {
    fn from(known: Known) -> Self {
        Kept {
            validity: known.validity,
            modseq: known.modseq,
            next: known.next,
            uids: known.messages.iter().map(|(uid, _)| *uid).collect(),
            flags: known.messages.iter().map(|(_, flags)| flags.bits()).collect(),
            keywords: known.keywords.names().iter().map(|name| name.to_string()).collect(),
        }
    }
}

impl From<Kept> for Known {
    /// A file that was changed by others can only cost a full synchronisation.
    fn from(kept: Kept) -> Self {
        let sound = kept.uids.len() == kept.flags.len() && kept.uids.windows(2).all(|pair| pair[0] < pair[1]);
        if !sound {
            return Known::default();
        }
        Known {
            validity: kept.validity,
            modseq: kept.modseq,
            next: kept.next,
            messages: kept.uids.into_iter().zip(kept.flags.into_iter().map(Flags::from_bits)).collect(),
            keywords: Keywords::new(kept.keywords.into_iter().map(Arc::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_read_again() {
        let mut known = Known { validity: 3, modseq: 9, next: 12, ..Known::default() };
        let flags = known.learn(["\\Seen", "\\Recent", "$Integrated"]);
        known.messages = vec![(4, Flags::NONE), (11, flags)];
        let text = serde_json::to_string(&known).expect("plain numbers");
        let again: Known = serde_json::from_str(&text).expect("what was written");
        assert_eq!(again, known);
        assert_eq!(again.flags(11).expect("known"), ["\\Seen", "$Integrated"]);
        assert_eq!(again.flags(5), None);
        let spoilt = text.replace("[4,11]", "[11,4]");
        assert_eq!(serde_json::from_str::<Known>(&spoilt).expect("JSON"), Known::default());
    }
}
