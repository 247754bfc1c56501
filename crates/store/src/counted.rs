//! A record sealed and opened without a disk: what `bench/instructions` counts. Not for anything else.

use crate::Result;
use crate::crypt::DataKey;
use crate::sqlite::seal_and_open;

/// A mailbox's key.
pub struct Sealer(DataKey);

impl Sealer {
    /// For tests and counts: real keys come from [`keys`](crate::keys).
    pub fn new(key: &[u8; 32]) -> Self {
        Sealer(DataKey::new(key))
    }

    /// Seals a message as the log keeps it, then opens it: octets of structure and message that came out.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal_and_open(&self, structure: &[u8], message: &[u8]) -> Result<usize> {
        seal_and_open(&self.0, structure, message)
    }
}
