//! An IHE_XDM.zip of a stranger: the archive itself, or the METADATA.XML in a sound one.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use mssante::xdm;

const DOCUMENT: &[u8] = include_bytes!("../../tests/fixtures/cda-n1-biologie.xml");

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let archive = if kind % 2 == 0 { rest.to_vec() } else { with_metadata(rest) };
    let Ok(opened) = xdm::open(&archive) else { return };
    for document in &opened.documents {
        assert!(!document.path.starts_with('/') && !document.path.contains("..") && !document.path.contains('\\'));
    }
    let _ = opened.cda_headers();
});

fn with_metadata(metadata: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("IHE_XDM/S/METADATA.XML", metadata), ("IHE_XDM/S/DOC0001.XML", DOCUMENT)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a new name");
        zip.write_all(bytes).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}
