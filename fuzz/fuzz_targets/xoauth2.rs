//! The XOAUTH2 response: what is read is what a client would write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use psc::xoauth2;

fuzz_target!(|response: &[u8]| {
    if let Ok(read) = xoauth2::parse(response) {
        let written = xoauth2::response(&read.user, read.token.expose());
        let again = xoauth2::parse(written.expose().as_bytes()).expect("our own response");
        assert_eq!((again.user, again.token.expose()), (read.user, read.token.expose()));
    }
});
