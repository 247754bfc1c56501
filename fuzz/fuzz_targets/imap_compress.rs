//! Deflated octets of a client (RFC 4978), and our answers deflated.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| imap::server::fuzzing::compression(input));
