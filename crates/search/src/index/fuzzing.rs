//! Doors for `fuzz/` to what lies behind the seal of a segment. No part of the crate's interface.
//!
//! Nobody without the mailbox's key can make a file that is taken for a segment; what is in one is checked all the same, since a
//! damaged index must never end the server.

use std::path::Path;

use mail::sought::{Place, Sought};
use zeroize::Zeroizing;

use super::blocks::{BlockWriter, Packing};
use super::codec::Input;
use super::{Document, EXTENSION, Index, segment};

const KEY: [u8; 32] = [7; 32];
const NAME: &str = "00112233445566778899aabbccddeeff";

/// Files that anybody wrote, in a folder of the caller's: one sealed with the blocks and the memory that the input says, one
/// that is the input itself, one made of a message and changed. Searching and merging end, whatever they hold.
///
/// # Panics
/// When the folder cannot be written.
pub fn segments(folder: &Path, input: &[u8]) {
    let file = folder.join(format!("{NAME}.{EXTENSION}"));
    let id = super::file_id(&file).expect("a name of a segment");
    let mut pieces = Input::new(input);
    let mut sealed = || -> super::blocks::Result<()> {
        let mut writer = BlockWriter::create(&file, &KEY, id)?;
        let blocks = pieces.number().unwrap_or(0) % 16;
        for _ in 0..blocks {
            let block = pieces.count().and_then(|length| pieces.take(length)).unwrap_or_default();
            writer.write(block, Packing::IfWorth)?;
        }
        writer.finish(pieces.rest())
    };
    if sealed().is_ok() {
        used(folder);
    }
    let _ = std::fs::remove_file(&file);
    std::fs::write(&file, input).expect("a folder of the caller's");
    used(folder);
    let _ = std::fs::remove_file(&file);
    let documents = [(1, Document::of(input)), (2, Document::of(b"Subject: bonjour\r\n\r\nle monde"))];
    segment::write(&file, &KEY, id, &documents).unwrap_or_else(|_| panic!("a folder of the caller's"));
    let mut octets = std::fs::read(&file).expect("just written");
    for change in input.chunks_exact(3).take(4) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % octets.len();
        octets[at] ^= change[2];
    }
    std::fs::write(&file, octets).expect("a folder of the caller's");
    used(folder);
    let _ = std::fs::remove_file(&file);
}

/// Everything that is done with an index.
fn used(folder: &Path) {
    let Ok(index) = Index::open(folder, Zeroizing::new(KEY)) else { return };
    let bodies = index.bodies();
    for place in [Place::Body, Place::Text, Place::Field("subject".into()), Place::Field("x-other".into())] {
        for text in ["", "a", "le monde", " ", " a", "e m", "a "] {
            let sought = Sought { place: place.clone(), text: text.into() };
            let answer = index.seek(std::slice::from_ref(&sought), &bodies);
            assert!(answer.matching[0].length() == bodies.len() && answer.unknown.length() == bodies.len());
        }
    }
    let _ = index.add(vec![(u64::MAX, Document::of(b"Subject: autre\r\n\r\ntexte"))]);
    let _ = index.merge_some(&|body| body % 2 == 0, true);
    let _ = Index::forget(folder);
    let _ = std::fs::create_dir_all(folder);
}
