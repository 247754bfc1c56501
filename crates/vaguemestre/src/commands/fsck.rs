//! `vaguemestre fsck`: looks over the data folder of a stopped server.
//!
//! Exit codes: 0 clean; 1 damage is left; 3 all damage found was repaired; 4 not looked at (a server runs, no data folder…).

use std::path::PathBuf;

use serde_json::json;
use store::sqlite::{Checking, Damage, Report, Sqlite};

use super::{as_owner, load, say};
use crate::failure::Failure;
use crate::progress::Progress;

/// All damage found was repaired.
const REPAIRED: u8 = 3;
/// It could not be looked at.
const NOT_CHECKED: u8 = 4;
/// Damaged messages named; beyond, they are counted. `--json` names all.
const NAMED: usize = 100;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads all mail: every message is decrypted and compared with its checksums, counts and links are counted anew. Without --repair nothing is \
    changed. A repair is one transaction: it is done whole or not at all, and removes no message that can be read.\n\n\
    Exit codes: 0 clean; 1 damage is left; 2 wrong command line; 3 all damage found was repaired; 4 not looked at.\n\n\
    Examples:\n  vaguemestre fsck --config /etc/vaguemestre/vaguemestre.toml\n  \
    vaguemestre fsck --repair --from /srv/backup/mail --config /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// Repair what can be.
    #[arg(long)]
    repair: bool,
    /// A backup: a lost or damaged database and damaged messages are taken from it.
    #[arg(long, value_name = "DIR", requires = "repair")]
    from: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// The operator's configuration file.
    #[arg(long, short, value_name = "FILE", env = "VAGUEMESTRE_CONFIG")]
    config: PathBuf,
}

/// Looks.
pub fn run(args: Args) -> Result<(), Failure> {
    let report = check(&args).map_err(|failure| failure.with_code(NOT_CHECKED))?;
    match args.json {
        true => say(as_json(&report, args.repair)),
        false => tell(&report, args.repair),
    }
    if report.clean() {
        return Ok(());
    }
    if args.repair && report.mended() {
        return Err(Failure::new("all damage found was repaired").with_code(REPAIRED));
    }
    let hint = match (args.repair, &args.from) {
        (false, _) => "`vaguemestre fsck --repair` mends what can be",
        (true, None) => "what is named above is lost here; `--from DIR` takes it from a backup",
        (true, Some(_)) => "what is named above is lost here and in the backup; another backup may have it",
    };
    Err(Failure::new(format!("damage is left: {hint}")))
}

fn check(args: &Args) -> Result<Report, Failure> {
    let config = load(&args.config)?;
    let store = config.operator.data.join("store");
    as_owner(&store)?;
    let how =
        Checking { store: &store, repair: args.repair, backup: args.from.as_deref(), options: config.store.options()? };
    let mut progress = Progress::octets();
    let report = Sqlite::fsck_with(&how, &mut |done, total| progress.set(done, total));
    progress.finish();
    Ok(report?)
}

fn tell(report: &Report, repair: bool) {
    say(format_args!("{} messages were read", report.bodies));
    for (list, fate) in
        [(&report.damaged, "unreadable"), (&report.dangling, if repair { "removed" } else { "without body" })]
    {
        for Damage { mailbox, folder, uid, what, .. } in list.iter().take(NAMED) {
            match folder.as_str() {
                "" => say(format_args!("{mailbox}: a message in no folder: {fate} ({what})")),
                folder => say(format_args!("{mailbox}, folder {folder}, UID {uid}: {fate} ({what})")),
            }
        }
        if list.len() > NAMED {
            say(format_args!("… and {} more: --json names all", list.len() - NAMED));
        }
    }
    for line in &report.database {
        say(format_args!("the database: {line}"));
    }
    if report.database_brought {
        say(
            "the database is that of the backup, brought up to date by the log; flags, moves and deletions since are lost",
        );
    }
    let done = if repair { "repaired" } else { "to be repaired" };
    for (count, what) in [
        (report.rescued, "messages taken from the backup"),
        (report.moved, "messages or indexes were elsewhere than the database says"),
        (report.references, "counts of copies were wrong"),
        (report.usage, "mailboxes had a wrong usage"),
        (report.counts, "folders had a wrong number of messages"),
        (report.unnamed, "messages of the log were in no folder"),
    ] {
        if count > 0 {
            say(format_args!("{count} {what}: {done}"));
        }
    }
    for (count, what) in [
        (
            report.queue,
            "messages accepted for sending are in the log only: they may have been sent, and are not sent again",
        ),
        (report.gaps, "places of the log are damaged in mail that was not indexed yet: it is lost"),
        (report.scars, "places of the log are damaged"),
        (report.without_key, "messages have no key any more: their mailbox was erased"),
        (report.strangers, "messages of the log are of mailboxes or folders the database does not know"),
    ] {
        if count > 0 {
            say(format_args!("{count} {what}"));
        }
    }
    if report.clean() {
        say("clean");
    }
}

fn as_json(report: &Report, repair: bool) -> serde_json::Value {
    let named = |list: &[Damage]| -> Vec<serde_json::Value> {
        list.iter().map(|d| json!({ "mailbox": d.mailbox, "folder": d.folder, "uid": d.uid, "what": d.what })).collect()
    };
    json!({
        "clean": report.clean(),
        "repaired": repair && report.mended(),
        "messages": report.bodies,
        "damaged": named(&report.damaged),
        "dangling": named(&report.dangling),
        "database": report.database,
        "database_brought": report.database_brought,
        "rescued": report.rescued,
        "moved": report.moved,
        "references": report.references,
        "usage": report.usage,
        "counts": report.counts,
        "unnamed": report.unnamed,
        "queue": report.queue,
        "gaps": report.gaps,
        "scars": report.scars,
        "without_key": report.without_key,
        "strangers": report.strangers,
    })
}
