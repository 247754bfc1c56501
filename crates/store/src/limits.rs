//! Limits every engine keeps.

/// Folders in one mailbox: bounds LIST and every walk over the tree; the largest trees seen in practice have a few hundred.
pub const MAX_FOLDERS: usize = 1000;

/// Links to other messages kept of one (its own Message-ID, In-Reply-To, References): a reply names its whole conversation, and
/// the last few and the first are enough to find it; bounds what one message adds to the table of its mailbox.
pub const MAX_LINKS: usize = 16;

/// Messages marked, moved or expunged in one commit; more of them are done in several, each of them whole, so that what is
/// delivered meanwhile waits for one only (docs/adr/0006 has the figures). A copy is one commit however large (RFC 9051 §6.4.7).
pub const BULK: usize = 50_000;

/// The largest message, in octets: RFC822.SIZE and a view's entry have 32 bits. Servers set lower ones.
pub const MAX_MESSAGE: u64 = u32::MAX as u64;
