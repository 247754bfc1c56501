//! `vaguemestre lps clean`: deletes from a mailbox the messages that `lps intake` processed, and no other (ECO-CLEAN).

use lps::clean::{self, Decision, Rule};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::common::Frame;
use super::error::Stop;
use super::intake;
use super::out::{Cell, Style};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --yes nothing is deleted: it is shown what would go, what would stay and why. A message goes when its documents were filed by `vaguemestre lps \
    intake` and its notice was handed to the operator; never by its age alone, never one that was refused, left to people or flagged.\n\nExamples:\n  \
    vaguemestre lps clean\n  vaguemestre lps clean --keep-days 7 --yes"
)]
pub struct Args {
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// How many days a message stays after it was filed.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_days: u32,
    /// Delete.
    #[arg(long)]
    yes: bool,
}

/// Shows the plan, or carries it out.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let account = frame.account(&space).await?;
    let journal = intake::journal(&space, &account.address)?;
    let session = frame.open_as(&space, &account).await?;
    let now = OffsetDateTime::from(space.clock.now());
    let rule = Rule { keep: Duration::days(i64::from(args.keep_days)) };
    let plan = clean::plan(&session, &journal, &args.folder, rule, now).await?;
    let out = &frame.out;
    let done = if args.yes {
        let work = plan.carry_out(&session, &journal, now);
        Some(frame.busy(out.pick("Suppression", "Deleting"), work).await?)
    } else {
        None
    };
    session.close().await;
    if out.json {
        let items = plan.items.iter().map(|item| {
            let why = match item.decision {
                Decision::Delete => None,
                Decision::Keep(why) => Some(why),
            };
            json!({
                "uid": item.uid,
                "message_id": item.message_id,
                "size": item.size,
                "delete": why.is_none(),
                "why": why.map(|why| why.code()),
            })
        });
        return out.document(&json!({
            "folder": plan.folder,
            "messages": items.collect::<Vec<_>>(),
            "done": done.as_ref().map(|done| json!({ "deleted": done.deleted, "octets": done.octets, "spared": done.spared })),
        }));
    }
    let rows: Vec<Vec<Cell>> = plan
        .items
        .iter()
        .map(|item| {
            let (look, words) = match item.decision {
                Decision::Delete if done.is_some() => (Style::Good, out.pick("supprimé", "deleted")),
                Decision::Delete => (Style::Accent, out.pick("serait supprimé", "would be deleted")),
                Decision::Keep(why) => (Style::Faint, why.message(out.language)),
            };
            vec![
                Cell(Style::Accent, item.uid.to_string()),
                Cell(look, words.to_owned()),
                Cell(Style::Faint, item.message_id.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["n°", "décision", "message"],
        lps::Language::English => ["uid", "decision", "message"],
    };
    out.table(&headers, &rows, &[1, 2])?;
    match &done {
        Some(done) => {
            let size = crate::commands::octets(done.octets);
            let (deleted, spared) = (out.pick("supprimés", "deleted"), out.pick("épargnés", "spared"));
            out.say(format!("{} {deleted} ({size}), {} {spared}", done.deleted, done.spared))
        }
        None if plan.deletions().next().is_some() => {
            out.say(out.pick("Rien n'a été supprimé : --yes le fait.", "Nothing was deleted: --yes does it."))
        }
        None => Ok(()),
    }
}
