//! Octets that may be many: in memory while they are few, in a temporary file without a name (0600, gone with the process) beyond.
//! What keeps the memory of a 25 MB mail bounded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Most octets kept in memory: most documents and their copies, without any file.
pub const MEMORY: usize = 256 * 1024;

/// Octets, read as often as wanted. A clone shares them.
#[derive(Clone)]
pub struct Content(Kept);

#[derive(Clone)]
enum Kept {
    Memory(Arc<[u8]>),
    File(Arc<File>, u64),
}

impl Content {
    /// Keeps these octets.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn of(bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() <= MEMORY {
            return Ok(Self(Kept::Memory(bytes.into())));
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        Self::of_file(file)
    }

    /// Keeps what a file holds.
    ///
    /// # Errors
    /// When its size cannot be told.
    pub fn of_file(mut file: File) -> io::Result<Self> {
        // It has no name; nor can another user open it through the process's table of files.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self(Kept::File(Arc::new(file), size)))
    }

    /// How many octets.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kept::Memory(bytes) => bytes.len() as u64,
            Kept::File(_, size) => *size,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether reading never waits for a disk.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.0, Kept::Memory(_))
    }

    /// Reads from the beginning; readers do not disturb each other.
    #[must_use]
    pub fn reader(&self) -> ContentReader {
        ContentReader { content: self.clone(), at: 0 }
    }

    /// All octets in memory.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.reader().read_to_end(&mut all)?;
        Ok(all)
    }
}

impl std::fmt::Debug for Content {
    /// The size alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} octets)", self.len())
    }
}

/// Reads a [`Content`].
#[derive(Debug, Clone)]
pub struct ContentReader {
    content: Content,
    at: u64,
}

impl Read for ContentReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &self.content.0 {
            Kept::Memory(bytes) => {
                // In memory: the size is far below what a usize holds.
                let rest = &bytes[usize::try_from(self.at).unwrap_or(bytes.len()).min(bytes.len())..];
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                count
            }
            Kept::File(file, _) => file.read_at(into, self.at)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_octets_read_back_twice() {
        for size in [0, 1, MEMORY, MEMORY + 1, 3 * MEMORY] {
            let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).expect("below 256")).collect();
            let content = Content::of(&bytes).expect("kept");
            assert_eq!(content.len(), size as u64);
            let mut other = content.reader();
            assert_eq!(content.bytes().expect("read"), bytes);
            let mut first = Vec::new();
            other.read_to_end(&mut first).expect("read");
            assert_eq!(first, bytes);
        }
    }
}
