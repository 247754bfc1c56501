//! The data keys outside of the data folder: exported, brought back, wrapped by another master key.
//!
//! An export holds every key, wrapped, and which were destroyed. It is one file that is replaced whole: the export of today over
//! that of yesterday is what makes an erasure reach the backups, whose mail nobody can then read.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::files::{make_private, sync_folder};
use super::{Options, Sqlite, keeper, lock};
use crate::keys::{KeyKeeper, Keys, MAX_WRAPPED, SYSTEM, Slot};
use crate::{Result, StoreError};

/// What an export begins with. Then, for each key: the slot's number (8 octets), the length of the wrapped key (2; 0: destroyed), the
/// wrapped key; at the end [`END`] and the SHA-256 of everything before it.
const TITLE: &[u8; 16] = b"VAGUEMESTREKEY1\n";
const END: u64 = u64::MAX;
const ILL_FORMED: StoreError = StoreError::Damaged("the file holds no exported keys, or not all of them");
/// The longest export read: ten million mailboxes.
const MAX_EXPORT: u64 = 4 << 30;

/// What [`Sqlite::import_keys`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeysBrought {
    /// Keys that were not there.
    pub brought: u64,
    /// Keys that were there already.
    pub known: u64,
    /// Keys that were destroyed, here or where the export is from.
    pub destroyed: u64,
}

/// An export, as read.
pub(super) struct Exported {
    /// The number of a slot and its wrapped key; `None` for one that was destroyed.
    slots: Vec<(u64, Option<Vec<u8>>)>,
}

impl Exported {
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is no whole export.
    pub(super) fn read(path: &Path) -> Result<Exported> {
        let named = |e: std::io::Error| StoreError::Unusable(format!("{}: {e}", path.display()));
        if std::fs::metadata(path).map_err(named)?.len() > MAX_EXPORT {
            return Err(ILL_FORMED);
        }
        let octets = std::fs::read(path).map_err(named)?;
        let mut rest = octets.strip_prefix(TITLE.as_slice()).ok_or(ILL_FORMED)?;
        let mut slots = Vec::new();
        loop {
            let at = octets.len() - rest.len();
            let (head, after) = rest.split_first_chunk::<8>().ok_or(ILL_FORMED)?;
            let number = u64::from_be_bytes(*head);
            if number == END {
                return if after == openssl::sha::sha256(&octets[..at]) {
                    Ok(Exported { slots })
                } else {
                    Err(ILL_FORMED)
                };
            }
            let (length, after) = after.split_first_chunk::<2>().ok_or(ILL_FORMED)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_WRAPPED {
                return Err(ILL_FORMED);
            }
            let (wrapped, after) = after.split_at_checked(length).ok_or(ILL_FORMED)?;
            slots.push((number, (length > 0).then(|| wrapped.to_vec())));
            rest = after;
        }
    }

    /// Puts into their slots the keys that are not there, all or none; a key that is there, or was destroyed, stays so.
    pub(super) fn bring(&self, keys: &Keys) -> Result<KeysBrought> {
        let mut done = KeysBrought::default();
        // Nothing is written before all is known to be of use.
        for (number, wrapped) in &self.slots {
            let Some(wrapped) = wrapped else { continue };
            let here = match keys.slot(*number)? {
                Slot::Wrapped(here) => Some(here),
                _ => None,
            };
            let wrong = |_| StoreError::Unusable("the exported keys were not wrapped by this master key".into());
            let theirs = keys.open_wrapped(*number, wrapped).map_err(wrong)?;
            if let (SYSTEM, Some(here)) = (*number, here)
                && keys.open_wrapped(SYSTEM, &here)? != theirs
            {
                return Err(StoreError::Unusable("the exported keys are of another data folder".into()));
            }
        }
        for (number, wrapped) in &self.slots {
            match (keys.slot(*number)?, wrapped) {
                (Slot::Empty, Some(wrapped)) => {
                    keys.put(*number, wrapped)?;
                    done.brought += 1;
                }
                (Slot::Empty, None) => {
                    keys.bury(*number)?;
                    done.destroyed += 1;
                }
                (Slot::Wrapped(_), _) => done.known += 1,
                (Slot::Destroyed, _) => done.destroyed += 1,
            }
        }
        keys.sync()?;
        Ok(done)
    }
}

/// The keys of a data folder that has some.
fn there(store: &Path, options: Options) -> Result<Keys> {
    let folder = store.join("keys");
    if !folder.join("data.keys").try_exists()? {
        return Err(StoreError::Unusable(format!("{} has no keys", folder.display())));
    }
    Keys::open(&folder, keeper(&folder, options)?)
}

impl Sqlite {
    /// Writes all data keys of a data folder, as the master key wraps them, to a file of mode 0600, beside a server or not. A former export of
    /// that name is replaced, and overwritten as far as the disk lets us. Answers how many keys. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a key does not open, and nothing is written; [`StoreError::Io`], [`StoreError::Full`].
    pub fn export_keys(store: &Path, target: &Path, options: Options) -> Result<u64> {
        let keys = there(store, options)?;
        let mut out = TITLE.to_vec();
        let mut count = 0;
        for number in 0..keys.slots()? {
            let wrapped = match keys.slot(number)? {
                Slot::Empty => continue,
                Slot::Wrapped(wrapped) => {
                    // One that does not open would be found out when it is needed.
                    let wrong = |_| {
                        StoreError::Unusable("the keys of the data folder were not wrapped by this master key".into())
                    };
                    keys.open_wrapped(number, &wrapped).map_err(wrong)?;
                    count += 1;
                    wrapped
                }
                Slot::Destroyed => Vec::new(),
            };
            out.extend_from_slice(&number.to_be_bytes());
            // A slot's length is far below 64 KiB.
            out.extend_from_slice(&(wrapped.len() as u16).to_be_bytes());
            out.extend_from_slice(&wrapped);
        }
        let digest = openssl::sha::sha256(&out);
        out.extend_from_slice(&END.to_be_bytes());
        out.extend_from_slice(&digest);

        let former = File::options().read(true).write(true).open(target).ok();
        if former.as_ref().is_some_and(|file| !is_export(file)) {
            return Err(StoreError::Unusable(format!(
                "{} holds something else: it is not overwritten",
                target.display()
            )));
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = target.with_file_name(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&out)?;
        file.sync_all()?;
        std::fs::rename(&new, target)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder)?;
        if let Some(former) = former {
            let length = former.metadata()?.size();
            former.write_all_at(&vec![0; length.min(MAX_EXPORT) as usize], 0)?;
            former.sync_all()?;
        }
        Ok(count)
    }

    /// Brings keys of an export into a data folder that no server uses: those that are not there, all or none. A key that was
    /// destroyed stays so. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is no whole export; [`StoreError::Unusable`] when a server uses the folder, or the keys are
    /// of another folder or master key; [`StoreError::Io`].
    pub fn import_keys(store: &Path, from: &Path, options: Options) -> Result<KeysBrought> {
        let exported = Exported::read(from)?;
        let _lock = lock(store)?;
        let folder = store.join("keys");
        make_private(&folder)?;
        exported.bring(&Keys::open(&folder, keeper(&folder, options)?)?)
    }

    /// Wraps all data keys of a folder that no server uses by another master key: all or none. From then on the folder opens with
    /// that one only, and exports of before are of no use without the former one. Answers how many keys. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when a server uses the folder or the former master key is wrong; [`StoreError::Io`], [`StoreError::Full`].
    pub fn rewrap_keys(store: &Path, former: Options, new: Arc<dyn KeyKeeper>) -> Result<u64> {
        let _lock = lock(store)?;
        there(store, former)?.rewrap(&store.join("keys"), new)
    }
}

fn is_export(file: &File) -> bool {
    let mut title = [0; TITLE.len()];
    // One that was overwritten, or nothing at all, may be replaced.
    file.metadata().is_ok_and(|facts| facts.len() == 0)
        || file.read_exact_at(&mut title, 0).is_ok() && (title == *TITLE || title == [0; TITLE.len()])
}
