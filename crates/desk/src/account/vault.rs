//! Secrets of second factors at rest: AES-256-GCM under a key that is not in the database.
//!
//! Invariants: each sealed secret has a nonce of its own and is bound to its account, so that a row copied to another account opens nothing; the
//! key is made once, readable by its owner only, and is never made anew while there is something that it must open.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::Zeroizing;

use super::secret::random;
use super::totp::SECRET;
use crate::db::{AccountId, Db, Scope};
use crate::error::Broken;

/// Where the key may stand instead of a file: 64 hexadecimal digits.
pub const VARIABLE: &str = "VAGUEMESTRE_CONTROL_KEY";
/// Its file in the application's folder.
pub const FILE: &str = "second-factors.key";

const KEY: usize = 32;
/// The nonce of GCM (NIST SP 800-38D §5.2.1.1): random, for the few thousand secrets that one key ever seals.
const NONCE: usize = 12;
const TAG: usize = 16;
/// What a sealed secret begins with.
const VERSION: u8 = 1;
const SEALED: usize = 1 + NONCE + SECRET + TAG;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file or the variable holds something else.
    #[error("{0} does not hold a key: 64 hexadecimal digits are expected")]
    Malformed(String),
    /// There are sealed secrets and no key.
    #[error("{0} is missing, and second factors were sealed with it: put it back, from where it was saved")]
    Missing(PathBuf),
    /// They were sealed with another.
    #[error("{0} is not the key with which the second factors of this database were sealed")]
    Other(String),
    /// A secret that was changed, or that is another account's.
    #[error("the second factor of account {} does not open", .0.0)]
    Changed(AccountId),
}

/// The key. Never printed.
pub struct Vault(Zeroizing<[u8; KEY]>);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// What binds a secret to its account.
fn bound(account: AccountId) -> String {
    format!("vaguemestre/controle/facteur/{VERSION}/{}", account.0)
}

impl Vault {
    /// The key of the variable [`VARIABLE`], else of the file, made when nothing was ever sealed; then seals what an earlier version left in clear.
    ///
    /// # Errors
    /// [`Broken`]: no key, or not the one.
    pub async fn open(path: &Path, db: &Db) -> Result<Vault, Broken> {
        let kept: Vec<(AccountId, Vec<u8>)> = db
            .accounts(Scope::All)
            .await?
            .into_iter()
            .filter_map(|account| Some((account.id, account.totp?)))
            .collect();
        let is_used = kept.iter().any(|(_, kept)| is_sealed(kept));
        let (vault, name) = match std::env::var(VARIABLE) {
            Ok(text) => (Vault::read(&text, VARIABLE)?, VARIABLE.to_owned()),
            Err(_) => {
                let path = path.to_owned();
                let name = path.display().to_string();
                let opened = tokio::task::spawn_blocking(move || Vault::of_file(&path, is_used));
                (opened.await.map_err(|_| Broken::Task)??, name)
            }
        };
        for (account, kept) in kept {
            if is_sealed(&kept) {
                vault.unseal(account, &kept).map_err(|_| VaultError::Other(name.clone()))?;
            } else {
                let sealed = vault.seal(account, &kept)?;
                db.replace_totp(account, kept, sealed).await?;
            }
        }
        Ok(vault)
    }

    fn read(text: &str, name: &str) -> Result<Vault, VaultError> {
        let text = text.trim().as_bytes();
        let malformed = || VaultError::Malformed(name.to_owned());
        if text.len() != 2 * KEY {
            return Err(malformed());
        }
        let mut key = Zeroizing::new([0; KEY]);
        for (octet, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else { return Err(malformed()) };
            // Two digits of 16: below 256.
            *octet = (high << 4 | low) as u8;
        }
        Ok(Vault(key))
    }

    fn of_file(path: &Path, is_used: bool) -> Result<Vault, Broken> {
        let failed = |error| Broken::File(path.to_owned(), error);
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => {
                let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
                if mode & 0o077 != 0 {
                    tracing::warn!(
                        "{}: others than its owner may read this key (mode {:o})",
                        path.display(),
                        mode & 0o777
                    );
                }
                Ok(Vault::read(&text, &path.display().to_string())?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if is_used {
                    return Err(VaultError::Missing(path.to_owned()).into());
                }
                let key = Zeroizing::new(random::<KEY>()?);
                let text = Zeroizing::new(key.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
                // Whole or not at all: a key cut short by a power cut would be nobody's.
                let draft = path.with_extension("part");
                let written = (|| {
                    let _ = std::fs::remove_file(&draft);
                    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
                    file.write_all(text.as_bytes())?;
                    file.sync_all()?;
                    std::fs::rename(&draft, path)?;
                    std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
                })();
                written.map_err(failed)?;
                Ok(Vault(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Seals the secret of an account.
    ///
    /// # Errors
    /// OpenSSL.
    pub fn seal(&self, account: AccountId, secret: &[u8]) -> Result<Vec<u8>, Broken> {
        let nonce = random::<NONCE>()?;
        let mut tag = [0; TAG];
        let bound = bound(account);
        let hidden = encrypt_aead(Cipher::aes_256_gcm(), &*self.0, Some(&nonce), bound.as_bytes(), secret, &mut tag)?;
        Ok([&[VERSION][..], &nonce, &hidden, &tag].concat())
    }

    /// Opens what was sealed for that account.
    ///
    /// # Errors
    /// [`VaultError::Changed`].
    pub fn unseal(&self, account: AccountId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let changed = || VaultError::Changed(account);
        if !is_sealed(sealed) {
            return Err(changed());
        }
        let (nonce, rest) = sealed[1..].split_at(NONCE);
        let (hidden, tag) = rest.split_at(rest.len() - TAG);
        let bound = bound(account);
        decrypt_aead(Cipher::aes_256_gcm(), &*self.0, Some(nonce), bound.as_bytes(), hidden, tag)
            .map(Zeroizing::new)
            .map_err(|_| changed())
    }
}

/// Told by its length from a secret in clear.
fn is_sealed(kept: &[u8]) -> bool {
    kept.len() == SEALED && kept[0] == VERSION
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::role::Role;
    use crate::db::NewAccount;

    #[test]
    fn sealed_for_one_account() {
        let vault = Vault::read(&"ab".repeat(KEY), "test").expect("a key");
        let secret = [7; SECRET];
        let sealed = vault.seal(AccountId(1), &secret).expect("sealed");
        assert_ne!(sealed, vault.seal(AccountId(1), &secret).expect("sealed"), "a nonce of its own");
        assert_eq!(vault.unseal(AccountId(1), &sealed).expect("opened").as_slice(), secret);
        assert!(!sealed.windows(4).any(|window| window == [7; 4]));
        assert!(vault.unseal(AccountId(2), &sealed).is_err(), "a row copied to another account");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(vault.unseal(AccountId(1), &changed).is_err(), "octet {place}");
        }
        assert!(vault.unseal(AccountId(1), &secret).is_err());
        let other = Vault::read(&"cd".repeat(KEY), "test").expect("a key");
        assert!(other.unseal(AccountId(1), &sealed).is_err());
        for malformed in ["", "zz", &"g".repeat(2 * KEY), &"ab".repeat(KEY + 1), "é"] {
            assert!(Vault::read(malformed, "test").is_err(), "{malformed}");
        }
        assert_eq!(format!("{vault:?}"), "Vault(…)");
    }

    #[tokio::test]
    async fn made_once_and_what_was_in_clear_is_sealed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let db = Db::in_memory().expect("memory");
        let new = NewAccount {
            organisation: None,
            login: "chef".to_owned(),
            role: Role::Administrateur,
            password: String::new(),
        };
        let id = db.add_account(new, 1).await.expect("kept").expect("new");
        // As the version before kept it.
        db.set_totp(id, Some(vec![9; SECRET]), Vec::new()).await.expect("kept");
        let vault = Vault::open(&path, &db).await.expect("a key");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let kept = db.account_named("chef").await.expect("read").and_then(|account| account.totp).expect("a factor");
        assert!(is_sealed(&kept));
        assert_eq!(vault.unseal(id, &kept).expect("opened").as_slice(), [9; SECRET]);
        // The same key at the next start, and nothing changes.
        Vault::open(&path, &db).await.expect("the key of before");
        assert_eq!(db.account_named("chef").await.expect("read").and_then(|account| account.totp), Some(kept));
        let right = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, "ab".repeat(KEY)).expect("written");
        assert!(matches!(Vault::open(&path, &db).await, Err(Broken::Vault(VaultError::Other(_)))));
        std::fs::write(&path, "ab").expect("written");
        assert!(matches!(Vault::open(&path, &db).await, Err(Broken::Vault(VaultError::Malformed(_)))));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(Vault::open(&path, &db).await, Err(Broken::Vault(VaultError::Missing(_)))));
        assert!(!path.exists(), "no new key beside secrets that it cannot open");
        std::fs::write(&path, right).expect("written");
        Vault::open(&path, &db).await.expect("put back");
    }
}
