//! Where a message waits between being made and being sent: in memory while small, then in a temporary file without a name,
//! readable by its owner only, which disappears with the last handle, even when the process is killed.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use openssl::sha::Sha256;

use crate::content::{Content, MEMORY};

/// The octets of a message and their digest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    content: Content,
    digest: [u8; 32],
}

impl Spool {
    /// Octets whose digest is known.
    pub(crate) fn of(content: Content, digest: [u8; 32]) -> Self {
        Self { content, digest }
    }

    /// How many octets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.content.len()
    }

    /// SHA-256 of the octets.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The octets.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// Makes a [`Spool`]. Blocks for a disk.
pub struct SpoolWriter {
    memory: Vec<u8>,
    file: Option<File>,
    folder: Option<PathBuf>,
    size: u64,
    digest: Sha256,
    limit: u64,
}

impl SpoolWriter {
    /// Nothing written. Above the memory allowed, into a file of `folder`, or of the system's folder for temporary files. Writing
    /// more than `limit` octets fails with [`io::ErrorKind::FileTooLarge`].
    #[must_use]
    pub fn new(folder: Option<PathBuf>, limit: u64) -> Self {
        Self { memory: Vec::new(), file: None, folder, size: 0, digest: Sha256::new(), limit }
    }

    /// How many octets were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.size
    }

    /// All is written.
    ///
    /// # Errors
    /// The file's.
    pub fn finish(mut self) -> io::Result<Spool> {
        let content = match self.file.take() {
            None => Content::of(&self.memory)?,
            Some(mut file) => {
                file.write_all(&self.memory)?;
                Content::of_file(file)?
            }
        };
        Ok(Spool { content, digest: self.digest.finish() })
    }

    /// Puts what is held into the file.
    fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let made = match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder),
                None => tempfile::tempfile(),
            };
            let file = made?;
            // It has no name; nor can another user open it through the process's table of files.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.memory)?;
            self.memory.clear();
        }
        Ok(())
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.size + octets.len() as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // In a file, the memory is a buffer of 64 KiB: the cost of a write is spread.
        let room = if self.file.is_some() { 64 * 1024 } else { MEMORY };
        if self.memory.len() + octets.len() > room {
            self.spill()?;
        }
        self.memory.extend_from_slice(octets);
        self.digest.update(octets);
        self.size += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(size: usize) -> Spool {
        let mut writer = SpoolWriter::new(None, u64::MAX);
        for piece in pattern(size).chunks(7001) {
            writer.write_all(piece).expect("written");
        }
        writer.finish().expect("finished")
    }

    fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n / 251 + n) as u8).collect()
    }

    #[test]
    fn small_and_large_read_alike() {
        for size in [0, 1, MEMORY, MEMORY + 1, 3 * MEMORY + 17] {
            let (spool, wanted) = (filled(size), pattern(size));
            assert_eq!(spool.size(), size as u64);
            assert_eq!(spool.digest(), &openssl::sha::sha256(&wanted));
            assert_eq!(spool.content().is_in_memory(), size <= MEMORY);
            assert!(spool.content().bytes().expect("read") == wanted, "{size}");
        }
    }

    #[test]
    fn beyond_the_limit_nothing_is_written() {
        let mut writer = SpoolWriter::new(None, 10);
        writer.write_all(b"0123456789").expect("within");
        let refused = writer.write_all(b"x").expect_err("beyond");
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_file_has_no_name_and_is_its_owners() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = SpoolWriter::new(Some(folder.path().to_owned()), u64::MAX);
        writer.write_all(&vec![b'x'; 2 * MEMORY]).expect("written");
        let about = writer.file.as_ref().expect("a file").metadata().expect("metadata");
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
        assert_eq!((about.mode() & 0o777, about.nlink()), (0o600, 0));
    }
}
