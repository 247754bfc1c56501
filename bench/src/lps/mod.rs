//! The client library: what mail software pays for it.

mod compose;
mod open;

use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub enum Options {
    /// Messages made per second with a document of 100 KB; memory while sending 25 MB.
    Compose(compose::Options),
    /// Messages with documents opened per second; conversations made.
    Open(open::Options),
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    match options {
        Options::Compose(options) => compose::run(options),
        Options::Open(options) => open::run(options),
//! The client library (`lps`), beside other programs where there are others. One file per measure: it gives [`Row`]s.

mod dovecot;
mod sync;

use std::path::PathBuf;

use crate::report::{command, machine};

/// What is measured.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Only these measures, of: sync.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Messages of the folder that is synchronised.
    #[arg(long, default_value_t = 50_000)]
    pub messages: usize,
    /// Octets of attachment of each, besides some 3 KB of text.
    #[arg(long, default_value_t = 2_000)]
    pub attachment: usize,
    /// The program under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    pub binary: PathBuf,
    /// Where servers and copies are kept: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench/lps")]
    pub folder: PathBuf,
    /// Also write the table to this Markdown file.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}

/// A line of the table: the median of what was measured.
pub struct Row {
    /// What was done.
    pub what: String,
    /// Of what the value is.
    pub unit: &'static str,
    /// The value.
    pub value: f64,
}

impl Row {
    /// The median of some values.
    pub fn median(what: impl Into<String>, unit: &'static str, mut values: Vec<f64>) -> Row {
        values.sort_by(f64::total_cmp);
        Row { what: what.into(), unit, value: values.get(values.len() / 2).copied().unwrap_or(f64::NAN) }
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    let mut rows = Vec::new();
    if wanted("sync") {
        rows.extend(runtime.block_on(sync::measure(options))?);
    }
    let mut table = format!(
        "Median of {} runs; {}; commit {}.\n\n| what | unit | value |\n|---|---|---|\n",
        options.runs,
        machine(),
        command("git", &["rev-parse", "--short", "HEAD"])
    );
    for Row { what, unit, value } in &rows {
        table.push_str(&format!("| {what} | {unit} | {value:.2} |\n"));
    }
    println!("{table}");
    match &options.markdown {
        Some(path) => std::fs::write(path, table).map_err(|e| format!("{}: {e}", path.display())),
        None => Ok(()),
    }
}
