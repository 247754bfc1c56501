//! Messages that come.

use std::time::Instant;

use super::commands::told;
use super::fill::message;
use super::{Chart, Figures, Options, ms};
use crate::imap::Mailstore;
use crate::imap::client::{self, Client, context};
use crate::imap::ours::Ours;
use crate::load;

/// Connections of a burst, and its messages.
const CONNECTIONS: usize = 10;
const BURST: usize = 500;
/// Bursts.
const BURSTS: usize = 5;
/// Messages that come by SMTP, and their octets: near what the mailbox is filled with.
const BY_SMTP: usize = 50;
const OCTETS: usize = 1000;

/// Messages that come, and who is told.
pub fn one_by_one(
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
    figures.note(Chart::Changes, "APPEND of one", count, appends);
    figures.note(Chart::Changes, "APPEND to EXISTS in IDLE", count, told);
    Ok(())
}

/// Messages that another operator sends on one connection, each to its 250, which is in the mailbox.
pub fn by_smtp(
    ours: &Ours,
    chart: Chart,
    count: u64,
    recipients: &[String],
    figures: &mut Figures,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let times = runtime.block_on(load::one_by_one(&ours.mx()?, recipients, BY_SMTP, OCTETS));
    figures.note(chart, "delivery by SMTP", count, times.map_err(|e| format!("SMTP: {e}"))?);
    Ok(())
}

/// Bursts of APPEND on many connections into the folder that `client` has open, each taken away afterwards: every one finds as many
/// messages as the one before.
pub fn bursts(client: &mut Client, ours: &Ours, count: u64, figures: &mut Figures) -> Result<(), String> {
    let context = context()?;
    let open = |_| Client::open(&context, ours.address(), &ours.login(0));
    let mut clients = (0..CONNECTIONS).map(open).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<String> = (0..BURST).map(|number| message(5_000_000_000 + number as u64)).collect();
    let mut each = Vec::new();
    for _ in 0..BURSTS {
        let first = told(&client.command("SELECT INBOX")?, "UIDNEXT")?;
        let took = client::burst(&mut clients, BURST, |number| &texts[number])?;
        each.push(took.as_secs_f64() * 1000.0 / BURST as f64);
        client.command("NOOP")?;
        client.command(&format!("UID STORE {first}:* +FLAGS.SILENT (\\Deleted)"))?;
        client.command("EXPUNGE")?;
    }
    figures.note(Chart::Changes, "APPEND on ten connections, each", count, each);
    Ok(())
}
