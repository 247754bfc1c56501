//! The keys that mail is encrypted under, and what keeps them.
//!
//! Every mailbox has a data key, made with it; the outgoing queue has the system key. They lie in `keys/data.keys` of the data
//! folder, each in a slot of its own (the mailbox's number; 0 is the system's), wrapped by the operator's master key
//! ([`KeyKeeper`]). A backup does not copy `keys/`: once a slot is overwritten, what the key encrypted is unreadable wherever
//! copies of it may be, and that is how mail is erased for good.
//!
//! Invariants: a key is on disk, synced, before the commit that makes its mailbox; a destroyed key leaves a tombstone, so that
//! it is never mistaken for one not made yet; keys in memory are overwritten when they go.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::body::random_name;
use crate::crypt::{self, DataKey};
use crate::{Result, StoreError};

/// Wraps data keys: the operator's master key, or a device or service that holds it. Blocking.
pub trait KeyKeeper: Send + Sync + 'static {
    /// Encrypts a key for one context (which key it is). At most [`MAX_WRAPPED`] octets.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the keeper does not answer.
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>>;
    /// Decrypts what [`KeyKeeper::wrap`] gave for the same context.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not that; [`StoreError::Io`].
    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<[u8; 32]>>;
}

/// The longest wrapped key a slot holds: what the usual key services answer, with room.
pub const MAX_WRAPPED: usize = SLOT - SLOT_HEAD;

/// A master key in memory, from a file or the environment.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// From 64 hexadecimal digits (`openssl rand -hex 32`), with white space around them or not.
    ///
    /// # Errors
    /// [`StoreError::Unusable`].
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || StoreError::Unusable("a master key is 64 hexadecimal digits (openssl rand -hex 32)".into());
        let digits = text.trim().as_bytes();
        let mut key = Zeroizing::new([0; 32]);
        if digits.len() != 64 {
            return Err(wrong());
        }
        for (octet, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).ok_or_else(wrong);
            // Two digits are below 256.
            *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(MasterKey(key))
    }

    /// From a file that only its owner may read. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Unusable`], which names the file and not what is in it.
    pub fn from_file(path: &Path) -> Result<Self> {
        let named = |what: String| StoreError::Unusable(format!("the master key {}: {what}", path.display()));
        let file = File::open(path).map_err(|e| named(e.to_string()))?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(named("others may read it (chmod 600)".into()));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(1024).read_to_string(&mut text).map_err(|e| named(e.to_string()))?;
        Self::parse(&text).map_err(|e| named(e.to_string()))
    }

    /// From an environment variable.
    ///
    /// # Errors
    /// [`StoreError::Unusable`], which names the variable and not what is in it.
    pub fn from_environment(name: &str) -> Result<Self> {
        let text = std::env::var(name).map(Zeroizing::new);
        let text = text.map_err(|_| StoreError::Unusable(format!("the environment has no master key in {name}")))?;
        Self::parse(&text).map_err(|e| StoreError::Unusable(format!("{name}: {e}")))
    }

    /// From the file, made with a random key when it is not there. It appears whole or not at all, and once: a server and a command
    /// that start together have the same key, and a crash in the middle leaves none. Blocking.
    pub(crate) fn from_file_or_made(path: &Path) -> Result<Self> {
        if !path.exists() {
            let new = path.with_extension(format!("{}.new", random_name()?));
            let made = make_key(&new).and_then(|()| match std::fs::hard_link(&new, path) {
                // Somebody else was first.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            });
            // Whatever happened, this name has served.
            let _ = std::fs::remove_file(&new);
            made?;
            sync_parent(path)?;
        }
        Self::from_file(path)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

impl KeyKeeper for MasterKey {
    fn wrap(&self, key: &[u8; 32], context: &[u8]) -> Result<Vec<u8>> {
        crypt::wrap(&self.0, context, key)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        crypt::unwrap(&self.0, context, wrapped)
    }
}

/// Writes a random key to a new file.
fn make_key(path: &Path) -> std::io::Result<()> {
    let key = crypt::random::<32>().map_err(std::io::Error::other)?;
    let text: Zeroizing<String> = Zeroizing::new(key.iter().map(|o| format!("{o:02x}")).collect());
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Octets of a slot: less than a sector, so that it is written whole or not at all.
pub(crate) const SLOT: usize = 256;
/// Before the wrapped key: state, its length, the slot's number.
const SLOT_HEAD: usize = 16;
const KEY: [u8; 4] = *b"VKY1";
const GONE: [u8; 4] = *b"GONE";

/// Keys kept unwrapped: those of the mailboxes in use. Beyond, all are forgotten and unwrapped again as they are needed.
const CACHED: usize = 16 * 1024;

/// The slot of the system key.
pub(crate) const SYSTEM: u64 = 0;

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Never used.
    Empty,
    /// A wrapped key.
    Wrapped(Vec<u8>),
    /// A tombstone.
    Destroyed,
}

/// The slots.
pub(crate) struct Keys {
    file: File,
    keeper: Arc<dyn KeyKeeper>,
    cache: RwLock<HashMap<u64, Arc<DataKey>>>,
}

fn context(number: u64) -> String {
    format!("vaguemestre data key {number}")
}

impl Keys {
    /// Opens the slots of `folder` (there already), making their file if there is none. Blocking.
    pub(crate) fn open(folder: &Path, keeper: Arc<dyn KeyKeeper>) -> Result<Self> {
        let path = folder.join("data.keys");
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        sync_parent(&path)?;
        Ok(Keys { file, keeper, cache: RwLock::default() })
    }

    /// What a slot holds. Blocking.
    pub(crate) fn slot(&self, number: u64) -> Result<Slot> {
        let mut slot = [0; SLOT];
        match self.file.read_exact_at(&mut slot, number * SLOT as u64) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Slot::Empty),
            Err(e) => return Err(e.into()),
        }
        if slot == [0; SLOT] {
            return Ok(Slot::Empty);
        }
        if slot[8..16] != number.to_be_bytes() {
            return Err(StoreError::Damaged("a key is in another's place"));
        }
        if slot[..4] == GONE {
            return Ok(Slot::Destroyed);
        }
        let length = usize::from(u16::from_be_bytes([slot[4], slot[5]]));
        match slot.get(SLOT_HEAD..SLOT_HEAD + length) {
            Some(wrapped) if slot[..4] == KEY => Ok(Slot::Wrapped(wrapped.to_vec())),
            _ => Err(StoreError::Damaged("a slot of the keys holds none")),
        }
    }

    fn write(&self, number: u64, state: [u8; 4], wrapped: &[u8]) -> Result<()> {
        let mut slot = [0; SLOT];
        slot[..4].copy_from_slice(&state);
        let length = u16::try_from(wrapped.len()).ok().filter(|n| usize::from(*n) <= MAX_WRAPPED);
        let length = length.ok_or_else(|| StoreError::Unusable("the key keeper's keys are too long".into()))?;
        slot[4..6].copy_from_slice(&length.to_be_bytes());
        slot[8..16].copy_from_slice(&number.to_be_bytes());
        slot[SLOT_HEAD..SLOT_HEAD + wrapped.len()].copy_from_slice(wrapped);
        self.file.write_all_at(&slot, number * SLOT as u64)?;
        Ok(())
    }

    /// Makes a key; [`Keys::sync`] makes it durable. Blocking.
    pub(crate) fn make(&self, number: u64) -> Result<()> {
        let key = crypt::random::<32>()?;
        self.write(number, KEY, &self.keeper.wrap(&key, context(number).as_bytes())?)?;
        self.forget(number);
        Ok(())
    }

    /// Puts a wrapped key in its slot (from an export). Blocking.
    pub(crate) fn put(&self, number: u64, wrapped: &[u8]) -> Result<()> {
        self.write(number, KEY, wrapped)?;
        self.forget(number);
        Ok(())
    }

    /// Makes what was written durable. Blocking.
    pub(crate) fn sync(&self) -> Result<()> {
        if self.file.metadata()?.nlink() == 0 {
            // Wrapped anew by another process: what was written here is in nobody's file.
            return Err(StoreError::Unusable("the keys were wrapped anew meanwhile: try again".into()));
        }
        self.file.sync_data()?;
        Ok(())
    }

    /// Leaves a tombstone where no key was (from an export). Blocking.
    pub(crate) fn bury(&self, number: u64) -> Result<()> {
        self.forget(number);
        self.write(number, GONE, &[])
    }

    /// Wraps every key by another keeper, in a file that takes this one's place once it is whole. Answers how many. Blocking.
    pub(crate) fn rewrap(&self, folder: &Path, keeper: Arc<dyn KeyKeeper>) -> Result<u64> {
        let (path, new) = (folder.join("data.keys"), folder.join("data.keys.new"));
        let file = File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let other = Keys { file, keeper, cache: RwLock::default() };
        let mut wrapped = 0;
        for number in 0..self.slots()? {
            match self.slot(number)? {
                Slot::Empty => {}
                Slot::Destroyed => other.bury(number)?,
                Slot::Wrapped(old) => {
                    let context = context(number);
                    let key = self.keeper.unwrap(&old, context.as_bytes())?;
                    other.write(number, KEY, &other.keeper.wrap(&key, context.as_bytes())?)?;
                    wrapped += 1;
                }
            }
        }
        other.file.sync_all()?;
        std::fs::rename(&new, &path)?;
        sync_parent(&path)?;
        Ok(wrapped)
    }

    /// Overwrites a key for good. Blocking.
    pub(crate) fn destroy(&self, number: u64) -> Result<()> {
        self.write(number, GONE, &[])?;
        // After it: whoever reads the key now finds the tombstone, or has put it where it is forgotten here.
        self.forget(number);
        self.sync()
    }

    /// How many slots the file has. Blocking.
    pub(crate) fn slots(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len() / SLOT as u64)
    }

    /// A key that was unwrapped already.
    pub(crate) fn cached(&self, number: u64) -> Option<Arc<DataKey>> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// A key. Blocking unless it is cached.
    ///
    /// # Errors
    /// [`StoreError::NoKey`]; [`StoreError::Damaged`] for one that the master key does not open.
    pub(crate) fn get(&self, number: u64) -> Result<Arc<DataKey>> {
        if let Some(key) = self.cached(number) {
            return Ok(key);
        }
        let Slot::Wrapped(wrapped) = self.slot(number)? else { return Err(StoreError::NoKey) };
        let key = Arc::new(DataKey::new(&*self.keeper.unwrap(&wrapped, context(number).as_bytes())?));
        // A map of keys stays consistent whatever panics.
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        // Unless it was destroyed meanwhile.
        if matches!(self.slot(number)?, Slot::Wrapped(_)) {
            cache.insert(number, key.clone());
        }
        Ok(key)
    }

    /// Opens a wrapped key of a slot. Blocking.
    pub(crate) fn open_wrapped(&self, number: u64, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        self.keeper.unwrap(wrapped, context(number).as_bytes())
    }

    /// Forgets an unwrapped key.
    pub(crate) fn forget(&self, number: u64) {
        self.cache.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Forgets all of them: another process may have destroyed some.
    pub(crate) fn forget_all(&self) {
        self.cache.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(folder: &Path, master: u8) -> Keys {
        Keys::open(folder, Arc::new(MasterKey(Zeroizing::new([master; 32])))).expect("opened")
    }

    #[test]
    fn those_who_begin_together_have_one_master_key() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("master.key");
            let start = std::sync::Barrier::new(8);
            let made: Vec<[u8; 32]> = std::thread::scope(|scope| {
                let one = || {
                    start.wait();
                    *MasterKey::from_file_or_made(&path).expect("whole, whoever makes it").0
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().expect("ended")).collect()
            });
            assert!(made.iter().all(|key| *key == made[0]));
            let left = std::fs::read_dir(dir.path()).expect("a folder").count();
            assert_eq!(left, 1, "nothing but the key");
        }
    }

    #[test]
    fn keys_are_made_found_again_and_destroyed() {
        let dir = tempfile::tempdir().expect("a folder");
        let one = keys(dir.path(), 1);
        assert!(matches!(one.get(3), Err(StoreError::NoKey)));
        one.make(3).expect("made");
        let key = one.get(3).expect("there").purpose("test");
        let again = keys(dir.path(), 1);
        assert_eq!(again.get(3).expect("there").purpose("test"), key);
        assert_eq!(again.slot(2).expect("read"), Slot::Empty);
        assert!(matches!(keys(dir.path(), 2).get(3), Err(StoreError::Damaged(_))), "another master key");
        let before = std::fs::read(dir.path().join("data.keys")).expect("read");
        one.destroy(3).expect("destroyed");
        assert!(matches!(one.get(3), Err(StoreError::NoKey)));
        let after = std::fs::read(dir.path().join("data.keys")).expect("read");
        let wrapped = &before[3 * SLOT + SLOT_HEAD..3 * SLOT + SLOT_HEAD + 60];
        assert!(before.windows(60).any(|w| w == wrapped) && !after.windows(60).any(|w| w == wrapped));
        again.forget_all();
        assert!(matches!(again.get(3), Err(StoreError::NoKey)));
        assert_eq!(again.slot(3).expect("read"), Slot::Destroyed);
    }

    #[test]
    fn a_master_key_is_read_from_a_private_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("master.key");
        let made = MasterKey::from_file_or_made(&path).expect("made");
        let wrapped = made.wrap(&[5; 32], b"x").expect("wrapped");
        let again = MasterKey::from_file_or_made(&path).expect("read");
        assert_eq!(*again.unwrap(&wrapped, b"x").expect("unwrapped"), [5; 32]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(matches!(MasterKey::from_file(&path), Err(StoreError::Unusable(_))));
        assert!(MasterKey::from_file(&dir.path().join("none")).is_err());
        for wrong in ["", "00", &"zz".repeat(32), &"00".repeat(33)] {
            assert!(MasterKey::parse(wrong).is_err());
        }
        assert!(MasterKey::from_environment("VAGUEMESTRE_TEST_NO_SUCH_KEY").is_err());
    }
}
