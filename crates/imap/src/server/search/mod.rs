//! SEARCH as a tree that is evaluated with what is known so far (RFC 3501 §6.4.4).
//!
//! A message is judged with as little as possible: first by the view (flags, dates, sizes, numbers), then by the structure
//! stored at delivery (ENVELOPE fields, Date), then by its header, and only then by its text, which is streamed once for all
//! the texts sought. Each stage answers "yes", "no" or "not known yet".
//!
//! Texts are found as exact substrings, whatever the case, in decoded headers and decoded text parts. Address fields are
//! compared in the form `Name <local@domain>`, decoded.
//!
//! Memory: one batch of structures, one header, one piece of text, and the numbers found.

mod key;
mod scan;

use std::sync::Arc;

use mail::Entry;
use mail::header;
use mail::mime::Structure;
use tokio_util::sync::CancellationToken;

pub(super) use self::key::Plan;
use self::key::{Facts, Header};
use self::scan::scan;
use super::Ended;
use super::commands::fetch;
use super::reply::Stop;
use super::selected::Selected;
use crate::backend::MessageBody;

/// Messages judged by the view alone before other tasks get their turn.
const TURN: usize = 1024;
/// Messages whose structures are in memory at once.
const BATCH: usize = 32;
/// Octets of a header that are searched.
const MAX_HEADER: u64 = 512 * 1024;

/// The positions (from 0) of the messages that match, ascending.
pub(super) async fn run(selected: &Selected, plan: &Plan, shutdown: &CancellationToken) -> Result<Vec<u32>, Stop> {
    let mut found = Vec::new();
    let mut undecided: Vec<u32> = Vec::new();
    let latest = selected.latest();
    let whole = Arc::ptr_eq(&latest, &selected.told);
    for (i, entry) in selected.told.iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        // Counts of messages fit 32 bits, as their numbers do.
        let position = i as u32;
        match plan.judge(&Facts::of_view(position, entry)) {
            Some(false) => {}
            // What others expunged and this client was not told of yet matches nothing (RFC 2180 §4.3).
            _ if !whole && latest.find(entry.uid).is_none() => {}
            Some(true) => found.push(position),
            None => undecided.push(position),
        }
    }
    if undecided.is_empty() {
        return Ok(found);
    }
    for batch in undecided.chunks(BATCH) {
        if shutdown.is_cancelled() {
            return Err(Ended::Bye("The server is stopping").into());
        }
        let batch: Vec<(u32, Entry)> =
            batch.iter().filter_map(|p| Some((*p, *selected.told.get(*p as usize)?))).collect();
        let bodies: Vec<u64> = batch.iter().map(|(_, e)| e.body).collect();
        let structures = selected.folder.structures(&bodies).await?;
        for ((position, entry), structure) in batch.iter().zip(structures) {
            let Some(structure) = structure else { continue };
            if judge_message(selected, plan, *position, entry, &structure).await? {
                found.push(*position);
            }
            tokio::task::yield_now().await;
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Judges a message that the view did not decide.
async fn judge_message(
    selected: &Selected,
    plan: &Plan,
    position: u32,
    entry: &Entry,
    structure: &Structure,
) -> Result<bool, Stop> {
    let mut facts = Facts::of_view(position, entry);
    facts.structure = Some(structure);
    if let Some(verdict) = plan.judge(&facts) {
        return Ok(verdict);
    }
    let Some(body) = selected.folder.body(entry.body).await? else { return Ok(false) };
    let block;
    if plan.needs_header() {
        block = Header::new(&header_block(&*body, structure).await?);
        facts.header = Some(&block);
        if let Some(verdict) = plan.judge(&facts) {
            return Ok(verdict);
        }
    }
    let contents = scan(&*body, structure, plan.sought()).await?;
    facts.contents = Some(&contents);
    // Everything is known now.
    Ok(plan.judge(&facts).unwrap_or(false))
}

async fn header_block(body: &dyn MessageBody, structure: &Structure) -> Result<Vec<u8>, Stop> {
    let range = structure.header_range();
    let end = range.end.min(range.start + MAX_HEADER).min(body.len());
    Ok(fetch::read(body, range.start..end).await?)
}

/// A text as it is compared: lower case.
fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().flat_map(char::to_lowercase).collect() }
}

/// Header texts as they are compared.
fn fold_words(value: &str) -> String {
    fold(&header::decode_words(value))
}
