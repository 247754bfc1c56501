//! The file of a journal: lines appended and synced.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Event, JournalError};

/// Longest line read, in octets: the longest Message-IDs leave it under 3000.
const MAX_LINE: usize = 64 * 1024;

pub(super) struct File {
    path: PathBuf,
    /// Locked as long as it is open; of its own, since the journal's file is replaced at times.
    _lock: fs::File,
    file: fs::File,
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> JournalError {
    move |source| JournalError::Io { what, source }
}

impl File {
    /// Opens the file and reads its events.
    pub(super) fn open(path: &Path) -> Result<(File, Vec<Event>), JournalError> {
        let opening = failed("opening it");
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock = private().truncate(false).open(path.with_file_name(name)).map_err(&opening)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::InUse),
            Err(fs::TryLockError::Error(error)) => return Err(opening(error)),
        }
        let new = !path.exists();
        let mut file = private().truncate(false).open(path).map_err(&opening)?;
        if new {
            sync_folder(path).map_err(&opening)?;
        }
        let (events, end) = read(&file)?;
        // What a crash cut off was never acknowledged.
        file.set_len(end).map_err(&opening)?;
        file.seek(SeekFrom::Start(end)).map_err(&opening)?;
        Ok((File { path: path.to_owned(), _lock: lock, file }, events))
    }

    /// Writes a line and waits for the disk.
    pub(super) fn append(&mut self, event: &Event) -> Result<(), JournalError> {
        let writing = failed("writing it");
        self.file.write_all(&line(event)?).map_err(&writing)?;
        self.file.sync_data().map_err(&writing)
    }

    /// Puts a file of these events in the place of this one.
    pub(super) fn replace(&mut self, events: &[Event]) -> Result<(), JournalError> {
        let rewriting = failed("rewriting it");
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = self.path.with_file_name(name);
        let file = private().truncate(true).open(&temporary).map_err(&rewriting)?;
        let mut out = io::BufWriter::new(file);
        for event in events {
            out.write_all(&line(event)?).map_err(&rewriting)?;
        }
        let file = out.into_inner().map_err(|error| rewriting(error.into_error()))?;
        file.sync_all().map_err(&rewriting)?;
        fs::rename(&temporary, &self.path).map_err(&rewriting)?;
        sync_folder(&self.path).map_err(&rewriting)?;
        self.file = file;
        Ok(())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

fn line(event: &Event) -> Result<Vec<u8>, JournalError> {
    let mut line = serde_json::to_vec(event).map_err(|error| failed("writing it")(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

/// The events, and where the last whole line ends.
fn read(file: &fs::File) -> Result<(Vec<Event>, u64), JournalError> {
    let mut reader = BufReader::new(file);
    let (mut events, mut end) = (Vec::new(), 0u64);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let count =
            io::Read::take(&mut reader, MAX_LINE as u64).read_until(b'\n', &mut line).map_err(failed("reading it"))?;
        if !line.ends_with(b"\n") {
            if count == MAX_LINE {
                return Err(JournalError::Line(number));
            }
            break;
        }
        // A whole line of zeros or rubbish is no torn write: the line end comes last.
        events.push(serde_json::from_slice(&line).map_err(|_| JournalError::Line(number))?);
        end += count as u64;
    }
    Ok((events, end))
}
