//! `vaguemestre reload`: a running server reads its configuration again.

use std::path::PathBuf;

use serde_json::Value;

use super::{load, say};
use crate::admin;
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Certificates, keys, authorities, white list, Pro Santé Connect, limits and log level are put in force for the \
    connections to come; sessions go on. A configuration with a mistake changes nothing. SIGHUP does the same.\n\n\
    Example:\n  vaguemestre reload --config /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Asks and tells.
pub fn run(args: Args) -> Result<(), Failure> {
    let answer = admin::post(&load(&args.config)?, "/reload")?;
    if answer.status != 200 {
        return Err(Failure::new(format!("nothing was changed: {}", answer.body.trim_end())));
    }
    let done: Value = serde_json::from_str(&answer.body)?;
    let keys = |of: &str| -> Vec<String> {
        done[of].as_array().into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect()
    };
    say("configuration, certificates and authorities read again");
    let (applied, restart) = (keys("applied"), keys("restart"));
    if !applied.is_empty() {
        say(format_args!("in force now: {}", applied.join(", ")));
    }
    if !restart.is_empty() {
        say(format_args!("changed, but only a restart applies them: {}", restart.join(", ")));
    }
    Ok(())
}
