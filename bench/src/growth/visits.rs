//! What a session does in one of many mailboxes, in a folder of as many messages however many mailboxes there are.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

use super::commands::{exists, fetch_last, search_rare};
use super::fill::{Filled, message};
use super::rest::rest;
use super::{Chart, Figures, LAST, Options, arrivals, ms};
use crate::imap::Mailstore;
use crate::imap::client::{Client, context};
use crate::imap::messages::Dice;
use crate::imap::ours::Ours;

/// The folder: other measures put more into the INBOX of few mailboxes than into that of many.
const FOLDER: &str = "Archive";
/// Its messages: all five that have [`super::fill::RARE`] among them.
const MAIL: Range<u64> = 1..501;

/// Makes as many visits as there are runs, to mailboxes of which nobody made one before: those that came last.
pub fn measure(
    ours: &mut Ours,
    last: Range<usize>,
    dice: &mut Dice,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    let visited: Vec<usize> = (0..options.runs).map(|_| last.start + dice.below(last.len())).collect();
    ours.end();
    let store = Filled::open(&ours.store()?)?;
    for number in visited.iter().collect::<BTreeSet<_>>() {
        store.file(store.find(&ours.mailbox(*number))?, FOLDER, MAIL.start, MAIL.end)?;
    }
    store.close();
    ours.begin()?;
    let indexed = rest(ours, options.index_wait)?;

    let context = context()?;
    let (mut flags, mut searches, mut changes, mut appends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (visit, number) in visited.iter().enumerate() {
        let mut client = Client::open(&context, ours.address(), &ours.login(*number))?;
        let there = exists(&mut client, FOLDER)?;
        // The folder is read behind SELECT, and before the next.
        client.command("NOOP")?;
        let began = Instant::now();
        fetch_last(&mut client, there, LAST, "FLAGS")?;
        flags.push(ms(began));
        if indexed {
            let began = Instant::now();
            search_rare(&mut client)?;
            searches.push(ms(began));
        }
        let began = Instant::now();
        client.command(&format!("STORE {} +FLAGS.SILENT (\\Answered)", there / 2))?;
        changes.push(ms(began));
        // As it was, for another visit.
        client.command(&format!("STORE {} -FLAGS.SILENT (\\Answered)", there / 2))?;
        let text = message(6_000_000_000 + visit as u64);
        let began = Instant::now();
        client.append(FOLDER, &text)?;
        appends.push(ms(began));
    }
    let total = last.end as u64;
    figures.note(Chart::Mailboxes, "FETCH FLAGS of the last 100", total, flags);
    figures.note(Chart::Mailboxes, "SEARCH of a word in 5", total, searches);
    figures.note(Chart::Mailboxes, "STORE of one", total, changes);
    figures.note(Chart::Mailboxes, "APPEND of one", total, appends);
    let addresses: Vec<String> = visited.iter().map(|number| ours.mailbox(*number)).collect();
    arrivals::by_smtp(ours, Chart::Mailboxes, total, &addresses, figures)
}
