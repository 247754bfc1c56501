//! `vaguemestre drain`: a running server stops cleanly.

use std::path::PathBuf;

use super::{load, say};
use crate::admin;
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "No new connections; idle sessions are told goodbye; commands, incoming messages and attempts of the queue under way \
    have stop.shutdown_grace_seconds to end. SIGTERM does the same.\n\nExample:\n  vaguemestre drain --config \
    /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Asks.
pub fn run(args: Args) -> Result<(), Failure> {
    let answer = admin::post(&load(&args.config)?, "/drain")?;
    if answer.status != 202 {
        return Err(Failure::new(format!("the server answers {}: {}", answer.status, answer.body.trim_end())));
    }
    say("the server stops");
    Ok(())
}
