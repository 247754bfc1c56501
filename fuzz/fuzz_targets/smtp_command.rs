//! SMTP: lines cut under a limit, then the grammar of commands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::command::parse;
use smtp::wire::{Cut, Lines};

fuzz_target!(|input: &[u8]| {
    let _ = parse(input);
    let mut lines = Lines::default();
    for piece in input.chunks(7) {
        lines.push(piece);
        loop {
            match lines.cut(512) {
                Cut::Line(line) => {
                    assert!(line.len() <= 510 && !line.contains(&b'\n'));
                    let _ = parse(&line);
                }
                Cut::TooLong => {}
                Cut::More => break,
                Cut::Bare | Cut::Flood => return,
            }
        }
    }
});
