//! The MIME scanner: any bytes, any chunking, bounded limits; ranges stay nested; the record reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::mime::{Content, Limits, Part, Scanner, Structure};
use std::ops::Range;

fn scan(message: &[u8], chunk: usize, limits: Limits) -> Structure {
    let mut scanner = Scanner::new(limits);
    for piece in message.chunks(chunk) {
        scanner.push(piece);
    }
    scanner.finish()
}

fn check(part: &Part, within: Range<u64>) {
    assert!(within.start <= part.header.start && part.header.start <= part.header.end);
    assert!(part.header.end == part.body.start && part.body.start <= part.body.end && part.body.end <= within.end);
    let _ = (part.filename(), part.param("charset"));
    match &part.content {
        Content::Leaf => assert!(part.media_type != "multipart" && !part.is("message", "rfc822")),
        Content::Multipart(parts) => {
            assert!(!parts.is_empty() && part.media_type == "multipart");
            parts.iter().for_each(|child| check(child, part.body.clone()));
        }
        Content::Message(inner) => check(&inner.root, part.body.clone()),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, message)) = input.split_first() else { return };
    let small = Limits { header: 256, budget: 4096, depth: 4, parts: 8 };
    for limits in [Limits::default(), small] {
        let structure = scan(message, message.len().max(1), limits);
        check(&structure.root, 0..message.len() as u64);
        assert_eq!(structure.size(), message.len() as u64);
        assert_eq!(scan(message, usize::from(*first).max(1), limits), structure);
        assert_eq!(Structure::decode(&structure.encode()).as_ref(), Ok(&structure));
    }
});
