//! A file of sealed blocks, written once and never changed.
//!
//! ```text
//! magic (8)  id (16)  block…  directory  offset of the directory (8)  its length (4)  its raw length (4)
//! ```
//! Each block is compressed (LZ4) when that helps and its owner wants it, then sealed with AES-256-GCM. The key is derived from the mailbox's and the
//! file's random id (HMAC-SHA256), the nonce is the number of the block: a key and nonce never meet twice. The directory, sealed
//! as the last number, holds where each block lies and what the owner of the file wants to remember.
//!
//! Invariant: whatever is done to the file, reading it gives what was written or [`Broken`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use zeroize::Zeroizing;

use super::codec::{Input, Output};

/// The last two tell what the blocks hold: a file of other times is made anew. 02: words have positions, bodies no texts.
const MAGIC: &[u8; 8] = b"VMSRCH02";
/// Octets before the first block.
const START: u64 = 24;
/// Octets after the directory.
const TRAILER: usize = 16;
const TAG: usize = 16;
/// The number of the directory.
const DIRECTORY: u64 = u64::MAX;
/// Largest block taken for real, raw: the largest document with room to spare. Keeps a damaged file from taking all the memory.
pub(super) const MAX_BLOCK: usize = 64 * 1024 * 1024;

/// A block is kept compressed when that saves one octet in so many: what saves less is not worth the time of unpacking.
const WORTH: usize = 8;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what was written, or under another key.
    #[error("the file is damaged or of another key")]
    Damaged,
}

impl From<openssl::error::ErrorStack> for Broken {
    fn from(_: openssl::error::ErrorStack) -> Self {
        Broken::Damaged
    }
}

pub(super) type Result<T> = std::result::Result<T, Broken>;

/// The random name of a file.
pub(super) type Id = [u8; 16];

/// The key of one file.
struct Sealer {
    ctx: CipherCtx,
    key: Zeroizing<[u8; 32]>,
}

impl Sealer {
    fn new(key: &[u8; 32]) -> Result<Self> {
        Ok(Sealer { ctx: CipherCtx::new()?, key: Zeroizing::new(*key) })
    }

    fn seal(&mut self, number: u64, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.ctx.encrypt_init(Some(Cipher::aes_256_gcm()), Some(&*self.key), Some(&nonce(number)))?;
        self.ctx.cipher_update_vec(plain, out)?;
        self.ctx.cipher_final_vec(out)?;
        let mut tag = [0; TAG];
        self.ctx.tag(&mut tag)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    fn open(&mut self, number: u64, sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Broken::Damaged)?;
        self.ctx.decrypt_init(Some(Cipher::aes_256_gcm()), Some(&*self.key), Some(&nonce(number)))?;
        self.ctx.cipher_update_vec(body, out)?;
        self.ctx.set_tag(tag)?;
        self.ctx.cipher_final_vec(out)?;
        Ok(())
    }
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

fn file_key(key: &[u8; 32], id: &Id) -> Result<Zeroizing<[u8; 32]>> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(b"vaguemestre search segment")?;
    signer.update(id)?;
    let mut derived = Zeroizing::new([0; 32]);
    signer.sign(&mut *derived)?;
    Ok(derived)
}

/// Where a block lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    sealed: u32,
    raw: u32,
}

/// Whether a block is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// When that helps: what is large, or seldom read whole.
    IfWorth,
    /// It is small and read whole by each search, or has nothing that returns: unpacking would take longer than decrypting.
    Never,
}

/// Writes a file.
pub(super) struct BlockWriter {
    file: BufWriter<File>,
    sealer: Sealer,
    offset: u64,
    places: Vec<Place>,
    packed: Vec<u8>,
    sealed: Vec<u8>,
}

impl BlockWriter {
    /// Makes a file, private.
    pub(super) fn create(path: &Path, key: &[u8; 32], id: Id) -> Result<Self> {
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut file = BufWriter::with_capacity(256 * 1024, file);
        file.write_all(MAGIC)?;
        file.write_all(&id)?;
        Ok(BlockWriter {
            file,
            sealer: Sealer::new(&*file_key(key, &id)?)?,
            offset: START,
            places: Vec::new(),
            packed: Vec::new(),
            sealed: Vec::new(),
        })
    }

    /// Writes a block; answers its number.
    pub(super) fn write(&mut self, raw: &[u8], packing: Packing) -> Result<u32> {
        let number = u32::try_from(self.places.len()).map_err(|_| Broken::Damaged)?;
        let place = self.put(u64::from(number), raw, packing)?;
        self.places.push(place);
        Ok(number)
    }

    fn put(&mut self, number: u64, raw: &[u8], packing: Packing) -> Result<Place> {
        if raw.len() > MAX_BLOCK {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        let packed = match packing {
            Packing::Never => raw,
            Packing::IfWorth => {
                self.packed.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
                match lz4_flex::block::compress_into(raw, &mut self.packed) {
                    Ok(length) if length < raw.len() - raw.len() / WORTH => &self.packed[..length],
                    _ => raw,
                }
            }
        };
        self.sealed.clear();
        self.sealer.seal(number, packed, &mut self.sealed)?;
        self.file.write_all(&self.sealed)?;
        // Both are at most MAX_BLOCK and a tag.
        let place = Place { offset: self.offset, sealed: self.sealed.len() as u32, raw: raw.len() as u32 };
        self.offset += self.sealed.len() as u64;
        Ok(place)
    }

    /// Ends the file with what its owner wants to remember.
    pub(super) fn finish(mut self, memory: &[u8]) -> Result<()> {
        let mut directory = Output::default();
        directory.number(self.places.len() as u64);
        for place in &self.places {
            directory.number(u64::from(place.sealed));
            directory.number(u64::from(place.raw));
        }
        directory.octets.extend_from_slice(memory);
        let place = self.put(DIRECTORY, &directory.octets, Packing::IfWorth)?;
        self.file.write_all(&place.offset.to_le_bytes())?;
        self.file.write_all(&place.sealed.to_le_bytes())?;
        self.file.write_all(&place.raw.to_le_bytes())?;
        // No sync: after a crash the file is whole or is found damaged and made anew.
        self.file.flush()?;
        Ok(())
    }
}

/// A file that can be read. Holds where its blocks lie, none of their content.
pub(super) struct Blocks {
    file: File,
    key: Zeroizing<[u8; 32]>,
    places: Vec<Place>,
}

impl Blocks {
    /// Opens a file; answers what its owner wanted to remember.
    pub(super) fn open(path: &Path, key: &[u8; 32], id: Id) -> Result<(Self, Vec<u8>)> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut start = [0; START as usize];
        let mut trailer = [0; TRAILER];
        if size < START + TRAILER as u64 {
            return Err(Broken::Damaged);
        }
        file.read_exact_at(&mut start, 0)?;
        file.read_exact_at(&mut trailer, size - TRAILER as u64)?;
        if start[..8] != *MAGIC || start[8..] != id {
            return Err(Broken::Damaged);
        }
        let mut end = Input::new(&trailer);
        let place = Place {
            offset: u64::from_le_bytes(end.array().ok_or(Broken::Damaged)?),
            sealed: u32::from_le_bytes(end.array().ok_or(Broken::Damaged)?),
            raw: u32::from_le_bytes(end.array().ok_or(Broken::Damaged)?),
        };
        if place.offset.checked_add(u64::from(place.sealed)) != Some(size - TRAILER as u64) {
            return Err(Broken::Damaged);
        }
        let mut blocks = Blocks { file, key: file_key(key, &id)?, places: vec![place] };
        let mut directory = Vec::new();
        let mut reader = blocks.reader()?;
        reader.read_place(place, DIRECTORY, &mut directory)?;
        drop(reader);
        let mut input = Input::new(&directory);
        blocks.places.clear();
        let mut offset = START;
        for _ in 0..input.count().ok_or(Broken::Damaged)? {
            let (sealed, raw) = (input.small().ok_or(Broken::Damaged)?, input.small().ok_or(Broken::Damaged)?);
            blocks.places.push(Place { offset, sealed, raw });
            offset += u64::from(sealed);
        }
        if offset != place.offset {
            return Err(Broken::Damaged);
        }
        let memory = input.rest().to_vec();
        Ok((blocks, memory))
    }

    /// Someone who reads blocks, one after the other.
    pub(super) fn reader(&self) -> Result<BlockReader<'_>> {
        Ok(BlockReader { blocks: self, sealer: Sealer::new(&self.key)?, sealed: Vec::new(), packed: Vec::new() })
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }
}

/// Reads blocks.
pub(super) struct BlockReader<'b> {
    blocks: &'b Blocks,
    sealer: Sealer,
    sealed: Vec<u8>,
    packed: Vec<u8>,
}

impl BlockReader<'_> {
    /// The raw content of a block, into `raw`.
    pub(super) fn read(&mut self, number: u32, raw: &mut Vec<u8>) -> Result<()> {
        let place = *self.blocks.places.get(number as usize).ok_or(Broken::Damaged)?;
        self.read_place(place, u64::from(number), raw)
    }

    fn read_place(&mut self, place: Place, number: u64, raw: &mut Vec<u8>) -> Result<()> {
        let length = place.raw as usize;
        if length > MAX_BLOCK || place.sealed as usize > MAX_BLOCK + TAG {
            return Err(Broken::Damaged);
        }
        self.sealed.resize(place.sealed as usize, 0);
        self.blocks.file.read_exact_at(&mut self.sealed, place.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Damaged,
            _ => error.into(),
        })?;
        self.packed.clear();
        self.sealer.open(number, &self.sealed, &mut self.packed)?;
        if self.packed.len() == length {
            std::mem::swap(raw, &mut self.packed);
            return Ok(());
        }
        raw.resize(length, 0);
        match lz4_flex::block::decompress_into(&self.packed, raw) {
            Ok(read) if read == length => Ok(()),
            _ => Err(Broken::Damaged),
        }
    }
}
