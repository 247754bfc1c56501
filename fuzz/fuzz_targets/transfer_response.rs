//! What another IMAP server says to an import.
#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::transfer::response::{Responses, body, fetched, listed_folder, quoted, value_after};

fuzz_target!(|input: &[u8]| {
    let mut responses = Responses::new(input);
    while let Ok(response) = responses.response() {
        if let Some(folder) = listed_folder(&response) {
            let asked = quoted(&folder.raw);
            assert!(!asked.contains(['\r', '\n']), "a name never ends our command");
        }
        let _ = (fetched(&response), body(&response), value_after(&response, "MESSAGES"));
    }
});
