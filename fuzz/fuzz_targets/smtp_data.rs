//! The body of DATA and BDAT: no smuggling (a bare CR or LF is a fault), chunks do not matter, and what is written by the
//! client reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::data::{Decoder, Encoder};

/// The text (of a message without fault: how much of a refused one was read does not matter), the octets read, whether it
/// ended, and whether there was a fault.
fn decode(input: &[u8], chunk: usize) -> (Vec<u8>, usize, bool, bool) {
    let mut decoder = Decoder::data(1000);
    let (mut out, mut read, mut ended) = (Vec::new(), 0, false);
    for piece in input.chunks(chunk) {
        let (used, end) = decoder.decode(piece, &mut out);
        read += used;
        ended = end;
        if ended {
            break;
        }
        assert_eq!(used, piece.len());
    }
    let fault = decoder.fault().is_some();
    (if fault { Vec::new() } else { out }, read, ended, fault)
}

fuzz_target!(|input: &[u8]| {
    let whole = decode(input, input.len().max(1));
    assert_eq!(decode(input, 1), whole);
    if !whole.3 {
        // A text without fault has no lone CR or LF.
        let text = &whole.0;
        for (i, b) in text.iter().enumerate() {
            match b {
                b'\n' => assert!(i > 0 && text[i - 1] == b'\r'),
                b'\r' => assert!(text.get(i + 1) == Some(&b'\n')),
                _ => {}
            }
        }
        if whole.2 {
            let mut encoder = Encoder::data();
            let mut wire = Vec::new();
            encoder.encode(text, &mut wire);
            encoder.finish(&mut wire);
            let again = decode(&wire, 3);
            assert!(again.2 && !again.3 && again.1 == wire.len());
            assert_eq!(&again.0, text);
        }
    }
});
