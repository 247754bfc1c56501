//! The rights on a folder (RFC 4314 §2.1): a set of eleven letters.
//!
//! Invariant: a value holds only standard rights. The obsolete `c` and `d` of RFC 2086 are read as the rights they stand for
//! ([`Rights::CREATE`]; [`Rights::DELETE_FOLDER`], [`Rights::DELETE_MESSAGES`], [`Rights::EXPUNGE`]) and written beside them
//! (RFC 4314 §2.1.1).

use std::fmt;
use std::str::FromStr;

use crate::Flags;

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Rights(u16);

/// A letter that is no right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a right")]
pub struct UnknownRight;

/// Every right with its letter, in the order they are written.
const LETTERS: [(Rights, char); 11] = [
    (Rights::LOOKUP, 'l'),
    (Rights::READ, 'r'),
    (Rights::SEEN, 's'),
    (Rights::WRITE, 'w'),
    (Rights::INSERT, 'i'),
    (Rights::POST, 'p'),
    (Rights::CREATE, 'k'),
    (Rights::DELETE_FOLDER, 'x'),
    (Rights::DELETE_MESSAGES, 't'),
    (Rights::EXPUNGE, 'e'),
    (Rights::ADMINISTER, 'a'),
];

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);
    /// `l`: the folder is there at all.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: SELECT, STATUS, reading.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen`.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags but `\Seen` and `\Deleted`.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: APPEND, COPY into it.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: sending as the mailbox.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: folders under it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: DELETE and RENAME of it.
    pub const DELETE_FOLDER: Rights = Rights(1 << 7);
    /// `t`: `\Deleted`.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: SETACL, DELETEACL, GETACL, LISTRIGHTS.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Every right.
    pub const ALL: Rights = Rights((1 << 11) - 1);
    /// With any of these a folder is open for more than reading (RFC 4314 §5.2).
    pub const CHANGING: Rights =
        Rights(Self::SEEN.0 | Self::WRITE.0 | Self::INSERT.0 | Self::DELETE_MESSAGES.0 | Self::EXPUNGE.0);

    /// Whether every right of `other` is here.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some right of `other` is here.
    pub const fn intersects(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those.
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// These and not those.
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// What is in both.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them alone, in the order they are written.
    pub fn each(self) -> impl Iterator<Item = Rights> {
        LETTERS.into_iter().map(|(right, _)| right).filter(move |right| self.contains(*right))
    }

    /// The flags these rights allow to change: `\Seen` by `s`, `\Deleted` by `t`, the others and every keyword by `w`.
    pub const fn flags(self) -> Flags {
        let mut bits = 0;
        if self.contains(Self::SEEN) {
            bits |= Flags::SEEN.bits();
        }
        if self.contains(Self::DELETE_MESSAGES) {
            bits |= Flags::DELETED.bits();
        }
        if self.contains(Self::WRITE) {
            bits |= !(Flags::SEEN.bits() | Flags::DELETED.bits());
        }
        Flags::from_bits(bits)
    }
}

impl FromStr for Rights {
    type Err = UnknownRight;

    /// Letters in any order, each as often as one likes; lower case only (RFC 4314 §2.1). `d` beside one of those it stands for
    /// says nothing more: so it is written, and what is written must not give more when it is read.
    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        const DELETING: Rights = Rights::DELETE_FOLDER.with(Rights::DELETE_MESSAGES).with(Rights::EXPUNGE);
        let mut rights = Rights::NONE;
        for letter in text.chars().filter(|letter| *letter != 'd') {
            rights = rights.with(match letter {
                'c' => Rights::CREATE,
                letter => LETTERS.iter().find(|(_, l)| *l == letter).ok_or(UnknownRight)?.0,
            });
        }
        let whole = text.contains('d') && !rights.intersects(DELETING);
        Ok(if whole { rights.with(DELETING) } else { rights })
    }
}

/// The letters, with `c` and `d` for clients of RFC 2086.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deleting = Rights::DELETE_FOLDER.with(Rights::DELETE_MESSAGES).with(Rights::EXPUNGE);
        for (right, letter) in LETTERS {
            if self.contains(right) {
                write!(f, "{letter}")?;
            }
        }
        if self.contains(Rights::CREATE) {
            f.write_str("c")?;
        }
        if self.intersects(deleting) {
            f.write_str("d")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_both_ways() {
        assert_eq!("lr".parse(), Ok(Rights::LOOKUP.with(Rights::READ)));
        assert_eq!("".parse(), Ok(Rights::NONE));
        assert_eq!("ca".parse(), Ok(Rights::CREATE.with(Rights::ADMINISTER)));
        assert_eq!("d".parse::<Rights>().map(|r| r.to_string()).as_deref(), Ok("xted"));
        assert_eq!(Rights::ALL.to_string(), "lrswipkxteacd");
        assert_eq!(Rights::ALL.to_string().parse(), Ok(Rights::ALL));
        for unknown in ["L", "0", "lr ", "y", "é"] {
            assert_eq!(unknown.parse::<Rights>(), Err(UnknownRight));
        }
        assert_eq!(Rights::ALL.each().count(), 11);
        // Nothing grows by being written and read, which the store does.
        for bits in 0..=Rights::ALL.0 {
            assert_eq!(Rights(bits).to_string().parse(), Ok(Rights(bits)));
        }
        assert_eq!("lrd".parse::<Rights>(), "lrxte".parse());
        assert_eq!("lred".parse::<Rights>(), "lre".parse());
    }

    #[test]
    fn flags_by_right() {
        let keyword = Flags::keyword(3).expect("there are that many");
        assert!(Rights::WRITE.flags().contains(keyword.with(Flags::ANSWERED)));
        assert!(!Rights::WRITE.flags().contains(Flags::SEEN) && !Rights::WRITE.flags().contains(Flags::DELETED));
        assert_eq!(Rights::SEEN.flags(), Flags::SEEN);
        assert_eq!(Rights::DELETE_MESSAGES.flags(), Flags::DELETED);
        assert!(Rights::READ.flags().is_empty());
    }
}
