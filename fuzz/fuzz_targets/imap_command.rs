//! What a client sends to the IMAP server: lines and literals cut, then the grammar.
#![no_main]

use imap::parse::parse;
use imap::wire::{CommandReader, Event, Phase};
use libfuzzer_sys::fuzz_target;

async fn converse(input: &[u8], phase: Phase) -> std::io::Result<()> {
    let mut reader = CommandReader::new(input, phase);
    loop {
        match reader.next().await? {
            Event::Command(command) => {
                let _ = parse(&command);
            }
            Event::Append { head, size, .. } => {
                let _ = parse(&head);
                let mut read = 0;
                loop {
                    let chunk = reader.literal_chunk(u64::MAX).await?;
                    if chunk.is_empty() {
                        break;
                    }
                    read += chunk.len() as u64;
                }
                assert_eq!(read, size);
                if reader.append_end().await?.is_err_and(|refusal| refusal.is_fatal()) {
                    return Ok(());
                }
            }
            Event::Continue | Event::Refused { .. } => {}
            _ => return Ok(()),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let _ = parse(input);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    for phase in [Phase::NotAuthenticated, Phase::Authenticated] {
        // The end of the input is the end of the connection: an error, and nothing else.
        let _ = runtime.block_on(converse(input, phase));
    }
});
