//! One file per subcommand.

pub mod backup;
pub mod check_config;
pub mod completions;
pub mod control;
pub mod drain;
pub mod export;
pub mod fsck;
pub mod import;
pub mod keys;
pub mod lps;
pub mod mailbox;
pub mod reload;
pub mod restore;
pub mod sandbox;
pub mod serve;
pub mod token;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use operator::Config;

use crate::failure::Failure;

/// A line of the answer on standard output. Whoever reads it may have gone (`| head`): that is no reason to fail, and still less for
/// a sandbox to stop.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Reads a configuration file; the failure tells every problem with its line and remedy.
fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|problems| {
        let mut text = format!("{} problem(s) in the configuration:", problems.len());
        for problem in &problems {
            text.push_str(&format!("\n{problem}"));
        }
        Failure::new(text)
    })
}

/// Files made beside the server must be its user's, or it cannot use them.
fn as_owner(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let (Ok(folder_facts), Ok(process)) = (std::fs::metadata(folder), std::fs::metadata("/proc/self")) else {
        return Ok(());
    };
    if folder_facts.uid() == process.uid() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} belongs to another user (number {}): run this as that user, e.g. runuser -u vaguemestre -- vaguemestre …",
        folder.display(),
        folder_facts.uid()
    )))
}

/// `12.3 MB`.
fn octets(count: u64) -> String {
    let count = count as f64;
    match count {
        c if c < 1e6 => format!("{:.1} kB", c / 1e3),
        c if c < 1e9 => format!("{:.1} MB", c / 1e6),
        c => format!("{:.1} GB", c / 1e9),
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// Seconds since 1970 as a date, in UTC.
fn date(seconds: i64) -> String {
    let instant = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    instant
        .and_then(|instant| instant.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
