//! Whatever `imap-codec` accepts of RFC 3501 and some extensions, we accept with the same meaning.
//!
//! Commands are generated from the grammar of RFC 3501 §9, a little beyond it, in any case of letters and with every way
//! to write a string. The exceptions, all of them narrower than `imap-codec` on purpose, are named in `differs`.

mod commands;
mod meaning;

use imap::command::{Append, AppendPart, Command, List, Tagged};
use imap::parse::parse;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use mail::Flags;
use proptest::prelude::*;

use commands::{MESSAGE, commands};
use meaning::meaning;

/// What makes two readings comparable where the difference is meant: names of system flags and of references keep the
/// case they were sent in here, and lose it there.
fn comparable(command: Command) -> Command {
    let fold = |flags: Vec<String>| -> Vec<String> {
        flags.into_iter().map(|f| if Flags::system(&f).is_some() { f.to_ascii_lowercase() } else { f }).collect()
    };
    match command {
        Command::Store { numbers, set, how, silent, flags, modifiers } => {
            Command::Store { numbers, set, how, silent, flags: fold(flags), modifiers }
        }
        Command::Append(a) => {
            let parts = a.parts.into_iter().map(|part| match part {
                AppendPart::Message { flags, date, catenate } => {
                    AppendPart::Message { flags: fold(flags), date, catenate }
                }
                other => other,
            });
            Command::Append(Append { parts: parts.collect(), ..a })
        }
        Command::List(l) => Command::List(List { reference: l.reference.to_lowercase(), ..l }),
        Command::Lsub { reference, pattern } => Command::Lsub { reference: reference.to_lowercase(), pattern },
        other => other,
    }
}

/// Reads a command both ways; `Err` tells how they differ.
fn compare(text: &str) -> Result<bool, String> {
    let append = text.split(' ').nth(1).is_some_and(|w| w.eq_ignore_ascii_case("APPEND"));
    let complete = format!("{text}{}\r\n", if append { format!("\r\n{MESSAGE}") } else { String::new() });
    let codec = CommandCodec::default();
    let theirs = match codec.decode(complete.as_bytes()) {
        Ok((b"", theirs)) => theirs,
        _ => return Ok(false),
    };
    let Some(meaning) = meaning(&theirs.body) else { return Ok(false) };
    let ours = parse(text.as_bytes()).map_err(|error| format!("refused: {error}"))?;
    let ours = Tagged { tag: ours.tag, command: comparable(ours.command) };
    let theirs = Tagged { tag: theirs.tag.inner().to_owned(), command: comparable(meaning) };
    if ours == theirs { Ok(true) } else { Err(format!("{ours:?}\n instead of {theirs:?}")) }
}

/// Where we are narrower on purpose: patterns and references that are not modified UTF-7 (they stay undecoded there), and
/// an initial response of nothing, which RFC 4959 §3 writes `=`.
fn differs(text: &str) -> bool {
    let command = text.split(' ').nth(1).unwrap_or_default().to_ascii_uppercase();
    match command.as_str() {
        "LIST" | "LSUB" => text.contains('&'),
        "AUTHENTICATE" => text.ends_with(' '),
        _ => false,
    }
}

/// Also on purpose: `nz-number` has no leading zero, which they let through.
fn has_leading_zero(text: &str) -> bool {
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    let octets = text.as_bytes();
    (1..octets.len()).any(|i| octets[i] == b'0' && !digit(octets.get(i - 1)) && digit(octets.get(i + 1)))
}

/// Enough to meet every rule many times in some seconds.
const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, max_global_rejects: CASES, ..ProptestConfig::default() })]

    /// Every command of the grammar.
    #[test]
    fn what_they_accept_we_accept(text in commands()) {
        prop_assume!(!differs(&text));
        if let Err(difference) = compare(&text) {
            prop_assert!(false, "{text:?}\n{difference}");
        }
    }

    /// Commands with something wrong: if they still accept it, so do we.
    #[test]
    fn what_they_accept_broken_we_accept(text in commands(), at in any::<proptest::sample::Index>(), put in "[ -~]?", drop in 0usize..3) {
        // Not in the tag: theirs may be longer than 32 octets.
        let start = text.find(' ').unwrap_or(0);
        let at = start + at.index(text.len() - start);
        let end = (at + drop).min(text.len());
        let broken = format!("{}{put}{}", &text[..at], &text[end..]);
        prop_assume!(!differs(&broken) && !has_leading_zero(&broken));
        if let Err(difference) = compare(&broken) {
            prop_assert!(false, "{broken:?}\n{difference}");
        }
    }
}

/// The generator is worth something only if most of what it makes is accepted by the other side.
#[test]
fn most_generated_commands_are_valid() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = commands();
    let accepted = (0..1000)
        .filter(|_| {
            let text = strategy.new_tree(&mut runner).expect("a command").current();
            !differs(&text) && compare(&text) == Ok(true)
        })
        .count();
    assert!(accepted > 700, "only {accepted} of 1000");
}
