//! Messages of one mailbox that change: their flags, and those that go.

use std::time::Instant;

use super::commands::{expect, told};
use super::{ALL, Chart, Figures, Options, ms};
use crate::imap::client::Client;

/// One of `there` messages and all of them, and what a client that was away is told.
pub fn measure(
    client: &mut Client,
    there: u64,
    count: u64,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), String> {
    client.command("ENABLE CONDSTORE")?;
    let (mut one, mut since) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        let modseq = told(&client.command("SELECT INBOX")?, "HIGHESTMODSEQ")?;
        let sign = if run % 2 == 0 { '+' } else { '-' };
        let began = Instant::now();
        client.command(&format!("STORE {} {sign}FLAGS.SILENT (\\Answered)", there / 2))?;
        one.push(ms(began));
        let began = Instant::now();
        let answer = client.command(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"))?;
        since.push(ms(began));
        expect(answer.fetched, 1).map_err(|e| format!("CHANGEDSINCE: {e}"))?;
    }
    figures.note(Chart::Changes, "STORE of one", count, one);
    figures.note(Chart::Messages, "CHANGEDSINCE, one changed", count, since);
    let (mut all, mut since_all) = (Vec::new(), Vec::new());
    // An even number: all are as they were.
    for run in 0..ALL + 1 {
        let modseq = told(&client.command("SELECT INBOX")?, "HIGHESTMODSEQ")?;
        let sign = if run % 2 == 0 { '+' } else { '-' };
        let began = Instant::now();
        client.command(&format!("STORE 1:* {sign}FLAGS.SILENT (\\Flagged)"))?;
        all.push(ms(began));
        let began = Instant::now();
        let answer = client.command(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"))?;
        since_all.push(ms(began));
        expect(answer.fetched, there).map_err(|e| format!("CHANGEDSINCE: {e}"))?;
    }
    figures.note(Chart::All, "STORE of all", count, all);
    figures.note(Chart::All, "CHANGEDSINCE, all changed", count, since_all);
    let mut expunge = Vec::new();
    for _ in 0..options.runs {
        client.command(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", there / 3))?;
        let began = Instant::now();
        client.command("EXPUNGE")?;
        expunge.push(ms(began));
    }
    figures.note(Chart::Changes, "EXPUNGE of one", count, expunge);
    Ok(())
}
