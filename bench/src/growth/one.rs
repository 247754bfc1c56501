//! One mailbox that grows.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::fill::{Filled, RARE, message};
use super::{Chart, Figures, Options, ms};
use crate::imap::Mailstore;
use crate::imap::client::{Client, connector};
use crate::imap::ours::Ours;
use crate::imap::process;

/// Messages whose flags are asked at once.
const LAST: u64 = 100;
/// How long the server spends nothing when it is at rest: longer than the index waits for more.
const REST: Duration = Duration::from_secs(8);

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
    figures.time(Chart::Messages, "upkeep", count, 5, |_| store.maintain())?;
    let mut behind = Vec::new();
    for run in 0..5 {
        behind.push(store.behind_upkeep(mailbox, 10_000_000 + count * 10 + run * 1_000_000_000)?);
    }
    figures.note(Chart::Messages, "delivery behind upkeep", count, behind);
    store.close();

    let connector = connector()?;
    let mut cold = Vec::new();
    let mut both = Vec::new();
    let mut grown = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        ours.begin()?;
        greeted(ours.address())?;
        starts.push(ms(began));
        let mut client = Client::open(&connector, ours.address(), &ours.login(0))?;
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
    let mut other = Client::open(&connector, ours.address(), &ours.login(0))?;
    other.command("SELECT INBOX")?;
    let mut client = Client::open(&connector, ours.address(), &ours.login(0))?;
    let there = exists(&mut client)?;

    let mut warm = Vec::new();
    for _ in 0..runs {
        client.command("SELECT Trash")?;
        let began = Instant::now();
        client.command("SELECT INBOX")?;
        warm.push(ms(began));
    }
    figures.note(Chart::Messages, "SELECT, warm", count, warm);
    if indexed {
        figures.time(Chart::Messages, "SEARCH of a word in 5", count, runs, |_| {
            let found = client.command(&format!("SEARCH TEXT {RARE}"))?.last;
            // `* SEARCH` and five numbers.
            if found.split(' ').count() == 7 { Ok(()) } else { Err(format!("five were due: {found}")) }
        })?;
        figures.time(Chart::Messages, "SEARCH of a word in none", count, runs, |_| {
            client.command("SEARCH BODY introuvable").map(drop)
        })?;
    }
    figures.time(Chart::Messages, "FETCH FLAGS of the last 100", count, runs, |_| {
        let fetched = client.command(&format!("FETCH {}:{there} (FLAGS)", there + 1 - LAST))?.fetched;
        if fetched as u64 == LAST { Ok(()) } else { Err(format!("{fetched} answers")) }
    })?;
    changes(&mut client, there, count, options, figures)?;
    comings(&mut client, &mut other, count, options, figures)?;
    figures.time(Chart::All, "FETCH FLAGS of all", count, 5, |_| client.command("FETCH 1:* (FLAGS)").map(drop))?;
    ours.end();
    Ok(())
}

/// Flags that change, and what a client that was away is told.
fn changes(
    client: &mut Client,
    there: u64,
    count: u64,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    client.command("ENABLE CONDSTORE")?;
    let (mut one, mut since) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        let answer = client.command("SELECT INBOX")?;
        let modseq = answer
            .notes
            .iter()
            .find_map(|n| n.split_once("HIGHESTMODSEQ ")?.1.split(']').next())
            .ok_or("no HIGHESTMODSEQ")?
            .to_owned();
        let sign = if run % 2 == 0 { '+' } else { '-' };
        let began = Instant::now();
        client.command(&format!("STORE {} {sign}FLAGS.SILENT (\\Answered)", there / 2))?;
        one.push(ms(began));
        let began = Instant::now();
        let answer = client.command(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"))?;
        since.push(ms(began));
        if answer.fetched != 1 {
            return Err(format!("CHANGEDSINCE: {} answers", answer.fetched));
        }
    }
    figures.note(Chart::Messages, "STORE of one", count, one);
    figures.note(Chart::Messages, "CHANGEDSINCE, one changed", count, since);
    figures.time(Chart::All, "STORE of all", count, 6, |run| {
        let sign = if run % 2 == 0 { '+' } else { '-' };
        client.command(&format!("STORE 1:* {sign}FLAGS.SILENT (\\Flagged)")).map(drop)
    })?;
    let mut expunge = Vec::new();
    for _ in 0..options.runs {
        client.command(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", there / 3))?;
        let began = Instant::now();
        client.command("EXPUNGE")?;
        expunge.push(ms(began));
    }
    figures.note(Chart::Messages, "EXPUNGE of one", count, expunge);
    Ok(())
}

/// Messages that come, and who is told.
fn comings(
    client: &mut Client,
    other: &mut Client,
    count: u64,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    let (mut appends, mut told) = (Vec::new(), Vec::new());
    other.command("NOOP")?;
    for run in 0..options.runs {
        let text = message(2_000_000_000 + run as u64);
        let tag = other.next_tag();
        other.send(format!("a{tag} IDLE\r\n").as_bytes())?;
        other.continuation()?;
        let began = Instant::now();
        let append = client.next_tag();
        client.send(format!("a{append} APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len()).as_bytes())?;
        // Both are read at the same time, as two clients would.
        let times = std::thread::scope(|scope| {
            let idle = scope.spawn(|| other.untagged("EXISTS").map(|()| ms(began)));
            let append = client.answer(append).map(|_| ms(began))?;
            Ok::<_, String>((append, idle.join().map_err(|_| "a client failed".to_owned())??))
        })?;
        appends.push(times.0);
        told.push(times.1);
        other.send(b"DONE\r\n")?;
        other.answer(tag)?;
    }
    figures.note(Chart::Messages, "APPEND of one", count, appends);
    figures.note(Chart::Messages, "APPEND to EXISTS in IDLE", count, told);
    Ok(())
}

fn exists(client: &mut Client) -> Result<u64, String> {
    let answer = client.command("SELECT INBOX")?;
    let line = answer.notes.iter().find(|n| n.ends_with(" EXISTS")).ok_or("no EXISTS")?;
    line.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or_else(|| line.clone())
}

/// Waits for the greeting: the port takes connections before the store is open.
pub fn greeted(address: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|e| e.to_string())?;
    if line.starts_with("* OK") { Ok(()) } else { Err(format!("greeted with {line:?}")) }
}

/// Waits until the server spends nothing: what arrived is indexed. `false`: it does not within so many seconds.
pub fn rest(ours: &Ours, patience: u64) -> Result<bool, String> {
    let pid = ours.running().ok_or("the server does not run")?;
    let spent = || process::cpu(pid);
    let began = Instant::now();
    let (mut since, mut before) = (Instant::now(), spent()?);
    while since.elapsed() < REST {
        if began.elapsed().as_secs() > patience {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_secs(1));
        let now = spent()?;
        // One that wants to run and is not let, on a loaded machine, is not at rest.
        if now - before > 0.03 || wants_to_run(pid) {
            since = Instant::now();
        }
        before = now;
    }
    Ok(true)
}

/// Whether a thread of a process is running or waits for a processor.
fn wants_to_run(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok())
        .any(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['R', 'D'])))
}
