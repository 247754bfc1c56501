//! `vaguemestre control …`: one file per subcommand.

mod tls;

use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Looks at the TLS of any server: versions, suites, groups, certificates, hardening.
    Tls(tls::Args),
}

/// Runs it.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Tls(args) => tls::run(args),
    }
}
