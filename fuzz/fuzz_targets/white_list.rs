//! The white list: the XML itself, and everything that is read of it before a signature is checked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::SystemTime;
use trust::white_list::{SignaturePolicy, WhiteList};

fuzz_target!(|document: &[u8]| {
    if let Ok(list) = WhiteList::from_xml(document, &SignaturePolicy::Unsigned, SystemTime::UNIX_EPOCH) {
        for domain in list.domains() {
            assert!(list.is_listed(domain));
            for name in list.dns_of(domain) {
                assert!(list.allows(domain, name));
            }
        }
    }
    // Nobody is trusted: whatever the document says, it is refused.
    let nobody = SignaturePolicy::Pinned(Vec::new());
    assert!(WhiteList::from_xml(document, &nobody, SystemTime::UNIX_EPOCH).is_err());
});
