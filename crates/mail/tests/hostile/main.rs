//! Messages made to lead whoever reads them astray: cycles, and a million parts. The structure is bounded in depth, parts and octets,
//! whatever the message; time grows with its size, memory does not.

mod cyclic;

use std::ops::Range;
use std::time::Duration;

use mail::mime::{Content, Limits, Part, Piece, Scanner, Structure};
use mail::preview;
use patience::Work;

/// More work than this grows faster than the message.
const MUCH: Duration = Duration::from_secs(10);
/// Octets of memory that no message takes here.
const LARGE: usize = 16 * 1024 * 1024;

/// The most memory this process ever had, in octets.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("a figure");
    let kilo: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kilo * 1024
}

/// Parts in all and levels, of a part whose every range lies where it must.
fn measured(part: &Part, within: &Range<u64>) -> (usize, usize) {
    assert!(within.start <= part.header.start && part.header.end == part.body.start && part.body.end <= within.end);
    let inside: Vec<(usize, usize)> = match &part.content {
        Content::Leaf => Vec::new(),
        Content::Multipart(children) => children.iter().map(|child| measured(child, &part.body)).collect(),
        Content::Message(inner) => vec![measured(&inner.root, &part.body)],
    };
    let (parts, depths): (Vec<usize>, Vec<usize>) = inside.into_iter().unzip();
    (1 + parts.iter().sum::<usize>(), 1 + depths.into_iter().max().unwrap_or(0))
}

/// Reads it as it comes from a connection, piece by piece.
fn scanned(message: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Structure {
    let mut scanner = Scanner::new(Limits::default());
    message.into_iter().for_each(|piece| scanner.push(piece.as_ref()));
    scanner.finish()
}

/// A structure within the limits; the number of its parts and levels.
fn bounded(structure: &Structure) -> (usize, usize) {
    let limits = Limits::default();
    let (parts, depth) = measured(&structure.root, &(0..structure.size()));
    // The last part there can be may be a message: itself and the part in it.
    assert!(parts <= limits.parts + 1 && depth <= limits.depth, "{parts} parts, {depth} levels");
    let encoded = structure.encode();
    assert!(encoded.len() < 2 * limits.budget, "{} octets", encoded.len());
    assert!(Structure::decode(&encoded).as_ref() == Ok(structure));
    // Sections beyond are not there, and asking for them costs nothing.
    let path = vec![1; 10_000];
    for at in [1, depth, depth + 1, 10_000] {
        for piece in [Piece::Body, Piece::Header, Piece::Text, Piece::Mime] {
            let range = structure.range(&path[..at], piece);
            assert!(at <= depth || range.is_none());
            assert!(range.is_none_or(|range| range.end <= structure.size()));
        }
    }
    (parts, depth)
}

#[test]
fn cyclic_messages_end() {
    let (work, before) = (Work::begin(), peak());
    let messages = cyclic::messages();
    let length: usize = messages.iter().map(|(_, message)| message.len()).sum();
    for (what, message) in &messages {
        let structure = scanned(message.as_bytes().chunks(4096));
        assert_eq!(structure.envelope.subject.as_deref(), Some("cyclique"), "{what}");
        assert_eq!(structure.size(), message.len() as u64, "{what}");
        assert!(structure == Structure::of(message.as_bytes()), "{what}: pieces matter");
        let (parts, depth) = bounded(&structure);
        eprintln!("{what}: {} octets, {parts} parts, {depth} levels", message.len());
        if let Some(part) = preview::readable(&structure.root) {
            let body = &message.as_bytes()[part.body.start as usize..part.body.end as usize];
            assert!(preview::of_part(part, body).chars().count() <= preview::MAX_CHARS, "{what}");
        }
    }
    assert!(work.spent() < MUCH, "{:?}", work.spent());
    let grown = peak() - before;
    assert!(grown < LARGE + 2 * length, "{grown} octets of memory");
}

/// What such a message is taken for.
#[test]
fn cyclic_messages_have_the_structure_their_boundaries_give_them() {
    let of = |wanted: &str| {
        let (_, message) = cyclic::messages().into_iter().find(|(what, _)| *what == wanted).expect("one of them");
        Structure::of(message.as_bytes())
    };
    // A line that is a boundary of several is the innermost's: each part is in the one before, down to where all is opaque.
    let mut part = &of("a boundary inside itself").root;
    let mut depth = 1;
    while let [first, others @ ..] = part.children() {
        assert!(part.is("multipart", "mixed") && (others.is_empty() || depth == Limits::default().depth - 1));
        (part, depth) = (first, depth + 1);
    }
    assert!(depth == Limits::default().depth && part.is("application", "octet-stream"), "{depth} levels");
    // The message inside ends where a boundary outside says so, and is whole.
    let mut structure = &of("a message in itself by equal boundaries");
    let mut messages = 1;
    while let Some(Part { content: Content::Message(inner), .. }) = structure.root.children().first() {
        assert_eq!(inner.envelope.subject.as_deref(), Some("inner"));
        (structure, messages) = (inner, messages + 1);
    }
    assert_eq!(messages, Limits::default().depth / 2);
    // One that begins like another is not the other.
    for what in ["boundaries that begin as the one above", "boundaries that the one above begins with"] {
        let Structure { root, .. } = of(what);
        assert_eq!(measured(&root, &(0..u64::MAX)).1, Limits::default().depth, "{what}");
        let [deep, last] = root.children() else { panic!("{what}: {} parts", root.children().len()) };
        assert!(deep.is("multipart", "mixed") && last.is("text", "plain") && last.size() == 1, "{what}");
    }
    // What is said of a body elsewhere is no part.
    assert_eq!(measured(&of("a body elsewhere that is this message").root, &(0..u64::MAX)), (1, 1));
    assert_eq!(measured(&of("a part of a message that is the whole").root, &(0..u64::MAX)), (1, 1));
}

#[test]
fn a_million_parts() {
    const PARTS: usize = 1_000_000;
    let (work, before) = (Work::begin(), peak());
    // With a body each, without one, and with nothing at all.
    for part in ["--b\r\n\r\nx\r\n", "--b\r\n\r\n", "--b\r\n"] {
        let head = std::iter::once("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
        let pieces = || head.clone().chain(std::iter::repeat_n(part, PARTS)).chain(std::iter::once("--b--\r\n"));
        let structure = scanned(pieces());
        let length: usize = pieces().map(str::len).sum();
        assert_eq!(structure.size(), length as u64);
        let (parts, depth) = bounded(&structure);
        assert_eq!((parts, depth), (Limits::default().parts, 2));
        // Nothing is lost: the last part is all the rest.
        let last = structure.root.children().last().expect("many");
        assert!(last.is("application", "octet-stream") && last.body.end == length as u64);
    }
    assert!(work.spent() < MUCH, "{:?}", work.spent());
    let grown = peak() - before;
    assert!(grown < LARGE, "{grown} octets of memory");
}
