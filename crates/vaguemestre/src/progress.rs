//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Between two lines when nobody looks at a terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Progress of one piece of work, counted in `what` (messages, files, octets).
pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
    told: Instant,
    terminal: bool,
}

impl Progress {
    /// `total`: how many there will be, if that is known.
    pub fn new(what: &'static str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:30} {pos}/{len} {msg}  {rate}  {eta} left",
            None => "{spinner} {pos} {msg}  {rate}",
        };
        Self::with(what, total, template)
    }

    /// Of octets, which are told in larger units to who looks; how many there will be is said by [`Progress::set`].
    pub fn octets() -> Self {
        Self::with(
            "octets",
            Some(0),
            "{bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
        )
    }

    fn with(what: &'static str, total: Option<u64>, template: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        // Shown once something is known of it: its style and its words alone would be drawn as nothing of nothing.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // To a text in memory.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message(what);
        if terminal {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Progress { bar, what, told: Instant::now(), terminal }
    }

    /// So many more are done.
    pub fn add(&mut self, count: u64) {
        self.bar.inc(count);
        if !self.terminal && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let of = self.bar.length().map_or(String::new(), |length| format!(" of {length}"));
            eprintln!("{}{of} {}", self.bar.position(), self.what);
        }
    }

    /// So many of `total` are done, as far as is known now.
    pub fn set(&mut self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
        }
        self.add(done.saturating_sub(self.bar.position()));
    }

    /// A line that stays, above the bar.
    pub fn note(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// The end.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
