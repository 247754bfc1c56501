//! What an IMAP server says to our client: cut into responses, understood, and streamed when it is a message.
#![no_main]

use std::time::Duration;

use imap::client::{Fetched, MAX_LITERALS, MAX_TEXT, Patience, Piece, Response, ResponseReader, Untagged, parse, uid_sets};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((settings, octets)) = input.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without drivers");
    runtime.block_on(async {
        let short = Patience { silence: Duration::from_secs(5), answer: Duration::from_secs(20), more: Duration::ZERO };
        let mut reader = ResponseReader::new(octets, short);
        reader.stream(settings & 1 == 1);
        if settings & 2 == 2 {
            reader.authenticated();
        }
        let utf8 = settings & 4 == 4;
        let mut told = 0;
        loop {
            match reader.next().await {
                Ok(Piece::Response(response)) => {
                    told += response.len();
                    assert!(response.len() <= MAX_TEXT + MAX_LITERALS as usize);
                    if let Ok(Response::Untagged(untagged)) = parse(&response, utf8) {
                        check(untagged);
                    }
                }
                Ok(Piece::Message(size)) => {
                    let mut drawn = 0;
                    while let Ok(Some(chunk)) = reader.chunk().await {
                        drawn += chunk.len() as u64;
                    }
                    assert!(drawn <= size, "no octet more than was announced");
                    told += drawn as usize;
                }
                Err(_) => break,
            }
        }
        // `NIL` stands for a message that was drawn.
        assert!(told <= octets.len() * 4, "nothing is made up");
    });
});

fn check(untagged: Untagged) {
    match untagged {
        Untagged::List(listed) | Untagged::OddList(listed) => {
            assert!(!listed.name.contains(char::is_control), "a name never ends our command");
            assert!(!listed.raw.contains(char::is_control), "a name never ends our command");
        }
        Untagged::Search(mut uids) => {
            uids.retain(|uid| *uid > 0);
            uids.sort_unstable();
            uids.dedup();
            assert!(uid_sets(&uids, 100).iter().all(|set| set.len() < 8_000));
        }
        Untagged::Fetch(Fetched { structure: Some(structure), .. }) => assert!(!structure.all().is_empty()),
        _ => {}
    }
}
