//! Limits every engine keeps.

/// Folders in one mailbox: bounds LIST and every walk over the tree; the largest trees seen in practice have a few hundred.
pub const MAX_FOLDERS: usize = 1000;

/// The largest message, in octets: RFC822.SIZE and a view's entry have 32 bits. Servers set lower ones.
pub const MAX_MESSAGE: u64 = u32::MAX as u64;
