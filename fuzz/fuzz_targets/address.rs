//! Address lists: bounded, and a clean mailbox reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::{Address, parse_addresses};

fuzz_target!(|text: &str| {
    let list = parse_addresses(text, 100);
    assert!(list.addresses.len() <= 100);
    for address in list.addresses.iter().filter(|_| list.clean) {
        if let (Some(written), Address::Mailbox { local, domain, .. }) = (address.address(), address) {
            let again = parse_addresses(&written, 2);
            assert!(again.clean, "{written}");
            let [Address::Mailbox { local: l, domain: d, .. }] = &*again.addresses else { panic!("{written}") };
            assert_eq!((l, d), (local, domain));
        }
    }
});
