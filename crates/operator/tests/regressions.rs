//! What the fuzzers found, and what they begin with, given to the same targets without a fuzzer: `fuzz/regressions/TARGET/*` and
//! `fuzz/seeds/TARGET/*` through `fuzz/fuzz_targets/TARGET.rs`, by every test run. A folder without a target fails.
//!
//! The targets are the very files: here `libfuzzer_sys` is this crate, and its macro makes a function.
#![allow(unused_attributes, unused_imports, missing_docs, reason = "targets begin with `no_main` and import the macro")]

extern crate self as libfuzzer_sys;

use std::path::Path;
use std::time::{Duration, Instant};

use patience::Work;

/// What `libfuzzer_sys` does, without a fuzzer.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: &[u8]| $body:expr) => {
        pub fn run($input: &[u8]) {
            $body
        }
    };
    (|$input:ident: &str| $body:expr) => {
        pub fn run(octets: &[u8]) {
            if let Ok($input) = std::str::from_utf8(octets) {
                $body
            }
        }
    };
    (|$input:ident: $kind:ty| $body:expr) => {
        pub fn run(octets: &[u8]) {
            let octets = arbitrary::Unstructured::new(octets);
            if let Ok($input) = <$kind as arbitrary::Arbitrary>::arbitrary_take_rest(octets) {
                $body
            }
        }
    };
}

macro_rules! targets {
    ($($file:literal $name:ident)*) => {
        $(#[path = $file]
        mod $name;)*
        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run)),*];
    };
}

targets! {
    "../../../fuzz/fuzz_targets/address.rs" address
    "../../../fuzz/fuzz_targets/autoconfiguration.rs" autoconfiguration
    "../../../fuzz/fuzz_targets/cda_render.rs" cda_render
    "../../../fuzz/fuzz_targets/control_dns.rs" control_dns
    "../../../fuzz/fuzz_targets/control_fetch.rs" control_fetch
    "../../../fuzz/fuzz_targets/control_hello.rs" control_hello
    "../../../fuzz/fuzz_targets/control_trap.rs" control_trap
    "../../../fuzz/fuzz_targets/date.rs" date
    "../../../fuzz/fuzz_targets/delivery_report.rs" delivery_report
    "../../../fuzz/fuzz_targets/desk_upload.rs" desk_upload
    "../../../fuzz/fuzz_targets/directory_line.rs" directory_line
    "../../../fuzz/fuzz_targets/directory_page.rs" directory_page
    "../../../fuzz/fuzz_targets/dn.rs" dn
    "../../../fuzz/fuzz_targets/header.rs" header
    "../../../fuzz/fuzz_targets/imap_client.rs" imap_client
    "../../../fuzz/fuzz_targets/imap_command.rs" imap_command
    "../../../fuzz/fuzz_targets/imap_compress.rs" imap_compress
    "../../../fuzz/fuzz_targets/imap_names.rs" imap_names
    "../../../fuzz/fuzz_targets/imap_thread.rs" imap_thread
    "../../../fuzz/fuzz_targets/imap_url.rs" imap_url
    "../../../fuzz/fuzz_targets/lps_message.rs" lps_message
    "../../../fuzz/fuzz_targets/mime_record.rs" mime_record
    "../../../fuzz/fuzz_targets/mime_structure.rs" mime_structure
    "../../../fuzz/fuzz_targets/ocsp_answer.rs" ocsp_answer
    "../../../fuzz/fuzz_targets/rights.rs" rights
    "../../../fuzz/fuzz_targets/search_segment.rs" search_segment
    "../../../fuzz/fuzz_targets/search_text.rs" search_text
    "../../../fuzz/fuzz_targets/sequence_set.rs" sequence_set
    "../../../fuzz/fuzz_targets/smtp_command.rs" smtp_command
    "../../../fuzz/fuzz_targets/smtp_data.rs" smtp_data
    "../../../fuzz/fuzz_targets/store_record.rs" store_record
    "../../../fuzz/fuzz_targets/store_replay.rs" store_replay
    "../../../fuzz/fuzz_targets/token.rs" token
    "../../../fuzz/fuzz_targets/transfer_frames.rs" transfer_frames
    "../../../fuzz/fuzz_targets/transfer_maildir.rs" transfer_maildir
    "../../../fuzz/fuzz_targets/transfer_mbox.rs" transfer_mbox
    "../../../fuzz/fuzz_targets/white_list.rs" white_list
    "../../../fuzz/fuzz_targets/xdm_open.rs" xdm_open
    "../../../fuzz/fuzz_targets/xoauth2.rs" xoauth2
}

/// Changes an input as a fuzzer would that sees nothing of the code.
fn changed(input: &[u8], state: &mut u64) -> Vec<u8> {
    let mut draw = |below: usize| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state % below.max(1) as u64).unwrap_or(0)
    };
    let mut octets = input.to_vec();
    for _ in 0..=draw(4) {
        let at = draw(octets.len() + 1);
        match draw(6) {
            0 => octets.insert(at, draw(256) as u8),
            1 if at < octets.len() => drop(octets.remove(at)),
            2 if at < octets.len() => octets[at] ^= 1 << draw(8),
            3 => {
                let piece = octets[at..(at + draw(32)).min(octets.len())].repeat(draw(40) + 1);
                octets.splice(at..at, piece);
            }
            4 => {
                const WORDS: [&[u8]; 12] = [
                    b"\r\n",
                    b"\0",
                    b"\xff\xff\xff\xff",
                    b"(",
                    b")",
                    b"{99999999999}",
                    b"\"",
                    b"4294967295",
                    b"..",
                    b"/",
                    b"<",
                    b"=?",
                ];
                octets.splice(at..at, WORDS[draw(WORDS.len())].iter().copied());
            }
            _ => octets.truncate(at),
        }
    }
    octets
}

/// `MUTATE_SECONDS=60 cargo nextest run -p operator --run-ignored only a_quick_look`: so many seconds for each target, where
/// there is no time to build the fuzzers. What makes a target panic is in `/tmp/mutated-TARGET`.
#[test]
#[ignore = "takes as long as it is told to"]
fn a_quick_look() {
    let seconds = std::env::var("MUTATE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let only = std::env::var("MUTATE_TARGET").ok();
    let mut failed = Vec::new();
    for (name, run) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
        let mut inputs: Vec<Vec<u8>> = std::fs::read_dir(seeds)
            .map_or(Vec::new(), |all| all.filter_map(|f| std::fs::read(f.ok()?.path()).ok()).collect());
        inputs.push(Vec::new());
        let (end, mut state, mut runs) = (Instant::now() + Duration::from_secs(seconds), 0x9e37_79b9_7f4a_7c15, 0u64);
        while Instant::now() < end {
            let input = changed(&inputs[runs as usize % inputs.len()], &mut state);
            let began = Instant::now();
            if std::panic::catch_unwind(|| run(&input)).is_err() || began.elapsed() > Duration::from_secs(5) {
                let _ = std::fs::write(format!("/tmp/mutated-{name}"), &input);
                failed.push(*name);
                break;
            }
            runs += 1;
            if runs.is_multiple_of(7) && input.len() < 4096 && inputs.len() < 500 {
                inputs.push(input);
            }
        }
        eprintln!("{name}: {runs} runs");
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// More work than this is a finding, without optimisation.
const MUCH: Duration = Duration::from_secs(20);

#[test]
fn what_was_found_stays_mended() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut inputs = 0;
    for place in ["regressions", "seeds"] {
        for folder in std::fs::read_dir(fuzz.join(place)).expect("fuzz/regressions and fuzz/seeds") {
            let folder = folder.expect("readable").path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((_, run)) = TARGETS.iter().find(|(target, _)| **target == *name) else {
                panic!("{place}/{name} has no target: add it to this file");
            };
            for file in std::fs::read_dir(&folder).expect("a folder of inputs") {
                let file = file.expect("readable").path();
                let input = std::fs::read(&file).expect("readable");
                eprintln!("{}", file.display());
                let work = Work::begin();
                run(&input);
                assert!(work.spent() < MUCH, "{}: {:?}", file.display(), work.spent());
                inputs += 1;
            }
        }
    }
    assert!(inputs > 30, "{inputs}");
    for entry in std::fs::read_dir(fuzz.join("fuzz_targets")).expect("targets") {
        let file = entry.expect("readable").path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|(target, _)| **target == *name), "{name} is not in this file");
    }
}
