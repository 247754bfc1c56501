//! `vaguemestre serve`: one operator, in the foreground.

use std::path::PathBuf;

use operator::{Addresses, Operator};
use trust::SystemClock;

use super::{load, say};
use crate::failure::Failure;
use crate::logging::{self, Format};
use crate::notify;
use crate::runtime::block_on;
use crate::signals::Signals;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs in the foreground until Ctrl-C or SIGTERM, which let commands and messages under way end; a second one \
    ends the process at once. SIGHUP reads the configuration and the certificates again.\n\nExamples:\n  vaguemestre serve --config /etc/vaguemestre/vaguemestre.toml\n  \
    RUST_LOG=info,smtp=debug vaguemestre serve --config vaguemestre.toml --log-format json\n\n\
    docs/operator.md is the operator's guide; docs/vaguemestre.toml explains every key."
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Runs until a signal.
pub fn run(args: Args, format: Option<Format>) -> Result<(), Failure> {
    let config = load(&args.config)?;
    logging::start(format.unwrap_or(config.log.format.into()), &logging::directives(config.log.level));
    block_on(async {
        let mut signals = Signals::listen()?.with_hang_up()?;
        let name = config.operator.name.clone();
        let operator = tokio::select! {
            started = Operator::start(config, SystemClock::shared()) => started?,
            () = signals.next() => return Ok(()),
        };
        tell(&name, &operator.addresses);
        notify::tell(notify::READY);
        tokio::spawn(notify::watchdog());
        let mut configurations = operator.configurations();
        loop {
            let stop = tokio::select! {
                stop = signals.next_of_both() => stop,
                () = operator.stop_asked() => true,
                changed = configurations.changed() => {
                    if changed.is_ok() {
                        logging::set(configurations.borrow_and_update().log.level);
                    }
                    continue;
                }
            };
            if stop {
                break;
            }
            // Told in the log; a second signal meanwhile waits its turn.
            let _ = operator.reload().await;
        }
        tracing::info!("stopping");
        notify::tell(notify::STOPPING);
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
        ("monitoring", addresses.monitoring),
    ];
    for (entry, address) in entries {
        if let Some(address) = address {
            say(format_args!("  {entry:<15} {address}"));
        }
    }
}
