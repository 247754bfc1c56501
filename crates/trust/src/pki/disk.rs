//! Keeping the authority, and what it gave, in a folder: PEM files, keys readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use openssl::pkey::PKey;
use openssl::x509::X509;

use super::authority::{CaPair, State};
use super::crl::{Channel, Revoked};
use super::{Ca, Issued, PkiError, TestAuthority};
use crate::clock::SharedClock;
use crate::tls::{TlsError, unix};

const REVOKED: &str = "revoked.txt";

impl TestAuthority {
    /// Writes everything to `dir` (made if need be): `ca.pem` (both certificates), `root.pem`, `root.key`, `organizations.pem`,
    /// `organizations.key`, `revoked.txt`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), PkiError> {
        fs::create_dir_all(dir).map_err(|source| PkiError::File { path: dir.to_owned(), source })?;
        write(&dir.join("ca.pem"), &self.ca_pem()?, 0o644)?;
        for (name, pair) in [("root", &self.root), ("organizations", &self.organizations)] {
            write(&dir.join(format!("{name}.pem")), &pair.certificate.to_pem()?, 0o644)?;
            write(&dir.join(format!("{name}.key")), &pair.key.private_key_to_pem_pkcs8()?, 0o600)?;
        }
        let state = self.state();
        let mut text = format!("number {}\n", state.crl_number);
        for revoked in &state.revoked {
            let issuer = match revoked.issuer {
                Ca::Root => "root",
                Ca::Organizations => "organizations",
            };
            let told = match revoked.told {
                Channel::Both => "",
                Channel::List => " list",
                Channel::Ocsp => " ocsp",
            };
            text.push_str(&format!("{issuer} {} {}{told}\n", revoked.serial, unix(revoked.since)));
        }
        write(&dir.join(REVOKED), text.as_bytes(), 0o644)
    }

    /// Reads what [`TestAuthority::save`] wrote.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub fn load(dir: &Path, base_url: &str, clock: SharedClock) -> Result<TestAuthority, PkiError> {
        let root = load_pair(dir, "root")?;
        let organizations = load_pair(dir, "organizations")?;
        let state = Mutex::new(load_state(&dir.join(REVOKED))?);
        Ok(TestAuthority { root, organizations, base_url: base_url.to_owned(), clock, state })
    }
}

impl Issued {
    /// Writes `NAME.pem` (certificate then intermediate) and `NAME.key` to `dir`; gives both paths.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, dir: &Path, name: &str) -> Result<(PathBuf, PathBuf), PkiError> {
        let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        fs::create_dir_all(dir).map_err(|source| PkiError::File { path: dir.to_owned(), source })?;
        write(&certificate, &self.chain_pem()?, 0o644)?;
        write(&key, &self.key_pem()?, 0o600)?;
        Ok((certificate, key))
    }
}

fn load_pair(dir: &Path, name: &str) -> Result<CaPair, PkiError> {
    let certificate = X509::from_pem(&read(&dir.join(format!("{name}.pem")))?)?;
    let key = PKey::private_key_from_pem(&read(&dir.join(format!("{name}.key")))?)?;
    if !certificate.public_key()?.public_eq(&key) {
        return Err(TlsError::KeyMismatch.into());
    }
    Ok(CaPair { certificate, key })
}

fn load_state(path: &Path) -> Result<State, PkiError> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let mut state = State::default();
    for (at, line) in text.lines().enumerate() {
        let wrong = || PkiError::RevokedList { path: path.to_owned(), line: at + 1 };
        let fields: Vec<&str> = line.split(' ').collect();
        match fields.as_slice() {
            ["number", number] => state.crl_number = number.parse().map_err(|_| wrong())?,
            [issuer, serial, since, told @ ..] => {
                let told = match told {
                    [] => Channel::Both,
                    ["list"] => Channel::List,
                    ["ocsp"] => Channel::Ocsp,
                    _ => return Err(wrong()),
                };
                let issuer = match *issuer {
                    "root" => Ca::Root,
                    "organizations" => Ca::Organizations,
                    _ => return Err(wrong()),
                };
                let since: u32 = since.parse().map_err(|_| wrong())?;
                let since = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(since));
                state.revoked.push(Revoked { issuer, serial: (*serial).to_owned(), since, told });
            }
            _ => return Err(wrong()),
        }
    }
    Ok(state)
}

fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    fs::read(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

/// Writes a file with this mode from its first byte on: written beside, then renamed.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let draft = path.with_extension("part");
    let written = (|| {
        let _ = fs::remove_file(&draft); // a leftover would keep its own mode
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?.write_all(bytes)?;
        fs::rename(&draft, path)
    })();
    written.map_err(|source| PkiError::File { path: path.to_owned(), source })
}
