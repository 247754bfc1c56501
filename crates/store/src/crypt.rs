//! Encryption of what lies on disk: AES-256-GCM under keys that are used once.
//!
//! Every record and every large file has a key of its own: `HMAC-SHA256(data key, purpose || salt)` for a record (16 random octets of
//! salt), 32 random octets for a file, whose key a record then holds sealed. Under such a key the nonce is the [`Part`], a mark on
//! the last chunk and the number of the chunk, so that no nonce serves twice, no chunk can take another's place and none can be
//! left out at the end unseen.
//!
//! Invariant: nothing that does not authenticate is ever returned.

use std::cell::RefCell;
use std::sync::OnceLock;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::sha::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::{Result, StoreError};

/// Octets of clear text in a chunk: what is decrypted to read one octet.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Octets of the mark that authenticates a chunk.
pub(crate) const TAG: usize = 16;
/// Octets of a record's salt.
pub(crate) const SALT: usize = 16;

/// A key.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// What is encrypted under one key, told apart in the nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// A message's structure.
    Structure = 1,
    /// A message's octets.
    Body = 2,
    /// The key of the file that has the octets.
    FileKey = 3,
    /// The unfinished last chunk of a spool file; the number counts how often it was written.
    Unfinished = 4,
    /// A key wrapped by another.
    Wrapped = 5,
}

fn trouble(_: openssl::error::ErrorStack) -> StoreError {
    StoreError::Io("the cryptographic library failed".into())
}

/// Random octets.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut octets = Zeroizing::new([0; N]);
    openssl::rand::rand_bytes(&mut *octets).map_err(|_| StoreError::Io("no random number".into()))?;
    Ok(octets)
}

/// A record's salt, given to nobody else. It is no secret, so that this thread draws those of its next records with it: a draw costs more
/// than its octets.
pub(crate) fn salt() -> Result<[u8; SALT]> {
    const TOGETHER: usize = 32;
    thread_local! { static DRAWN: RefCell<Vec<[u8; SALT]>> = const { RefCell::new(Vec::new()) } }
    DRAWN.with_borrow_mut(|drawn| {
        if let Some(salt) = drawn.pop() {
            return Ok(salt);
        }
        let octets = random::<{ SALT * TOGETHER }>()?;
        let (salts, _) = octets.as_chunks::<SALT>();
        drawn.extend_from_slice(salts);
        drawn.pop().ok_or_else(|| StoreError::Io("no random number".into()))
    })
}

/// Fetched once: looking an algorithm up costs more than encrypting a page.
fn aes() -> Result<&'static Cipher> {
    static AES: OnceLock<Option<Cipher>> = OnceLock::new();
    AES.get_or_init(|| Cipher::fetch(None, "AES-256-GCM", None).ok())
        .as_ref()
        .ok_or_else(|| StoreError::Unusable("the cryptographic library has no AES-256-GCM".into()))
}

/// Runs `work` with this thread's context: making one costs more than encrypting a page.
fn with_context<T>(work: impl FnOnce(&mut CipherCtx) -> Result<T>) -> Result<T> {
    thread_local! { static CONTEXT: RefCell<Option<CipherCtx>> = const { RefCell::new(None) } }
    CONTEXT.with(|context| {
        let mut context = context.borrow_mut();
        let context = match &mut *context {
            Some(context) => context,
            empty => empty.insert(CipherCtx::new().map_err(trouble)?),
        };
        work(context)
    })
}

fn nonce(part: Part, number: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = part as u8;
    nonce[1] = u8::from(last);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Appends the encrypted `clear` and its mark.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 12], context_of: &[u8], clear: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let cipher = aes()?;
    with_context(|context| {
        (|| {
            context.encrypt_init(Some(cipher), Some(key), Some(nonce))?;
            if !context_of.is_empty() {
                context.cipher_update(context_of, None)?;
            }
            out.reserve(clear.len() + TAG);
            context.cipher_update_vec(clear, out)?;
            context.cipher_final_vec(out)?;
            let mut tag = [0; TAG];
            context.tag(&mut tag)?;
            out.extend_from_slice(&tag);
            Ok(())
        })()
        .map_err(trouble)
    })
}

/// Appends what was encrypted.
///
/// # Errors
/// [`StoreError::Damaged`] when it does not authenticate; `out` is then as it was.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    context_of: &[u8],
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    let cipher = aes()?;
    let before = out.len();
    let (octets, tag) =
        sealed.split_at_checked(sealed.len().wrapping_sub(TAG)).ok_or(StoreError::Damaged("it is too short"))?;
    let done = with_context(|context| {
        (|| {
            context.decrypt_init(Some(cipher), Some(key), Some(nonce))?;
            if !context_of.is_empty() {
                context.cipher_update(context_of, None)?;
            }
            context.cipher_update_vec(octets, out)?;
            context.set_tag(tag)?;
            context.cipher_final_vec(out)
        })()
        .map_err(|_| StoreError::Damaged("it does not decrypt"))
    });
    if done.is_err() {
        out[before..].zeroize();
        out.truncate(before);
    }
    done.map(drop)
}

/// The octets that `clear` of them take, encrypted in chunks.
pub(crate) fn sealed_length(clear: u64) -> u64 {
    clear + clear.div_ceil(CHUNK as u64).max(1) * TAG as u64
}

/// Appends `clear` in encrypted chunks, the last marked as such.
pub(crate) fn seal_chunks(key: &[u8; 32], part: Part, clear: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(sealed_length(clear.len() as u64) as usize);
    let last = clear.len().div_ceil(CHUNK).max(1) - 1;
    for number in 0..=last {
        let chunk = &clear[number * CHUNK..clear.len().min((number + 1) * CHUNK)];
        seal_chunk(key, part, number as u64, number == last, chunk, out)?;
    }
    Ok(())
}

/// Appends one encrypted chunk.
pub(crate) fn seal_chunk(
    key: &[u8; 32],
    part: Part,
    number: u64,
    last: bool,
    clear: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    seal(key, &nonce(part, number, last), &[], clear, out)
}

/// Appends one decrypted chunk.
pub(crate) fn open_chunk(
    key: &[u8; 32],
    part: Part,
    number: u64,
    last: bool,
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    open(key, &nonce(part, number, last), &[], sealed, out)
}

/// Everything that [`seal_chunks`] encrypted, decrypted where it lies, at its beginning; how many octets.
///
/// # Errors
/// As [`open`]; what is there then is nobody's to read.
pub(crate) fn open_chunks(key: &[u8; 32], part: Part, sealed: &mut [u8]) -> Result<usize> {
    let cipher = aes()?;
    let (mut from, mut to, mut number) = (0, 0, 0);
    loop {
        let end = sealed.len().min(from + CHUNK + TAG);
        let last = end == sealed.len();
        let (octets, tag) = sealed[from..end]
            .split_at_mut_checked((end - from).wrapping_sub(TAG))
            .ok_or(StoreError::Damaged("it is too short"))?;
        let length = octets.len();
        with_context(|context| {
            (|| {
                context.decrypt_init(Some(cipher), Some(key), Some(&nonce(part, number, last)))?;
                context.cipher_update_inplace(octets, length)?;
                context.set_tag(tag)?;
                // GCM has no last block: nothing is written.
                context.cipher_final(&mut [0; TAG])
            })()
            .map_err(|_| StoreError::Damaged("it does not decrypt"))
        })?;
        if to < from {
            sealed.copy_within(from..from + length, to);
        }
        to += length;
        if last {
            return Ok(to);
        }
        from = end;
        number += 1;
    }
}

/// A mailbox's data key, or the system's: keys are derived from it and nothing is encrypted under it.
pub(crate) struct DataKey {
    /// HMAC's two hashes with the key already in.
    inner: Sha256,
    outer: Sha256,
}

impl DataKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let hash = |pad: u8| {
            let mut block = Zeroizing::new([pad; 64]);
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            let mut hash = Sha256::new();
            hash.update(&*block);
            hash
        };
        DataKey { inner: hash(0x36), outer: hash(0x5c) }
    }

    /// `HMAC-SHA256(key, purpose || 0 || salt)`.
    fn derive(&self, purpose: &[u8], salt: &[u8]) -> Key {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        inner.update(purpose);
        inner.update(&[0]);
        inner.update(salt);
        outer.update(&inner.finish());
        Zeroizing::new(outer.finish())
    }

    /// The key of one record.
    pub(crate) fn record(&self, salt: &[u8]) -> Key {
        self.derive(b"record", salt)
    }

    /// A key for somebody else's use.
    pub(crate) fn purpose(&self, purpose: &str) -> Key {
        self.derive(b"purpose", purpose.as_bytes())
    }
}

impl Drop for DataKey {
    fn drop(&mut self) {
        // SAFETY: both are valid, and a hash needs no drop; a plain assignment could be left out by the compiler.
        unsafe {
            std::ptr::write_volatile(&mut self.inner, Sha256::new());
            std::ptr::write_volatile(&mut self.outer, Sha256::new());
        }
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

/// A key encrypted under another for one `context_of`: 12 octets of nonce, the key, its mark.
pub(crate) fn wrap(master: &[u8; 32], context_of: &[u8], key: &[u8; 32]) -> Result<Vec<u8>> {
    let mut nonce: [u8; 12] = *random()?;
    nonce[0] = Part::Wrapped as u8;
    let mut out = nonce.to_vec();
    seal(master, &nonce, context_of, key, &mut out)?;
    Ok(out)
}

/// The key that [`wrap`] encrypted.
pub(crate) fn unwrap(master: &[u8; 32], context_of: &[u8], wrapped: &[u8]) -> Result<Key> {
    let (nonce, sealed) = wrapped.split_first_chunk::<12>().ok_or(StoreError::Damaged("a wrapped key is too short"))?;
    let mut out = Zeroizing::new(Vec::with_capacity(64));
    open(master, nonce, context_of, sealed, &mut out)?;
    let key: [u8; 32] = out.as_slice().try_into().map_err(|_| StoreError::Damaged("a key has not its length"))?;
    Ok(Zeroizing::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_is_hmac_sha256() {
        use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
        let key = [7; 32];
        let pkey = PKey::hmac(&key).expect("a key");
        let mut signer = Signer::new(MessageDigest::sha256(), &pkey).expect("a signer");
        signer.update(b"record\0saltsaltsaltsalt").expect("hashed");
        assert_eq!(DataKey::new(&key).record(b"saltsaltsaltsalt").to_vec(), signer.sign_to_vec().expect("signed"));
    }

    #[test]
    fn no_salt_is_given_twice() {
        let draw = || (0..1000).map(|_| salt().expect("random")).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn: Vec<[u8; SALT]> = threads.into_iter().flat_map(|thread| thread.join().expect("drawn")).collect();
        assert_eq!(drawn.iter().collect::<std::collections::HashSet<_>>().len(), 4000);
        assert!(drawn.iter().all(|salt| *salt != [0; SALT]));
    }

    #[test]
    fn chunks_cannot_be_changed_exchanged_or_left_out() {
        let key = [1; 32];
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let clear: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut sealed = Vec::new();
            seal_chunks(&key, Part::Body, &clear, &mut sealed).expect("sealed");
            assert_eq!(sealed.len() as u64, sealed_length(length as u64));
            let open = |key: &[u8; 32], part, octets: &[u8]| {
                let mut octets = octets.to_vec();
                open_chunks(key, part, &mut octets).map(|clear| octets[..clear].to_vec())
            };
            assert!(open(&key, Part::Body, &sealed).expect("opened") == clear);
            assert!(matches!(open(&key, Part::Structure, &sealed), Err(StoreError::Damaged(_))));
            assert!(matches!(open(&[2; 32], Part::Body, &sealed), Err(StoreError::Damaged(_))));
            for place in [0, sealed.len() / 2, sealed.len() - 1] {
                let mut wrong = sealed.clone();
                wrong[place] ^= 1;
                assert!(open(&key, Part::Body, &wrong).is_err());
            }
            assert!(open(&key, Part::Body, &sealed[..sealed.len() - 1]).is_err());
            if length > CHUNK {
                let whole = sealed.len() / (CHUNK + TAG) * (CHUNK + TAG);
                let cut = if whole == sealed.len() { whole - CHUNK - TAG } else { whole };
                assert!(open(&key, Part::Body, &sealed[..cut]).is_err(), "the last chunk was left out");
            }
        }
    }

    #[test]
    fn a_wrapped_key_opens_in_its_context_only() {
        let wrapped = wrap(&[1; 32], b"mailbox 1", &[9; 32]).expect("wrapped");
        assert_eq!(*unwrap(&[1; 32], b"mailbox 1", &wrapped).expect("unwrapped"), [9; 32]);
        assert!(unwrap(&[1; 32], b"mailbox 2", &wrapped).is_err());
        assert!(unwrap(&[2; 32], b"mailbox 1", &wrapped).is_err());
        assert!(unwrap(&[1; 32], b"mailbox 1", &wrapped[..11]).is_err());
    }
}
