//! The record of a structure: damaged octets are refused, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::mime::Structure;

fuzz_target!(|input: &[u8]| {
    if let Ok(structure) = Structure::decode(input) {
        assert_eq!(Structure::decode(&structure.encode()), Ok(structure));
    }
});
