//! The `vaguemestre` command: one file per subcommand under [`commands`].
//!
//! Exit codes: 0 done, 1 failed (the message on standard error says what to do), 2 wrong command line. Standard output holds
//! the answer and nothing else; the log goes to standard error.

mod admin;
mod commands;
mod failure;
mod logging;
mod mailroom;
mod notify;
mod progress;
mod runtime;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// A complete MSSanté stack.
///
/// An operator of secure health mail (`serve`), its mailboxes (`mailbox`), the client of mail software (`lps`), and a whole test trust space on
/// this machine (`sandbox`).
#[derive(Debug, Parser)]
#[command(name = "vaguemestre", version, max_term_width = 110, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, standard error says why and what to do; 2 wrong command line (`lps` has more).\n\n\
    The log goes to standard error. RUST_LOG chooses what it holds, e.g. RUST_LOG=info or RUST_LOG=smtp=debug,info.\n\
    No token and nobody's identifier is ever written to it."
)]
struct Cli {
    /// How the log is written: text, unless the configuration of `serve` says otherwise.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<logging::Format>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a whole test trust space on this machine, or gives tokens for it.
    Sandbox(commands::sandbox::Args),
    /// Runs one operator from its configuration file.
    Serve(commands::serve::Args),
    /// Has a running server read its configuration and certificates again, without ending sessions.
    Reload(commands::reload::Args),
    /// Stops a running server cleanly, as SIGTERM does.
    Drain(commands::drain::Args),
    /// Checks a configuration file and tells every problem in it.
    CheckConfig(commands::check_config::Args),
    /// Manages the mailboxes (BAL) of an operator, beside its running server or not.
    Mailbox(commands::mailbox::Args),
    /// Brings mail from a Maildir, an mbox or another IMAP server into a mailbox.
    Import(commands::import::Args),
    /// Writes a mailbox as a Maildir or as mbox files.
    Export(commands::export::Args),
    /// Copies all mail to a folder, consistently, beside the running server or not.
    Backup(commands::backup::Args),
    /// Makes a data folder out of a backup.
    Restore(commands::restore::Args),
    /// Looks over the data folder of a stopped server, and repairs it.
    Fsck(commands::fsck::Args),
    /// Saves, brings back and rewraps the keys of the mailboxes.
    Keys(commands::keys::Args),
    /// Reads, writes and finds as mail software does (Référentiel #2).
    Lps(commands::lps::Args),
    /// Controls and tests operators: what they must show, and the proof.
    Control(commands::control::Args),
    /// Prints what bash, zsh or fish need to complete this command.
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = parse();
    // `serve` starts its log when it has read how. Beside what the others print, only trouble is worth a line.
    if !matches!(cli.command, Command::Serve(_)) {
        logging::start(cli.log_format.unwrap_or(logging::Format::Text), "warn");
    }
    let done = match cli.command {
        Command::Sandbox(args) => commands::sandbox::run(args),
        Command::Serve(args) => commands::serve::run(args, cli.log_format),
        Command::Reload(args) => commands::reload::run(args),
        Command::Drain(args) => commands::drain::run(args),
        Command::CheckConfig(args) => commands::check_config::run(args),
        Command::Mailbox(args) => commands::mailbox::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Backup(args) => commands::backup::run(args),
        Command::Restore(args) => commands::restore::run(args),
        Command::Fsck(args) => commands::fsck::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Lps(args) => commands::lps::run(args),
        Command::Control(args) => commands::control::run(args),
        Command::Completions(args) => commands::completions::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_untold() {
                eprintln!("vaguemestre: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// The command line; the help of `lps` comes in the language of its messages.
fn parse() -> Cli {
    let arguments: Vec<_> = std::env::args_os().collect();
    if !commands::lps::help::is_asked_in_french(&arguments) {
        return Cli::parse();
    }
    let matches = commands::lps::help::in_french(Cli::command()).get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
