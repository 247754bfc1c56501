//! How cost grows: the same operation in mailboxes of 1,000 to 1,000,000 messages, and among 10 to 100,000 mailboxes.
//!
//! The server is the real one, spoken to by IMAP over TLS; it is filled through the store while it is stopped, since a million
//! messages by IMAP would measure nothing else. What no client does (create a mailbox, upkeep) is timed in the store.

mod arrivals;
mod changes;
mod commands;
mod fill;
mod many;
mod one;
mod reads;
mod rest;
mod table;
mod visits;

use std::path::PathBuf;
use std::time::Instant;

use crate::imap::ours::Ours;

/// How often what touches every message is timed.
const ALL: usize = 5;
/// The messages of a screen: the last of a folder, whose flags and envelopes are asked at once.
const LAST: u64 = 100;

/// What is measured.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Messages in one mailbox, growing; none: `--messages 0`.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    messages: Vec<u64>,
    /// Mailboxes, growing; none: `--mailboxes 0`.
    #[arg(long, value_delimiter = ',', default_value = "10,1000,100000")]
    mailboxes: Vec<u32>,
    /// Each is timed so often (what touches every message: six times at most).
    #[arg(long, default_value_t = 31)]
    runs: usize,
    /// Seconds the search index may take; searches are not timed when it is not ready by then.
    #[arg(long, default_value_t = 1800)]
    index_wait: u64,
    /// The server under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where the data are: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench-growth")]
    folder: PathBuf,
    /// The figures, for `bench/plot`: chart, series, how many, best, median, separated by tabs.
    #[arg(long, default_value = "target/growth.tsv")]
    tsv: PathBuf,
    /// Also write the tables to this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// The figures of one operation at one size.
pub struct Point {
    /// Which picture and table it is of.
    pub chart: Chart,
    /// The operation.
    pub series: &'static str,
    /// How many messages or mailboxes there are.
    pub count: u64,
    /// Milliseconds, or MB for memory: the least of the runs.
    pub best: f64,
    /// The median of the runs.
    pub median: f64,
}

/// A picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// What is read of one message of a mailbox, or a few.
    Messages,
    /// Messages that come, change and go, one or a few.
    Changes,
    /// Operations that say or change something of every message.
    All,
    /// Among mailboxes.
    Mailboxes,
    /// Memory.
    Memory,
}

impl Chart {
    pub fn name(self) -> &'static str {
        match self {
            Chart::Messages => "messages",
            Chart::Changes => "changes",
            Chart::All => "all",
            Chart::Mailboxes => "mailboxes",
            Chart::Memory => "memory",
        }
    }
}

/// Figures as they come.
#[derive(Default)]
pub struct Figures(pub Vec<Point>);

impl Figures {
    /// Notes values of one operation.
    pub fn note(&mut self, chart: Chart, series: &'static str, count: u64, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        let Some((best, median)) = values.first().copied().zip(values.get(values.len() / 2).copied()) else { return };
        eprintln!("{count:>8} {series}: best {best:.3}, median {median:.3}");
        self.0.push(Point { chart, series, count, best, median });
    }

    /// Times `work` and notes it.
    pub fn time(
        &mut self,
        chart: Chart,
        series: &'static str,
        count: u64,
        runs: usize,
        mut work: impl FnMut(usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut values = Vec::with_capacity(runs);
        for run in 0..runs {
            let began = Instant::now();
            work(run).map_err(|e| format!("{series}: {e}"))?;
            values.push(ms(began));
        }
        self.note(chart, series, count, values);
        Ok(())
    }
}

/// Milliseconds since.
pub fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), String> {
    let mut figures = Figures::default();
    let messages: Vec<u64> = options.messages.iter().copied().filter(|n| *n > 0).collect();
    let mailboxes: Vec<u32> = options.mailboxes.iter().copied().filter(|n| *n > 0).collect();
    if !messages.is_empty() {
        let mut ours = Ours::start(&options.folder, &options.binary, 1)?;
        for count in messages {
            let outcome = one::measure(&mut ours, count, options, &mut figures);
            // What was measured before something failed is kept.
            table::write(&figures, options)?;
            outcome?;
        }
    }
    if !mailboxes.is_empty() {
        let mut ours = Ours::start(&options.folder, &options.binary, 1)?;
        for count in mailboxes {
            let outcome = many::measure(&mut ours, count, options, &mut figures);
            table::write(&figures, options)?;
            outcome?;
        }
    }
    println!("{}", table::markdown(&figures));
    Ok(())
}
