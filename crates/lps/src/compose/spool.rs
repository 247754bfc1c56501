//! Where a message waits between being made and being sent: in memory while small, then in a temporary file without a name,
//! readable by its owner only, which disappears with the last handle, even when the process is killed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::sha::Sha256;

/// Messages up to this stay in memory, in octets: most of those that carry one document, which then never touch a disk.
const IN_MEMORY: usize = 512 * 1024;

/// The octets of a message. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    place: Place,
    size: u64,
    digest: [u8; 32],
}

#[derive(Clone)]
enum Place {
    Memory(Arc<[u8]>),
    /// One position for all readers: each takes the lock, seeks and reads.
    File(Arc<Mutex<File>>),
}

impl Spool {
    /// Octets that are at hand.
    #[must_use]
    pub fn of(octets: Vec<u8>) -> Self {
        let digest = openssl::sha::sha256(&octets);
        Self { size: octets.len() as u64, digest, place: Place::Memory(octets.into()) }
    }

    /// How many octets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of the octets.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The octets, when they are in memory.
    pub(super) fn in_memory(&self) -> Option<&Arc<[u8]>> {
        match &self.place {
            Place::Memory(octets) => Some(octets),
            Place::File(_) => None,
        }
    }

    /// Reads at a place; 0 at the end. Blocks for a disk.
    ///
    /// # Errors
    /// The file's.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        match &self.place {
            Place::Memory(octets) => {
                let rest = usize::try_from(at).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Place::File(file) => {
                // Whoever panicked with the lock left a position, which is set anew.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read(into)
            }
        }
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
        let place = match self.file.take() {
            None => Place::Memory(std::mem::take(&mut self.memory).into()),
            Some(mut file) => {
                file.write_all(&self.memory)?;
                Place::File(Arc::new(Mutex::new(file)))
            }
        };
        Ok(Spool { place, size: self.size, digest: self.digest.finish() })
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
            #[cfg(unix)]
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
        let room = if self.file.is_some() { 64 * 1024 } else { IN_MEMORY };
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
        for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 17] {
            let (spool, wanted) = (filled(size), pattern(size));
            assert_eq!(spool.size(), size as u64);
            assert_eq!(spool.digest(), &openssl::sha::sha256(&wanted));
            assert_eq!(spool.in_memory().is_some(), size < IN_MEMORY + 1);
            let (mut read, mut block) = (Vec::new(), [0; 10_000]);
            loop {
                let count = spool.read_at(read.len() as u64, &mut block).expect("read");
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&block[..count]);
            }
            assert!(read == wanted, "{size}");
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
    #[cfg(unix)]
    fn the_file_has_no_name_and_is_its_owners() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = SpoolWriter::new(Some(folder.path().to_owned()), u64::MAX);
        writer.write_all(&vec![b'x'; 2 * IN_MEMORY]).expect("written");
        let spool = writer.finish().expect("finished");
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
        let Place::File(file) = &spool.place else { panic!("in memory") };
        let about = file.lock().expect("lock").metadata().expect("metadata");
        assert_eq!((about.mode() & 0o777, about.nlink()), (0o600, 0));
    }
}
