//! FETCH of software under test at the scripted operator: a message set, a line end, the items.
#![no_main]

use control::client::mailbox::{fetch, has_it};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (set, items) = input.split_once('\n').unwrap_or(("1", input));
    let _ = has_it(set);
    // A command is one line: what comes here has no line end.
    let items = items.replace(['\r', '\n'], " ");
    for by_uid in [false, true] {
        let Some(told) = fetch(&items, by_uid) else { continue };
        // Sixty-four times the message, at most, and what was asked for.
        assert!(told.len() <= 64 * (items.len() + 2048));
        assert!(!by_uid || told.windows(5).any(|words| words == b"UID 1"));
        // Whoever goes by the literals comes out at the end, and meets no other line end.
        let mut rest = told.as_slice();
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            let head = &rest[..at];
            let begin = head.iter().rposition(|octet| *octet == b'{').expect("a literal is announced");
            let size =
                std::str::from_utf8(&head[begin + 1..at - 1]).expect("digits").parse::<usize>().expect("a number");
            rest = &rest[at + 2 + size..];
        }
    }
});
