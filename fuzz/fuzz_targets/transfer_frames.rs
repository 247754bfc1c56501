//! Letters on the admin socket: lines of JSON and octets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::transfer::letter::{Frames, line};

fuzz_target!(|input: &[u8]| {
    let Some((size, wire)) = input.split_first() else { return };
    let mut frames = Frames::default();
    for piece in wire.chunks(usize::from(*size) + 1) {
        frames.push(piece);
        loop {
            match frames.next_post() {
                Ok(Some(post)) => {
                    assert_eq!(post.letter.size, post.octets.len() as u64);
                    let mut again = Frames::default();
                    again.push(&line(&post.letter));
                    again.push(&post.octets);
                    assert_eq!(again.next_post(), Ok(Some(post)));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = frames.end();
});
