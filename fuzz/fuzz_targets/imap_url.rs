//! URLs of CATENATE (RFC 4469, RFC 5092).
#![no_main]

use imap::url::{MessageUrl, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(url) = MessageUrl::parse(input) else { return };
    if let Place::Folder { name, .. } = &url.place {
        // What names a folder may be no name of one of ours, and is then refused, whatever it holds.
        let _ = mail::FolderName::new(name);
    }
    assert_ne!(url.uid, 0, "no message has the UID 0");
});
