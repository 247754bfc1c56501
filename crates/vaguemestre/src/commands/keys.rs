//! `vaguemestre keys`: the keys of the mailboxes outside of the data folder.

use std::path::PathBuf;
use std::sync::Arc;

use store::keys::MasterKey;
use store::sqlite::Sqlite;

use super::{as_owner, load, say};
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each mailbox has a key of its own, wrapped by the operator's master key ([store] key_file or key_env). Backups do not hold them: \
    export them after each backup, over the former export. `vaguemestre mailbox delete` destroys a key; once the exports of before are replaced, \
    nobody can read that mail any more, in whatever backup it may be.\n\n\
    Examples (C stands for --config /etc/vaguemestre/vaguemestre.toml, or set VAGUEMESTRE_CONFIG):\n  \
    vaguemestre keys export C /srv/keys/mail.keys\n  \
    openssl rand -hex 32 > new.key; chmod 600 new.key; vaguemestre keys rewrap C --new-key-file new.key"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The operator's configuration file.
    #[arg(long, short, global = true, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Writes all keys, wrapped, to a file; beside the running server or not.
    #[command(
        after_help = "A former export of that name is replaced and overwritten: that is what makes an erasure reach the backups. \
        The file is of no use without the master key; keep the two apart, and both apart from the backups."
    )]
    Export {
        /// Where.
        file: PathBuf,
    },
    /// Brings the keys of an export into the data folder of a stopped server: those that are not there.
    #[command(after_help = "Keys that are there stay as they are, and one that was destroyed stays destroyed. \
        `vaguemestre restore --keys` does this by itself: this is for a data folder that was copied without its keys.")]
    Import {
        /// The export.
        file: PathBuf,
    },
    /// Wraps all keys by another master key; the server is stopped.
    #[command(
        after_help = "All keys or none are changed. The configuration must name the new master key before the server starts again, and the keys \
        are to be exported anew: exports of before need the former master key."
    )]
    Rewrap {
        /// The new master key: a file of 64 hexadecimal digits that only its owner may read.
        #[arg(long, value_name = "FILE")]
        new_key_file: PathBuf,
    },
}

/// Does what is asked.
pub fn run(args: Args) -> Result<(), Failure> {
    let path =
        args.config.ok_or_else(|| Failure::new("which operator? give --config FILE, or set VAGUEMESTRE_CONFIG"))?;
    let config = load(&path)?;
    let store = config.operator.data.join("store");
    as_owner(&store)?;
    let options = config.store.options()?;
    match args.command {
        Command::Export { file } => {
            let count = Sqlite::export_keys(&store, &file, options)?;
            say(format_args!("{count} keys are in {}", file.display()));
        }
        Command::Import { file } => {
            let done = Sqlite::import_keys(&store, &file, options)?;
            say(format_args!(
                "{} keys were brought, {} were there, {} are destroyed",
                done.brought, done.known, done.destroyed
            ));
        }
        Command::Rewrap { new_key_file } => {
            let count = Sqlite::rewrap_keys(&store, options, Arc::new(MasterKey::from_file(&new_key_file)?))?;
            say(format_args!("{count} keys are wrapped by the new master key"));
            say(format_args!(
                "to do: set [store] key_file = \"{}\" (or where you keep it) in {}, then export the keys again",
                new_key_file.display(),
                path.display()
            ));
        }
    }
    Ok(())
}
