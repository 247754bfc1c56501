//! The last good copy on disk: written whole or not at all, read with the list's own limit.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use super::MAX_DOCUMENT;

/// Puts `document` at `path`: synced before it takes the place of the former copy, and the folder after.
pub(super) fn write(path: &Path, document: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = path.with_extension("part");
    let mut file = File::create(&draft)?;
    file.write_all(document)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

/// The copy and when it was written; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<(Vec<u8>, SystemTime)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let written = file.metadata()?.modified()?;
    let mut document = Vec::new();
    // One octet more than the limit, so that a longer file is refused for its length rather than cut.
    file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut document)?;
    Ok(Some((document, written)))
}
