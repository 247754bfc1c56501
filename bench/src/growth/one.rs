//! One mailbox that grows.

use std::time::Instant;

use super::commands::exists;
use super::fill::Filled;
use super::rest::{greeted, rest};
use super::{Chart, Figures, Options, arrivals, changes, ms, reads};
use crate::imap::Mailstore;
use crate::imap::client::{Client, context};
use crate::imap::ours::Ours;

/// Fills INBOX up to `count` and measures.
pub fn measure(ours: &mut Ours, count: u64, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let runs = options.runs;
    ours.end();
    let store = Filled::open(&ours.store()?)?;
    let mailbox = store.find(&ours.mailbox(0))?;
    let began = Instant::now();
    let there = store.messages(mailbox)?;
    store.fill(mailbox, there, count)?;
    eprintln!("{count:>8} messages: {} more in {:.1} s", count - there, ms(began) / 1000.0);
    figures.time(Chart::Changes, "upkeep", count, 5, |_| store.maintain())?;
    let mut behind = Vec::new();
    for run in 0..5 {
        behind.push(store.behind_upkeep(mailbox, 10_000_000 + count * 10 + run * 1_000_000_000)?);
    }
    figures.note(Chart::Changes, "delivery behind upkeep", count, behind);
    store.close();

    let context = context()?;
    let mut cold = Vec::new();
    let mut both = Vec::new();
    let mut grown = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        ours.begin()?;
        greeted(ours.address())?;
        starts.push(ms(began));
        let mut client = Client::open(&context, ours.address(), &ours.login(0))?;
        let before = ours.memory()?;
        let began = Instant::now();
        client.command("SELECT INBOX")?;
        cold.push(ms(began));
        // Its messages are read behind the answer, and before the next.
        client.command("NOOP")?;
        both.push(ms(began));
        grown.push(ours.memory()?.saturating_sub(before) as f64 / 1e6);
        ours.end();
    }
    figures.note(Chart::All, "start of the server", count, starts);
    figures.note(Chart::All, "SELECT, first after a start", count, cold);
    figures.note(Chart::All, "SELECT, first after a start, and NOOP", count, both);
    figures.note(Chart::Memory, "open folder", count, grown);

    ours.begin()?;
    let began = Instant::now();
    let indexed = rest(ours, options.index_wait)?;
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{count:>8} messages: {} after {seconds:.0} s", if indexed { "indexed" } else { "not indexed" });
    // Somebody has the folder open.
    let mut other = Client::open(&context, ours.address(), &ours.login(0))?;
    other.command("SELECT INBOX")?;
    let mut client = Client::open(&context, ours.address(), &ours.login(0))?;
    let there = exists(&mut client, "INBOX")?;

    reads::measure(&mut client, count, indexed, options, figures)?;
    figures.time(Chart::Messages, "log in and SELECT", count, runs, |_| {
        Client::open(&context, ours.address(), &ours.login(0))?.command("SELECT INBOX").map(drop)
    })?;
    changes::measure(&mut client, there, count, options, figures)?;
    arrivals::one_by_one(&mut client, &mut other, count, options, figures)?;
    arrivals::by_smtp(ours, Chart::Changes, count, &[ours.mailbox(0)], figures)?;
    arrivals::bursts(&mut client, ours, count, figures)?;
    ours.end();
    Ok(())
}
