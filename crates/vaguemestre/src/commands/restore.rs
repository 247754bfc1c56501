//! `vaguemestre restore`: a data folder out of a backup.

use std::path::PathBuf;

use store::sqlite::{Restoring, restore};

use super::{load, octets, say};
use crate::failure::Failure;
use crate::progress::Progress;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The data folder of the configuration must be empty or not there; every file of the backup is checked. The configuration, the \
    certificates and the master key are brought back first, by hand.\n\n\
    Clients keep what they downloaded: UIDVALIDITY stays. UIDs and everything else that was given since the backup is skipped, never given \
    again. Mailboxes erased since are not brought back, if the export of keys is of after that.\n\n\
    Example:\n  vaguemestre restore /srv/backup/mail --keys /srv/keys/mail.keys --config /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// The backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The latest export of the keys (`vaguemestre keys export`).
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The master key of the former data folder (its store/keys/master.key), when the configuration names none.
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
    /// Leave out the outgoing queue: the server lived on after the backup and sent it.
    #[arg(long)]
    without_queue: bool,
    /// Bring back mailboxes whose key is not in the export, empty: their mail is lost.
    #[arg(long)]
    empty_without_key: bool,
    /// The operator's configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Does it.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = load(&args.config)?;
    let data = &config.operator.data;
    let options = config.store.options()?;
    if args.master_key.is_some() && options.keeper.is_some() {
        return Err(Failure::new(
            "the configuration names a master key ([store]): leave out --master-key, or the one there",
        ));
    }
    let how = Restoring {
        from: &args.from,
        data,
        keys: &args.keys,
        master_key: args.master_key.as_deref(),
        options,
        without_queue: args.without_queue,
        empty_without_key: args.empty_without_key,
    };
    let mut progress = Progress::octets();
    let done = restore(&how, &mut |done, total| progress.set(done, total));
    progress.finish();
    let done = done?;
    let about = &done.about;
    say(format_args!(
        "{}: {} messages of {} mailboxes as of {}, {} files, {}",
        data.display(),
        about.messages,
        about.mailboxes,
        super::date(about.begun),
        done.files.0,
        octets(done.files.1)
    ));
    if done.erased > 0 {
        say(format_args!("{} mailbox(es) were erased since, and stay so", done.erased));
    }
    for address in &done.emptied {
        say(format_args!("{address} is empty: its key was not in the export"));
    }
    match done.queue {
        0 => {}
        entries => say(format_args!("{entries} messages of the queue will be sent when the server starts")),
    }
    say("start the server with `vaguemestre serve`; it indexes the mail for searching again, in the background");
    Ok(())
}
