//! `vaguemestre lps outbox`: messages that are not sent yet, after a cut, a kill or an operator that was away. Each is sent once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lps::explain::Explain;
use lps::outbox::{Decision, Entry, EntryId, Outbox, OutboxError, Progress, Setback, State};
use lps::send::{SendError, SendOptions};
use lps::space::Space;
use serde_json::json;

use super::common::{Frame, trace_folder};
use super::error::{self, Stop};
use super::local;
use super::out::{Cell, Style};

/// How long another command that is sending is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The folder, beside that of the traces.
const FOLDER: &str = "outbox";

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What `send` and `reply` could not hand over waits here, on disk. A message of which nobody knows whether the operator has it is \
    uncertain: it is not sent again unless the operator recognises what it has had, or somebody says so with --again.\n\nExamples:\n  \
    vaguemestre lps outbox\n  vaguemestre lps outbox --send\n  vaguemestre lps outbox --forget 3"
)]
pub struct Args {
    /// Tries every message that waits, now.
    #[arg(long)]
    send: bool,
    /// Sends that message again, at the risk of sending it twice when it is uncertain.
    #[arg(long, value_name = "N", conflicts_with = "forget")]
    again: Option<u64>,
    /// Takes that message away.
    #[arg(long, value_name = "N")]
    forget: Option<u64>,
}

/// The outbox of a space; one command at a time has it.
pub async fn open(space: &Space, frame: &Frame) -> Result<Outbox, Stop> {
    open_at(&trace_folder(space).with_file_name(FOLDER), frame).await
}

/// The outbox in a folder.
pub async fn open_at(folder: &Path, frame: &Frame) -> Result<Outbox, Stop> {
    let begun = Instant::now();
    loop {
        match Outbox::open(folder) {
            Err(OutboxError::InUse) if begun.elapsed() < PATIENCE => {
                let work = tokio::time::sleep(PAUSE);
                frame.busy(frame.out.pick("Un autre envoi est en cours", "Another message is being sent"), work).await;
            }
            other => return Ok(other?),
        }
    }
}

/// Shows what waits, tries it, or decides.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let outbox = open(&space, frame).await?;
    let now = space.clock.now();
    if let Some(number) = args.forget {
        outbox.decide(EntryId(number), Decision::Forget, now).await?;
    }
    if let Some(number) = args.again {
        outbox.decide(EntryId(number), Decision::SendAgain, now).await?;
    }
    let mut worst = None;
    if args.send || args.again.is_some() {
        for entry in outbox.entries() {
            let chosen = args.again.is_none_or(|number| entry.id == EntryId(number));
            if entry.state == State::Waiting && chosen {
                worst = worst.max(attempt(&outbox, &entry, &space, frame).await?);
            }
        }
    }
    show(&outbox.entries(), frame)?;
    worst.map_or(Ok(()), |code| Err(Stop::Told(code)))
}

/// One message; the exit code of what keeps it.
async fn attempt(outbox: &Outbox, entry: &Entry, space: &Arc<Space>, frame: &Frame) -> Result<Option<u8>, Stop> {
    let account = frame.account_of(space, entry.sender.clone()).await?;
    let options = SendOptions::default();
    let work = outbox.attempt(space, &account, entry.id, &options);
    let progress = frame.busy(frame.out.pick("Envoi", "Sending"), work).await?;
    let told = |error: &SendError| {
        frame.out.note(&format!("{} {}: {}", entry.id, entry.message_id, error.message(frame.out.language)));
        Some(error::code(error))
    };
    Ok(match progress {
        Progress::Sent(_) => None,
        Progress::Waiting(Setback::Error(error))
        | Progress::Failed(Setback::Error(error))
        | Progress::Uncertain(error) => told(&error),
        Progress::Waiting(Setback::Partly(_)) | Progress::Failed(Setback::Partly(_)) => Some(error::REFUSED),
    })
}

fn show(entries: &[Entry], frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let state = |state: State| match state {
        State::Waiting => "waiting",
        State::Failed => "failed",
        State::Uncertain => "uncertain",
    };
    if out.json {
        let list = entries.iter().map(|entry| {
            json!({
                "number": entry.id.0,
                "from": entry.sender.to_string(),
                "message_id": entry.message_id,
                "size": entry.size,
                "state": state(entry.state),
                "recipients_left": entry.open,
                "attempts": entry.attempts,
                "put": local::rfc3339(entry.put_at),
                "next": local::rfc3339(entry.next),
                "last_error": entry.last,
            })
        });
        return out.document(&json!({ "outbox": list.collect::<Vec<_>>() }));
    }
    if entries.is_empty() {
        return out.line([Cell(Style::Faint, out.pick("Rien n'attend.", "Nothing waits.").into())]);
    }
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            let (look, words) = match entry.state {
                State::Waiting => (Style::Plain, out.pick("attend", "waiting")),
                State::Failed => (Style::Bad, out.pick("en échec", "failed")),
                State::Uncertain => (Style::Bad, out.pick("incertain", "uncertain")),
            };
            vec![
                Cell(Style::Accent, entry.id.to_string()),
                Cell(look, words.to_owned()),
                Cell(Style::Faint, local::minute(entry.put_at)),
                entry.sender.to_string().into(),
                entry.message_id.clone().into(),
                Cell(Style::Faint, entry.last.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["n°", "état", "depuis", "de", "message", "dernière erreur"],
        lps::Language::English => ["n°", "state", "since", "from", "message", "last error"],
    };
    out.table(&headers, &rows, &[3, 4])
}
