//! One file per subcommand.

pub mod check_config;
pub mod drain;
pub mod export;
pub mod import;
pub mod mailbox;
pub mod reload;
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

/// Seconds since 1970.
fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
