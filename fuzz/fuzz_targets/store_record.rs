//! A record of the store's log: its head, its checksums, its facts.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| store::sqlite::fuzzing::record(input));
