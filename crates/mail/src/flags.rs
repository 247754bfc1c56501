//! Flags and keywords of a message, as bits.
//!
//! Invariant: a keyword's bit has a meaning only together with the [`Keywords`] table of its folder; the table only grows,
//! so a bit never changes meaning (RFC 3501 §2.3.2, RFC 9051 §2.3.2).

use std::sync::Arc;

/// System flags in the low bits, keywords of the folder from bit [`Flags::FIRST_KEYWORD`] up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Flags(u64);

impl Flags {
    /// No flag at all.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`.
    pub const ANSWERED: Flags = Flags(1 << 1);
    /// `\Flagged`.
    pub const FLAGGED: Flags = Flags(1 << 2);
    /// `\Deleted`.
    pub const DELETED: Flags = Flags(1 << 3);
    /// `\Draft`.
    pub const DRAFT: Flags = Flags(1 << 4);
    /// The first bit that stands for a keyword; bits 5 to 7 are kept for later system flags.
    pub const FIRST_KEYWORD: u32 = 8;
    /// The system flags with their IMAP names.
    pub const SYSTEM: [(Flags, &'static str); 5] = [
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::SEEN, "\\Seen"),
        (Flags::DRAFT, "\\Draft"),
    ];

    /// From the bits kept by a store.
    pub const fn from_bits(bits: u64) -> Self {
        Flags(bits)
    }

    /// The bits, for a store to keep.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The flag of keyword number `index` of the folder's table.
    ///
    /// Returns `None` when `index` is at or above [`Keywords::MAX`].
    pub fn keyword(index: usize) -> Option<Self> {
        (index < Keywords::MAX).then(|| Flags(1 << (index as u32 + Self::FIRST_KEYWORD)))
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These flags without those.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The system flag of that IMAP name (any case), e.g. `\Seen`; `\Recent` and unknown names give `None`.
    pub fn system(name: &str) -> Option<Flags> {
        Self::SYSTEM.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(f, _)| *f)
    }

    /// The IMAP names of the flags set, keywords named by `table`.
    pub fn names(self, table: &Keywords) -> impl Iterator<Item = &str> {
        let keywords = table
            .names()
            .iter()
            .enumerate()
            .filter(move |(i, _)| Flags::keyword(*i).is_some_and(|flag| self.contains(flag)));
        Self::SYSTEM
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
            .chain(keywords.map(|(_, name)| &**name))
    }
}

/// The keywords known in one folder: the place of a name is its bit. Cheap to clone.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Keywords(Arc<Vec<Arc<str>>>);

impl Keywords {
    /// How many keywords a folder can know: they are bits of one 64-bit word beside the system flags.
    pub const MAX: usize = 56;
    /// The longest keyword, in octets: more than any client uses, little enough to keep in every session.
    pub const MAX_LENGTH: usize = 128;

    /// A table with these names, in the order of their bits. Names beyond [`Keywords::MAX`] are dropped.
    pub fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Keywords(Arc::new(names.into_iter().take(Self::MAX).collect()))
    }

    /// The names in the order of their bits.
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    /// The flag of a known keyword (ASCII case-insensitive, as IMAP atoms are compared).
    pub fn find(&self, name: &str) -> Option<Flags> {
        self.0.iter().position(|n| n.eq_ignore_ascii_case(name)).and_then(Flags::keyword)
    }

    /// Whether one more keyword fits.
    pub fn has_room(&self) -> bool {
        self.0.len() < Self::MAX
    }

    /// The flag of the keyword, added to the table when it is new; `None` when the table is full or the name too long.
    pub fn intern(&mut self, name: &str) -> Option<Flags> {
        if let Some(flag) = self.find(name) {
            return Some(flag);
        }
        if !self.has_room() || name.is_empty() || name.len() > Self::MAX_LENGTH {
            return None;
        }
        Arc::make_mut(&mut self.0).push(name.into());
        Flags::keyword(self.0.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_table() {
        let mut table = Keywords::default();
        let junk = table.intern("$Junk").expect("room for one");
        let done = table.intern("Traité").expect("room for two");
        assert_eq!(table.intern("$JUNK"), Some(junk));
        let flags = Flags::SEEN.with(done);
        assert_eq!(flags.names(&table).collect::<Vec<_>>(), ["\\Seen", "Traité"]);
        assert_eq!(Flags::system("\\sEEN"), Some(Flags::SEEN));
        assert_eq!(Flags::system("\\Recent"), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Keywords::default();
        for i in 0..Keywords::MAX {
            assert!(table.intern(&format!("k{i}")).is_some());
        }
        assert_eq!(table.intern("one-too-many"), None);
        assert!(table.find("k55").is_some_and(|f| f.bits() == 1 << 63));
    }
}
