//! What an import has done already: the keys of its letters, appended to a file after each commit.
//!
//! A key that was not written because of a crash does no harm: the letter comes again and the mailbox recognises it. So nothing is
//! synced here.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Key, Result, TransferError};

/// The first octets of the file.
const MAGIC: &[u8; 16] = b"vaguemestre imp\n";

/// The keys done.
pub struct Journal {
    path: PathBuf,
    file: File,
    done: HashSet<Key>,
}

impl Journal {
    /// Opens or begins a journal.
    ///
    /// # Errors
    /// [`TransferError::File`], also when the file is something else.
    pub fn open(path: &Path) -> Result<Self> {
        let text = |e: std::io::Error| TransferError::File(path.display().to_string(), e);
        let mut file = File::options().create(true).append(true).read(true).mode(0o600).open(path).map_err(text)?;
        let octets = std::fs::read(path).map_err(text)?;
        if octets.is_empty() {
            file.write_all(MAGIC).map_err(text)?;
        } else if !octets.starts_with(MAGIC) {
            return Err(text(std::io::Error::new(ErrorKind::InvalidData, "not the journal of an import")));
        }
        let keys = octets.get(MAGIC.len()..).unwrap_or_default();
        let (whole, cut) = keys.as_chunks::<16>();
        if !cut.is_empty() {
            // The end of a write that a crash cut.
            file.set_len((octets.len() - cut.len()) as u64).map_err(text)?;
        }
        Ok(Journal { path: path.into(), file, done: whole.iter().map(|key| Key(*key)).collect() })
    }

    /// Whether a letter is done.
    pub fn has(&self, key: &Key) -> bool {
        self.done.contains(key)
    }

    /// How many are.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Notes letters as done.
    ///
    /// # Errors
    /// [`TransferError::File`].
    pub fn note(&mut self, keys: &[Key]) -> Result<()> {
        let octets: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
        self.file.write_all(&octets).map_err(|e| TransferError::File(self.path.display().to_string(), e))?;
        self.done.extend(keys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_again_and_a_cut_end_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal");
        let keys: Vec<Key> = (0..3).map(|n| Key::of("s", "f", &n.to_string())).collect();
        let mut journal = Journal::open(&path).expect("begun");
        journal.note(&keys[..2]).expect("noted");
        drop(journal);
        File::options().append(true).open(&path).expect("there").write_all(b"cut").expect("written");
        let mut journal = Journal::open(&path).expect("read");
        assert_eq!(journal.len(), 2);
        assert!(journal.has(&keys[0]) && !journal.has(&keys[2]));
        journal.note(&keys[2..]).expect("noted");
        drop(journal);
        assert!(Journal::open(&path).expect("read").has(&keys[2]));
        std::fs::write(&path, b"something else, longer").expect("written");
        assert!(Journal::open(&path).is_err());
    }
}
