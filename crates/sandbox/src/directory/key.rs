//! The API key: made once, kept in a file of its owner.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::SandboxError;

/// The file of the key in the directory's folder.
pub(super) const FILE: &str = "api.key";

/// Reads the key, or makes one of the shape the gateway's have.
pub(super) fn open(folder: &Path) -> Result<String, SandboxError> {
    let path = folder.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => return Err(SandboxError::damaged(&path, &"it is empty")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(SandboxError::file(&path)(error)),
    }
    let mut octets = [0; 16];
    openssl::rand::rand_bytes(&mut octets).map_err(SandboxError::setup("random numbers"))?;
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let key = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    let written = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{key}")
    });
    written.map_err(SandboxError::file(&path))?;
    Ok(key)
}
