//! Mailboxes that become many.

use std::time::Instant;

use super::fill::Filled;
use super::rest::{greeted, rest};
use super::{Chart, Figures, Options, ms, visits};
use crate::imap::Mailstore;
use crate::imap::client::{Client, context};
use crate::imap::messages::Dice;
use crate::imap::ours::Ours;

/// Deliveries whose rate is taken.
const SPREAD: usize = 4000;
/// Mailboxes opened before memory is looked at again.
const OPENED: usize = 200;

/// Makes mailboxes up to `count` and measures.
pub fn measure(ours: &mut Ours, count: u32, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let total = u64::from(count);
    ours.end();
    let folder = ours.store()?;
    let store = Filled::open(&folder)?;
    let began = Instant::now();
    // Mailboxes 0.. are there up to the last of an earlier, smaller count; those made one by one come last.
    let there = (0..count).take_while(|n| store.find(&ours.mailbox(*n as usize)).is_ok()).count();
    let alone = options.runs.min((count as usize - there) / 2);
    let last = count as usize - alone;
    store.create_all((there..last).map(|n| ours.mailbox(n)).collect())?;
    eprintln!("{count:>8} mailboxes: {} more in {:.1} s", last - there, ms(began) / 1000.0);
    figures
        .time(Chart::Mailboxes, "create one", total, alone, |run| store.create(&ours.mailbox(last + run)).map(drop))?;
    store.close();
    let mut opens = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let store = Filled::open(&folder)?;
        opens.push(ms(began));
        store.close();
    }
    figures.note(Chart::Mailboxes, "open the store", total, opens);
    let store = Filled::open(&folder)?;
    let mut dice = Dice(total);
    let mut draw = |many: usize| {
        (0..many).map(|_| store.find(&ours.mailbox(dice.below(count as usize)))).collect::<Result<Vec<_>, _>>()
    };
    let (drawn, spread) = (draw(101)?, draw(SPREAD)?);
    figures.time(Chart::Mailboxes, "deliver to one", total, drawn.len(), |run| {
        store.deliver(drawn[run], 3_000_000_000 + run as u64)
    })?;
    let mut rates = Vec::new();
    for run in 0..3 {
        let began = Instant::now();
        store.spread(&spread, 4_000_000_000 + run * 1_000_000)?;
        rates.push(ms(began) / SPREAD as f64);
    }
    figures.note(Chart::Mailboxes, "deliver to many, each", total, rates);
    figures.time(Chart::Mailboxes, "upkeep", total, 5, |_| store.maintain())?;
    store.close();

    let (mut starts, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.end();
        let began = Instant::now();
        ours.begin()?;
        greeted(ours.address())?;
        starts.push(ms(began));
        memory.push(ours.memory()? as f64 / 1e6);
    }
    figures.note(Chart::Mailboxes, "start of the server", total, starts);
    figures.note(Chart::Memory, "server started", total, memory);
    rest(ours, options.index_wait)?;
    let context = context()?;
    let mut values = Vec::new();
    for _ in 0..OPENED.min(count as usize * 4) {
        let number = dice.below(count as usize);
        let began = Instant::now();
        let mut client = Client::open(&context, ours.address(), &ours.login(number))?;
        client.command("SELECT INBOX")?;
        values.push(ms(began));
    }
    figures.note(Chart::Mailboxes, "log in and SELECT", total, values);
    figures.note(Chart::Memory, "server, 200 mailboxes opened", total, vec![ours.memory()? as f64 / 1e6]);
    visits::measure(ours, there..count as usize, &mut dice, options, figures)?;
    ours.end();
    Ok(())
}
