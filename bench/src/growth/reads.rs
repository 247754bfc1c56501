//! What is read of one mailbox.

use std::time::Instant;

use super::commands::{exists, fetch_all, fetch_last, search_five, search_rare};
use super::fill::SUBJECT;
use super::{ALL, Chart, Figures, LAST, Options, ms};
use crate::imap::client::Client;

/// Messages whose bodies are read at once.
const BODIES: u64 = 500;

/// SELECT, SEARCH when the index is whole, and FETCH of some and of all, in INBOX.
pub fn measure(
    client: &mut Client,
    count: u64,
    indexed: bool,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    let runs = options.runs;
    let mut warm = Vec::new();
    for _ in 0..runs {
        client.command("SELECT Trash")?;
        let began = Instant::now();
        client.command("SELECT INBOX")?;
        warm.push(ms(began));
    }
    figures.note(Chart::Messages, "SELECT, warm", count, warm);
    if indexed {
        searches(client, count, runs, figures)?;
    }
    let there = exists(client, "INBOX")?;
    figures.time(Chart::Messages, "FETCH FLAGS of the last 100", count, runs, |_| {
        fetch_last(client, there, LAST, "FLAGS").map(drop)
    })?;
    figures.time(Chart::Messages, "ENVELOPE BODYSTRUCTURE of the last 100", count, runs, |_| {
        fetch_last(client, there, LAST, "ENVELOPE BODYSTRUCTURE").map(drop)
    })?;
    let mut octets = 0;
    figures.time(Chart::Messages, "bodies of the last 500 (of 0.5 KB)", count, runs, |_| {
        octets = fetch_last(client, there, BODIES, "BODY.PEEK[]")?.octets;
        Ok(())
    })?;
    eprintln!("{count:>8} bodies of the last 500: {octets} octets in all");
    figures.time(Chart::All, "FETCH FLAGS of all", count, ALL, |_| fetch_all(client, there, "(FLAGS)"))?;
    figures.time(Chart::All, "ENVELOPE BODYSTRUCTURE of all", count, ALL, |_| {
        fetch_all(client, there, "(ENVELOPE BODYSTRUCTURE)")
    })
}

fn searches(client: &mut Client, count: u64, runs: usize, figures: &mut Figures) -> Result<(), String> {
    figures.time(Chart::Messages, "SEARCH of a word in 5", count, runs, |_| search_rare(client))?;
    figures.time(Chart::Messages, "SEARCH of a word in none", count, runs, |_| {
        client.command("SEARCH BODY introuvable").map(drop)
    })?;
    figures.time(Chart::Messages, "SEARCH SUBJECT, in 5", count, runs, |_| {
        search_five(client, &format!("SUBJECT {SUBJECT}"))
    })?;
    // Of every subject: the answer names every message.
    figures.time(Chart::All, "SEARCH SUBJECT, in all", count, ALL, |_| client.command("SEARCH SUBJECT rendu").map(drop))
}
