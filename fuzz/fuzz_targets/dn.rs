//! Distinguished names: what is read can be written and read again, and is the same entity.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trust::Dn;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Dn>() {
        let written = name.to_string();
        let again: Dn = match written.parse() {
            Ok(again) => again,
            // Escapes may make it longer than what is read.
            Err(_) if written.len() > trust::dn::MAX_LENGTH => return,
            Err(error) => panic!("its own text: {error}"),
        };
        assert_eq!(again.attributes(), name.attributes(), "{written}");
        assert!(again.same_entity(&name));
        assert_eq!(again.canonical(), name.canonical());
    }
});
