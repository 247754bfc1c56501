//! Who answers whom (THREAD), and base subjects (SORT, THREAD).
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    imap::server::fuzzing::threads(input);
    if let Ok(text) = std::str::from_utf8(input) {
        imap::server::fuzzing::subject(text);
    }
});
