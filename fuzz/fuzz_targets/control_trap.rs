//! What a trap of the control application reads: messages on the wire, their header and tree, local parts, what people look for.
#![no_main]

use control::trap::body::Body;
use control::trap::{Query, boxes, reading};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // However it is cut, the same message ends at the same place.
    let mut whole = Body::default();
    let end = whole.push(input);
    let cut = input.first().map_or(0, |octet| usize::from(*octet)).min(input.len());
    let mut parts = Body::default();
    let parted = parts.push(&input[..cut]).or_else(|| parts.push(&input[cut..]).map(|at| at + cut));
    assert_eq!((end, whole.octets, whole.sha256()), (parted, parts.octets, parts.sha256()));

    let shown = reading::read(&whole.held);
    assert!(!shown.parts.is_empty());
    let text = String::from_utf8_lossy(input);
    for run in [reading::mark(&shown.fields), boxes::read_local(&text).1].into_iter().flatten() {
        assert!(run.len() <= boxes::MAX_RUN && run.is_ascii());
    }
    let _ = Query::read(&text);
});
