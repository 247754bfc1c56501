//! `vaguemestre serve`: one operator, in the foreground.

use std::path::PathBuf;

use operator::{Addresses, Operator};
use trust::SystemClock;

use super::{load, say};
use crate::failure::Failure;
use crate::runtime::block_on;
use crate::signals::Signals;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs in the foreground until Ctrl-C or SIGTERM, which let messages under way be answered; a second one \
    ends the process at once.\n\nExamples:\n  vaguemestre serve --config /etc/vaguemestre/vaguemestre.toml\n  \
    RUST_LOG=info,smtp=debug vaguemestre serve --config vaguemestre.toml --log-format json\n\n\
    docs/operator.md is the operator's guide; docs/vaguemestre.toml explains every key."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Runs until a signal.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = load(&args.config)?;
    block_on(async {
        let mut signals = Signals::listen()?;
        let name = config.operator.name.clone();
        let operator = tokio::select! {
            started = Operator::start(config, SystemClock::shared()) => started?,
            () = signals.next() => return Ok(()),
        };
        tell(&name, &operator.addresses);
        signals.next().await;
        tracing::info!("stopping");
        signals.unless_again(operator.stop()).await;
        Ok(())
    })
}

/// Tells on standard output where the operator listens: one line per entry point, for people and scripts that wait for it.
fn tell(name: &str, addresses: &Addresses) {
    say(format_args!("{name} is up"));
    let entries = [
        ("imap", addresses.imap),
        ("submission", addresses.submission),
        ("imap_app", addresses.imap_app),
        ("submission_app", addresses.submission_app),
        ("mx", addresses.mx),
        ("autoconfig", addresses.autoconfig),
    ];
    for (entry, address) in entries {
        if let Some(address) = address {
            say(format_args!("  {entry:<15} {address}"));
        }
    }
}
