//! An mbox file of another server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::transfer::mbox::Mbox;
use operator::transfer::{Given, Source};

fuzz_target!(|input: &[u8]| {
    let Ok(mut source) = Mbox::read(input, "fuzz".into(), "INBOX") else { return };
    let mut octets = 0;
    while let Some(given) = source.next(&|_| false).expect("memory is always readable") {
        if let Given::Post(post) = given {
            assert_eq!(post.letter.size, post.octets.len() as u64);
            octets += post.octets.len();
        }
    }
    assert!(octets <= 2 * input.len(), "a line end may grow, nothing else does");
});
