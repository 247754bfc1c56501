//! `vaguemestre lps watch`: tells of each message as it arrives (IDLE), until it is interrupted.

use lps::session::{Event, Listing};
use serde_json::json;

use super::common::Frame;
use super::error::Stop;
use super::out::{Cell, Style};
use super::rows;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Until Ctrl-C, which is its normal end. The connection is opened again when it breaks, and nothing that came meanwhile is missed.\n\n\
    --json gives one object a line: {event: \"watching\"}, then {event: \"arrived\", message} with the message of `list --json`, {event: \"changed\"} \
    when messages were marked or removed.\n\nExamples:\n  vaguemestre lps watch\n  vaguemestre lps watch --json | jq -r 'select(.event == \"arrived\").message.subject'"
)]
pub struct Args {
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// Ends after so many arrivals.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

/// Watches.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let mut watch = session.watch(&args.folder).await?;
    let out = &frame.out;
    if out.json {
        out.event(
            &json!({ "event": "watching", "mailbox": session.account().address.to_string(), "folder": args.folder }),
        )?;
    } else {
        let what = out.pick("En attente de messages ; Ctrl-C arrête.", "Waiting for messages; Ctrl-C stops.");
        out.line([Cell(Style::Faint, format!("{}  {what}", session.account().address))])?;
    }
    let mut left = args.count;
    while left != Some(0) {
        match watch.next().await? {
            Event::Arrived(uids) => {
                for message in session.list(&args.folder, &Listing::uids(&uids)).await? {
                    if out.json {
                        out.event(&json!({ "event": "arrived", "message": rows::json(&args.folder, &message) }))?;
                    } else {
                        let cells = rows::row(&message, out).into_iter();
                        out.line(cells.flat_map(|cell| [cell, Cell::from("  ")]))?;
                    }
                    left = left.map(|left| left.saturating_sub(1));
                }
            }
            Event::Changed | Event::Reset if out.json => out.event(&json!({ "event": "changed" }))?,
            Event::Changed | Event::Reset => {}
        }
    }
    Ok(())
}
