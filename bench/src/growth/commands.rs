//! What is asked of a session, and what its answer must be.

use super::fill::RARE;
use crate::imap::client::{Answer, Client};

/// How many messages a folder, which is opened, has.
pub fn exists(client: &mut Client, folder: &str) -> Result<u64, String> {
    let answer = client.command(&format!("SELECT {folder}"))?;
    let line = answer.notes.iter().find(|n| n.ends_with(" EXISTS")).ok_or("no EXISTS")?;
    line.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or_else(|| line.clone())
}

/// The number behind a code in brackets of an answer, `HIGHESTMODSEQ` or `UIDNEXT`.
pub fn told(answer: &Answer, code: &str) -> Result<u64, String> {
    let number = |note: &String| note.split_once(&format!("[{code} "))?.1.split(']').next()?.parse().ok();
    answer.notes.iter().find_map(number).ok_or_else(|| format!("no {code}"))
}

/// Fetches these items of the last `many` of `there` messages.
pub fn fetch_last(client: &mut Client, there: u64, many: u64, items: &str) -> Result<Answer, String> {
    let first = (there + 1).saturating_sub(many).max(1);
    let answer = client.command(&format!("FETCH {first}:{there} ({items})"))?;
    expect(answer.fetched, there + 1 - first)?;
    Ok(answer)
}

/// Fetches these items of all of `there` messages.
pub fn fetch_all(client: &mut Client, there: u64, items: &str) -> Result<(), String> {
    expect(client.command(&format!("FETCH 1:* {items}"))?.fetched, there)
}

/// Fails when not as many messages were told as were due.
pub fn expect(fetched: usize, due: u64) -> Result<(), String> {
    if fetched as u64 == due { Ok(()) } else { Err(format!("{fetched} answers, {due} were due")) }
}

/// Searches what five messages have.
pub fn search_five(client: &mut Client, key: &str) -> Result<(), String> {
    let found = client.command(&format!("SEARCH {key}"))?.last;
    // `* SEARCH` and five numbers.
    if found.split(' ').count() == 7 { Ok(()) } else { Err(format!("five were due: {found}")) }
}

/// Searches the word of five messages.
pub fn search_rare(client: &mut Client) -> Result<(), String> {
    search_five(client, &format!("TEXT {RARE}"))
}
