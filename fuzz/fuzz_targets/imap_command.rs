//! What a client sends to the IMAP server: lines and literals cut, then the grammar.
#![no_main]

use imap::command::Command;
use imap::parse::{append_more, parse};
use imap::wire::{CommandReader, Event, Phase, Tail};
use libfuzzer_sys::fuzz_target;

async fn converse(input: &[u8], phase: Phase) -> std::io::Result<()> {
    let mut reader = CommandReader::new(input, phase);
    loop {
        match reader.next().await? {
            Event::Command(command) => {
                let _ = parse(&command);
            }
            Event::Append { head, mut size, .. } => {
                let mut state = match parse(&head).map(|tagged| tagged.command) {
                    Ok(Command::Append(append) | Command::Replace { by: append, .. }) => append.state,
                    _ => continue,
                };
                loop {
                    let mut read = 0;
                    loop {
                        let chunk = reader.literal_chunk(u64::MAX).await?;
                        if chunk.is_empty() {
                            break;
                        }
                        read += chunk.len() as u64;
                    }
                    assert_eq!(read, size);
                    let text = match reader.append_next().await? {
                        Ok(Tail::Literal { text, size: next, .. }) => {
                            size = next;
                            text
                        }
                        Ok(Tail::End(text)) => {
                            let _ = append_more(state, &text);
                            break;
                        }
                        Err(_) => break,
                    };
                    match append_more(state, &text) {
                        Ok((_, next)) => state = next,
                        Err(_) => break,
                    }
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
