//! One file per subcommand.

pub mod check_config;
pub mod mailbox;
pub mod sandbox;
pub mod serve;
pub mod token;

use std::path::Path;

use operator::Config;

use crate::failure::Failure;

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
