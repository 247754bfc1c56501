//! The ClientHello of software under test, as the scripted operator reads it before OpenSSL does.
#![no_main]

use control::client::hello::Hello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(hello) = Hello::read(input) else { return };
    // What is kept is bounded, whatever was sent; nothing is told that was not offered.
    assert!(hello.suites.len() <= 400 && hello.versions.len() <= 16);
    assert!(hello.server_name.as_ref().is_none_or(|name| name.chars().count() <= 255));
    assert!(hello.weak().len() <= hello.suites.len() && hello.outside().len() <= hello.suites.len());
    // The same again behind other records.
    assert_eq!(Hello::read(&[input, b"\x14\x03\x03\0\x01\x01"].concat()).as_ref(), Some(&hello));
});
