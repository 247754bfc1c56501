//! `vaguemestre control serve`: the control application in the browser, in the foreground.

use std::path::PathBuf;

use desk::Desk;
use desk::config::Config;
use desk::hosting::{Hosting, Opened};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::tls::{Acceptor, Identity, Profile, ServerTls};

use crate::commands::say;
use crate::failure::Failure;
use crate::runtime::block_on;
use crate::signals::Signals;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs until Ctrl-C or SIGTERM; campaigns under way go on at the next start. While there is no account, a code written on standard \
    output makes the first one. docs/control.md explains the file.\n\nExample:\n  vaguemestre control serve --config controle.toml"
)]
pub struct Args {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

/// Runs until a signal.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let identity = Identity::from_files(&config.certificate, &config.key)?;
    let tls = Acceptor::new(ServerTls::new(identity.clone(), Profile::Https))?;
    block_on(async {
        let mut signals = Signals::listen()?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| Failure::new(format!("{}: {error}", config.listen)))?;
        let shutdown = CancellationToken::new();
        let mut settings = config.settings();
        if !config.sections().is_empty() {
            let opened =
                Opened { sections: config.sections(), identity, folder: &config.data, clock: settings.clock.clone() };
            settings.hosting = Some(Hosting::open(opened, &shutdown).await?);
        }
        let hosting = settings.hosting.clone();
        // A database that is away is waited for.
        let desk = tokio::select! {
            desk = Desk::open(settings, shutdown.clone()) => desk?,
            () = signals.next() => {
                shutdown.cancel();
                return Ok(());
            }
        };
        say(format_args!("{} is up, on {}", config.url, listener.local_addr()?));
        if let Some(code) = desk.first_code() {
            say(format_args!(
                "No account yet: {}/premier-compte makes the first one, with the code {code}",
                config.url
            ));
        }
        let pages = tokio::spawn(trust::http::serve(listener, Some(tls), desk.router(), shutdown.clone()));
        let campaigns = tokio::spawn(desk.schedule());
        signals.next().await;
        say("Stopping.");
        shutdown.cancel();
        signals
            .unless_again(async {
                let _ = campaigns.await;
                let _ = pages.await;
                if let Some(hosting) = hosting {
                    hosting.wait().await;
                }
            })
            .await;
        Ok(())
    })
}

/// `vaguemestre control records`: what is to be published for `[stub]`, `[traps]`, `[white_list]` and `[revocation]`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lines of a zone file, and as comments the entries of the white list. Nothing is changed anywhere."
)]
pub struct RecordsArgs {
    /// The configuration file of `control serve`.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

/// Writes them.
pub fn records(args: RecordsArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    say(desk::hosting::records(config.sections()).trim_end());
    Ok(())
}
