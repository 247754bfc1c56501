//! The header and a line of the extraction: nothing panics, and what is taken under the real header is an address of the trust space.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (header, line) = text.split_once('\n').unwrap_or(("", text));
    let _ = directory::extraction::takes_line(header, line);
});
