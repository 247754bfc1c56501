//! `vaguemestre control …`: one file per subcommand.

mod catalogue;
mod client;
mod reports;
mod run;
mod serve;
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
    /// Runs a campaign: one file defines everything.
    Run(run::Args),
    /// Controls mail software with a scripted operator; or only plays it, for somebody to try.
    Client(client::Args),
    /// Lists the cases of the catalogue.
    List(catalogue::ListArgs),
    /// Explains a case: what is done, what is expected, why, what to do.
    Explain(catalogue::ExplainArgs),
    /// Writes the report of a campaign in other forms.
    Report(reports::ReportArgs),
    /// Compares two campaigns.
    Compare(reports::CompareArgs),
    /// Signs a report with an organisation's certificate.
    Sign(reports::SignArgs),
    /// Checks that a report holds together: every proof, the chain over them, and its signature.
    Verify(reports::VerifyArgs),
    /// Serves the control application: pages for browsers, a REST API.
    Serve(serve::Args),
    /// Writes the DNS records that the traps and the stub of `control serve` need.
    Records(serve::RecordsArgs),
    /// Looks at the TLS of any server: versions, suites, groups, certificates, hardening.
    Tls(tls::Args),
}

/// Runs it.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Run(args) => run::run(args),
        Command::Client(args) => client::command(args),
        Command::List(args) => catalogue::list(args),
        Command::Explain(args) => catalogue::explain(args),
        Command::Report(args) => reports::report(args),
        Command::Compare(args) => reports::compare(args),
        Command::Sign(args) => reports::sign(args),
        Command::Verify(args) => reports::verify(args),
        Command::Serve(args) => serve::run(args),
        Command::Records(args) => serve::records(args),
        Command::Tls(args) => tls::run(args),
    }
}
