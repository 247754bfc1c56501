//! A message's octets on their way in ([`Spool`], [`Spooled`]) and out ([`Body`]).
//!
//! Invariants:
//! * a message of at most [`INLINE_LIMIT`] octets stays in memory; a larger one never takes more than that of it: it goes, in
//!   large pieces and on blocking threads, to a file of its own in the spool folder, encrypted under a key of its own that is
//!   only in memory until a commit seals it;
//! * a spooled file is removed when what holds it is dropped, unless a commit took it over;
//! * a [`Body`] that was opened stays readable after the message is gone, and is read in pieces the caller bounds.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use openssl::sha::Sha256;
use zeroize::Zeroizing;

use crate::crypt::{self, CHUNK, Key, Part, TAG};
use crate::{Result, StoreError};

/// The largest message kept in memory on its way in, and in the database rather than in a file of its own, in octets.
///
/// Nearly all messages without an attachment are below; above it, a file written once costs less than the same octets
/// written to the log and then to the database.
pub const INLINE_LIMIT: usize = 256 * 1024;

/// A file that goes when its guard goes, unless it was taken over.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    path: Option<PathBuf>,
    file: Arc<File>,
    key: Arc<Key>,
    /// Whole chunks written.
    chunks: u64,
    /// Octets of an unfinished chunk behind them, and how often one was written: its nonce.
    unfinished: (usize, u64),
}

impl SpoolFile {
    /// Makes a new file of an unguessable name in `folder`. Blocking.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(random_name()?);
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let key = Arc::new(crypt::random::<32>()?);
        Ok(SpoolFile { path: Some(path), file: Arc::new(file), key, chunks: 0, unfinished: (0, 0) })
    }

    /// What decrypts it.
    pub(crate) fn key(&self) -> Arc<Key> {
        self.key.clone()
    }

    /// Appends octets; `last`: no more come. Blocking.
    pub(crate) fn append(&mut self, octets: &[u8], last: bool) -> Result<()> {
        let at = self.chunks * (CHUNK + TAG) as u64;
        let mut clear = Zeroizing::new(Vec::with_capacity(self.unfinished.0 + octets.len()));
        if self.unfinished.0 > 0 {
            let mut sealed = vec![0; self.unfinished.0 + TAG];
            self.file.read_exact_at(&mut sealed, at)?;
            crypt::open_chunk(&self.key, Part::Unfinished, self.unfinished.1, false, &sealed, &mut clear)?;
        }
        clear.extend_from_slice(octets);
        let mut sealed = Vec::with_capacity(crypt::sealed_length(clear.len() as u64) as usize);
        let mut rest = &clear[..];
        // A whole chunk may turn out to be the last: it waits as an unfinished one.
        while rest.len() > CHUNK {
            let (chunk, behind) = rest.split_at(CHUNK);
            crypt::seal_chunk(&self.key, Part::Body, self.chunks, false, chunk, &mut sealed)?;
            self.chunks += 1;
            rest = behind;
        }
        if last {
            crypt::seal_chunk(&self.key, Part::Body, self.chunks, true, rest, &mut sealed)?;
        } else {
            self.unfinished = (rest.len(), self.unfinished.1 + 1);
            crypt::seal_chunk(&self.key, Part::Unfinished, self.unfinished.1, false, rest, &mut sealed)?;
        }
        self.file.write_all_at(&sealed, at)?;
        Ok(())
    }

    /// Syncs the file and gives it its final name. Blocking; the folder of `to` has yet to be synced.
    pub(crate) fn settle(mut self, to: &Path) -> Result<()> {
        self.file.sync_data()?;
        if let Some(path) = &self.path {
            std::fs::rename(path, to)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Nothing can be done about a failure here; the next start empties the spool folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// 128 random bits in hexadecimal: a file name that is never given twice.
pub(crate) fn random_name() -> Result<String> {
    let mut random = [0u8; 16];
    openssl::rand::rand_bytes(&mut random).map_err(|e| StoreError::Io(format!("no random number: {e}")))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

/// Receives a message's octets before the commit that names them.
pub struct Spool {
    /// Where large messages go; `None` keeps everything in memory (the in-memory engine).
    folder: Option<Arc<Path>>,
    /// Octets not yet written to the file.
    pending: Vec<u8>,
    file: Option<SpoolFile>,
    written: u64,
    /// A write was abandoned or failed: what is in the file is not known any more.
    broken: bool,
    digest: Option<Sha256>,
    /// Octets to make room for with the next ones.
    coming: usize,
}

/// Most octets that room is made for before they are there.
const EXPECTED: usize = 64 * 1024;

impl Spool {
    /// A spool whose large messages go to files of `folder`, on the same file system as where they will stay.
    pub fn in_folder(folder: Arc<Path>) -> Self {
        Spool {
            folder: Some(folder),
            pending: Vec::new(),
            file: None,
            written: 0,
            broken: false,
            digest: None,
            coming: 0,
        }
    }

    /// A spool that keeps everything in memory.
    pub fn in_memory() -> Self {
        Spool { folder: None, pending: Vec::new(), file: None, written: 0, broken: false, digest: None, coming: 0 }
    }

    /// Also computes the SHA-256 of what is written ([`Spooled::digest`]). To be called before the first octet.
    #[must_use]
    pub fn with_digest(mut self) -> Self {
        self.digest = Some(Sha256::new());
        self
    }

    /// So many octets are said to come: room for them, as far as it is no burden, is made with the first of them.
    pub fn expect(&mut self, octets: u64) {
        self.coming = usize::try_from(octets).unwrap_or(EXPECTED).min(EXPECTED);
    }

    /// Octets received so far.
    pub fn len(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`]; the spool then only serves to be dropped.
    pub async fn write(&mut self, octets: &[u8]) -> Result<()> {
        if self.broken {
            return Err(StoreError::Io("the spool failed earlier".into()));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(octets);
        }
        if self.pending.is_empty() {
            // Once: a message that comes in many parts, each announced, is not moved for each of them.
            self.pending.reserve_exact(std::mem::take(&mut self.coming));
        }
        if self.folder.is_none() {
            self.pending.extend_from_slice(octets);
            return Ok(());
        }
        let mut rest = octets;
        while self.pending.len() + rest.len() > INLINE_LIMIT {
            let (now, later) = rest.split_at(INLINE_LIMIT - self.pending.len());
            self.pending.extend_from_slice(now);
            rest = later;
            self.flush(false).await?;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Gives back the memory it takes, however small the message: for a caller that holds many. Does nothing where everything
    /// stays in memory.
    ///
    /// # Errors
    /// As [`Spool::write`].
    pub async fn spill(&mut self) -> Result<()> {
        if self.broken {
            return Err(StoreError::Io("the spool failed earlier".into()));
        }
        if self.folder.is_none() || (self.pending.is_empty() && self.file.is_some()) {
            return Ok(());
        }
        self.flush(false).await?;
        self.pending = Vec::new();
        Ok(())
    }

    /// Writes what is pending to the file, which is made on the first call.
    async fn flush(&mut self, last: bool) -> Result<()> {
        let folder = self.folder.clone();
        let (file, pending) = (self.file.take(), std::mem::take(&mut self.pending));
        let length = pending.len() as u64;
        // Until the thread answers, its piece and the file are not ours: a caller that gives up here leaves a broken spool,
        // and the file goes with the thread's answer.
        self.broken = true;
        let (file, mut pending) = tokio::task::spawn_blocking(move || -> Result<(SpoolFile, Vec<u8>)> {
            let mut file = match (file, &folder) {
                (Some(file), _) => file,
                (None, Some(folder)) => SpoolFile::create(folder)?,
                (None, None) => return Err(StoreError::Io("no spool folder".into())),
            };
            file.append(&pending, last)?;
            Ok((file, pending))
        })
        .await
        .map_err(|e| StoreError::Io(format!("a spool thread ended: {e}")))??;
        pending.clear();
        self.pending = pending;
        self.file = Some(file);
        self.written += length;
        self.broken = false;
        Ok(())
    }

    /// Ends the message. Nothing is durable yet: that is the commit's work.
    ///
    /// # Errors
    /// As [`Spool::write`].
    pub async fn finish(mut self) -> Result<Spooled> {
        if self.broken {
            return Err(StoreError::Io("the spool failed earlier".into()));
        }
        if self.file.is_some() {
            self.flush(true).await?;
        }
        let digest = self.digest.take().map(Sha256::finish);
        let length = self.len();
        let content = match self.file.take() {
            Some(file) => SpooledContent::File(file),
            None => SpooledContent::Memory(std::mem::take(&mut self.pending).into()),
        };
        Ok(Spooled { length, digest, content })
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A whole message received, not yet committed. Dropped, it leaves nothing behind.
pub struct Spooled {
    length: u64,
    digest: Option<[u8; 32]>,
    pub(crate) content: SpooledContent,
}

pub(crate) enum SpooledContent {
    Memory(Bytes),
    File(SpoolFile),
}

impl Spooled {
    /// A message that is in memory already (a notice, a test).
    pub fn from_bytes(octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        Spooled { length: octets.len() as u64, digest: None, content: SpooledContent::Memory(octets) }
    }

    /// Its size in octets.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no octet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The SHA-256 of its octets, if [`Spool::with_digest`] asked for it.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Its octets, to look at before the commit (structure, checks) or after.
    pub fn body(&self) -> Body {
        match &self.content {
            SpooledContent::Memory(octets) => Body::from_bytes(octets.clone()),
            SpooledContent::File(file) => Body::from_sealed(file.file.clone(), self.length, file.key.clone()),
        }
    }
}

impl std::fmt::Debug for Spooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spooled").field("len", &self.length).finish_non_exhaustive()
    }
}

/// A message's octets, to be read in pieces. Cheap to clone.
#[derive(Clone)]
pub struct Body {
    length: u64,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Memory(Bytes),
    File(Arc<File>),
    /// In encrypted chunks.
    Sealed(Arc<File>, Arc<Key>),
}

impl Body {
    /// Octets in memory.
    pub fn from_bytes(octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        Body { length: octets.len() as u64, source: Source::Memory(octets) }
    }

    /// An open file of `length` octets, which nobody changes any more.
    pub(crate) fn from_file(file: Arc<File>, length: u64) -> Self {
        Body { length, source: Source::File(file) }
    }

    /// The same, of `length` octets in clear.
    pub(crate) fn from_sealed(file: Arc<File>, length: u64, key: Arc<Key>) -> Self {
        Body { length, source: Source::Sealed(file, key) }
    }

    /// Its size in octets.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no octet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// At most `len` octets from `offset`; fewer (or none) only at the end. `len` bounds the memory taken.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be read or is shorter than it should be, [`StoreError::Damaged`] when it does not
    /// decrypt.
    pub async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let left = self.length.saturating_sub(offset);
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        match &self.source {
            // `offset + len` is at most the length of a slice in memory.
            Source::Memory(octets) if len > 0 => Ok(octets.slice(offset as usize..offset as usize + len)),
            Source::File(file) if len > 0 => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || -> Result<Bytes> {
                    let mut octets = vec![0; len];
                    file.read_exact_at(&mut octets, offset)?;
                    Ok(octets.into())
                })
                .await
                .map_err(|e| StoreError::Io(format!("a reading thread ended: {e}")))?
            }
            Source::Sealed(file, key) if len > 0 => {
                let (file, key, length) = (file.clone(), key.clone(), self.length);
                tokio::task::spawn_blocking(move || read_sealed(&file, &key, length, offset, len))
                    .await
                    .map_err(|e| StoreError::Io(format!("a reading thread ended: {e}")))?
            }
            _ => Ok(Bytes::new()),
        }
    }

    /// As [`Body::read`], on this thread. Blocking.
    pub(crate) fn read_now(&self, offset: u64, len: usize) -> Result<Bytes> {
        let len = usize::try_from(self.length.saturating_sub(offset)).map_or(len, |left| left.min(len));
        match &self.source {
            Source::Memory(octets) if len > 0 => Ok(octets.slice(offset as usize..offset as usize + len)),
            Source::File(file) if len > 0 => {
                let mut octets = vec![0; len];
                file.read_exact_at(&mut octets, offset)?;
                Ok(octets.into())
            }
            Source::Sealed(file, key) if len > 0 => read_sealed(file, key, self.length, offset, len),
            _ => Ok(Bytes::new()),
        }
    }

    /// All octets at once: for what is known to be small.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub async fn read_all(&self) -> Result<Bytes> {
        let len = usize::try_from(self.length).map_err(|_| StoreError::Io("too large for memory".into()))?;
        self.read(0, len).await
    }
}

/// `len` (above zero) octets from `offset`, within `length`: the chunks that have them are decrypted, one at a time. Blocking.
fn read_sealed(file: &File, key: &Key, length: u64, offset: u64, len: usize) -> Result<Bytes> {
    let (chunk, end) = (CHUNK as u64, offset + len as u64);
    let last = length.div_ceil(chunk).max(1) - 1;
    let mut out = Vec::with_capacity(len);
    let mut clear = Vec::with_capacity(CHUNK);
    let mut sealed = vec![0; CHUNK + TAG];
    for number in offset / chunk..=(end - 1) / chunk {
        let start = number * chunk;
        let size = (length - start).min(chunk) as usize + TAG;
        file.read_exact_at(&mut sealed[..size], number * (CHUNK + TAG) as u64)?;
        clear.clear();
        crypt::open_chunk(key, Part::Body, number, number == last, &sealed[..size], &mut clear)?;
        // Both are within this chunk.
        let (from, to) = (offset.saturating_sub(start) as usize, (end - start).min(chunk) as usize);
        out.extend_from_slice(&clear[from..to]);
    }
    Ok(out.into())
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("len", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Arc<Path>) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = Arc::from(dir.path());
        (dir, path)
    }

    fn files(path: &Path) -> usize {
        std::fs::read_dir(path).expect("readable").count()
    }

    #[tokio::test]
    async fn small_stays_in_memory_and_large_goes_to_a_file() {
        let (_dir, path) = folder();
        let mut spool = Spool::in_folder(path.clone()).with_digest();
        spool.write(&vec![b'a'; INLINE_LIMIT]).await.expect("written");
        assert_eq!(files(&path), 0, "exactly the limit is still small");
        spool.write(b"b").await.expect("written");
        assert_eq!(files(&path), 1);
        spool.write(&vec![b'c'; 2 * INLINE_LIMIT]).await.expect("written");
        let spooled = spool.finish().await.expect("finished");
        assert_eq!(spooled.len(), 3 * INLINE_LIMIT as u64 + 1);
        let body = spooled.body();
        let all = body.read_all().await.expect("read");
        assert_eq!(spooled.digest(), Some(openssl::sha::sha256(&all)));
        assert_eq!(&all[INLINE_LIMIT - 1..INLINE_LIMIT + 2], b"abc");
        assert_eq!(body.read(INLINE_LIMIT as u64, 1).await.expect("read"), &b"b"[..]);
        assert_eq!(body.read(body.len() - 1, 10).await.expect("read"), &b"c"[..]);
        assert!(body.read(body.len() + 5, 10).await.expect("read").is_empty());
        drop(spooled);
        assert_eq!(files(&path), 0, "not committed, so removed");
        assert_eq!(body.read(0, 1).await.expect("an open body stays readable"), &b"a"[..]);
    }

    #[tokio::test]
    async fn spilling_gives_memory_back() {
        let (_dir, path) = folder();
        let mut spool = Spool::in_folder(path.clone()).with_digest();
        spool.write(b"hel").await.expect("written");
        spool.spill().await.expect("spilled");
        assert_eq!((files(&path), spool.pending.capacity()), (1, 0));
        spool.write(b"lo").await.expect("written");
        spool.spill().await.expect("spilled");
        spool.spill().await.expect("nothing left to spill");
        let spooled = spool.finish().await.expect("finished");
        assert_eq!(spooled.digest(), Some(openssl::sha::sha256(b"hello")));
        assert_eq!(spooled.body().read_all().await.expect("read"), &b"hello"[..]);
        let mut memory = Spool::in_memory();
        memory.write(b"kept").await.expect("written");
        memory.spill().await.expect("nothing to do");
        assert_eq!(memory.finish().await.expect("finished").len(), 4);
    }

    #[tokio::test]
    async fn room_is_made_for_what_is_said_to_come() {
        let (_dir, path) = folder();
        let mut spool = Spool::in_folder(path.clone());
        spool.expect(20_000);
        assert_eq!(spool.pending.capacity(), 0, "nothing has come yet");
        spool.write(b"a").await.expect("written");
        let before = spool.pending.as_ptr();
        spool.write(&[b'b'; 19_999]).await.expect("written");
        assert_eq!(spool.pending.as_ptr(), before, "it was not moved");
        spool.expect(EXPECTED as u64);
        spool.write(b"c").await.expect("written");
        assert!(spool.pending.capacity() <= 40_000, "there was something before it");
        assert_eq!(spool.finish().await.expect("finished").len(), 20_001);
        // Whatever is said, and however little comes.
        let mut spool = Spool::in_folder(path);
        spool.expect(u64::MAX);
        spool.write(b"d").await.expect("written");
        assert_eq!(spool.pending.capacity(), EXPECTED);
    }

    #[tokio::test]
    async fn a_dropped_spool_leaves_nothing() {
        let (_dir, path) = folder();
        let mut spool = Spool::in_folder(path.clone());
        spool.write(&vec![0; INLINE_LIMIT + 1]).await.expect("written");
        assert_eq!(files(&path), 1);
        drop(spool);
        assert_eq!(files(&path), 0);
    }

    #[tokio::test]
    async fn what_is_spooled_is_encrypted_and_read_in_pieces() {
        let (_dir, path) = folder();
        let text: Vec<u8> = (0..5 * CHUNK + 77).map(|n| ((n * n) >> 7) as u8).collect();
        // Pieces that end where chunks end and where they do not.
        for cuts in [&[CHUNK, 2 * CHUNK][..], &[1, CHUNK + 1, 4 * CHUNK - 1], &[100, 5 * CHUNK], &[]] {
            let mut spool = Spool::in_folder(path.clone());
            let mut from = 0;
            for to in cuts.iter().copied().chain([text.len()]) {
                spool.write(&text[from..to]).await.expect("written");
                spool.spill().await.expect("spilled");
                from = to;
            }
            let spooled = spool.finish().await.expect("finished");
            let body = spooled.body();
            assert!(body.read_all().await.expect("read") == text);
            for (offset, len) in
                [(0, 1), (CHUNK - 1, 2), (CHUNK, CHUNK), (3 * CHUNK + 5, 2 * CHUNK), (5 * CHUNK + 76, 9)]
            {
                let wanted = &text[offset..text.len().min(offset + len)];
                assert!(body.read(offset as u64, len).await.expect("read") == wanted, "{offset} {len}");
            }
            let name = std::fs::read_dir(&path).expect("readable").next().expect("a file").expect("readable").path();
            let disk = std::fs::read(&name).expect("read");
            assert!(!disk.windows(16).any(|w| w == &text[1000..1016]), "in clear on disk");
            let mut wrong = disk.clone();
            wrong[2 * CHUNK + 100] ^= 1;
            std::fs::write(&name, &wrong).expect("written");
            assert!(body.read(0, CHUNK).await.is_ok(), "other chunks do not matter");
            assert!(matches!(body.read(2 * CHUNK as u64, 1).await, Err(StoreError::Damaged(_))));
        }
    }

    #[tokio::test]
    async fn trouble_breaks_the_spool() {
        let mut spool = Spool::in_folder(Arc::from(Path::new("/nonexistent/spool")));
        assert!(spool.write(&vec![0; INLINE_LIMIT + 1]).await.is_err());
        assert!(spool.write(b"x").await.is_err());
        assert!(spool.finish().await.is_err());
    }

    #[tokio::test]
    async fn memory_slices() {
        let body = Spooled::from_bytes(&b"0123456789"[..]).body();
        assert_eq!(body.read(3, 4).await.expect("read"), &b"3456"[..]);
        assert!(body.read(10, 4).await.expect("read").is_empty());
    }
}
