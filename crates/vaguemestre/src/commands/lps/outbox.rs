//! `vaguemestre lps outbox`: messages that are not sent yet, after a cut, a kill or an operator that was away. Each is sent once. Those of
//! `lps send` and `lps reply`, and the notices of `lps intake`, which has an outbox for each mailbox.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use lps::explain::Explain;
use lps::outbox::{Decision, Entry, EntryId, Outbox, OutboxError, Progress, Setback, State};
use lps::send::{SendError, SendOptions};
use lps::space::Space;
use serde_json::json;

use super::common::{Frame, trace_folder};
use super::error::{self, Stop};
use super::out::{Cell, Style};
use super::{intake, local};

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
    uncertain: it is not sent again unless the operator recognises what it has had, or somebody says so with --again. The notices of `intake` are \
    shown too; with --intake the other options are about those of the mailbox, which no running intake may have open then.\n\nExamples:\n  \
    vaguemestre lps outbox\n  vaguemestre lps outbox --send\n  vaguemestre lps outbox --forget 3\n  \
    vaguemestre lps outbox --intake --again 2 --mailbox labo@hopital.mssante.fr"
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
    /// --send, --again and --forget are about the notices of `lps intake` for the mailbox.
    #[arg(long)]
    intake: bool,
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
    if args.send || args.again.is_some() || args.forget.is_some() {
        let folder = match args.intake {
            true => intake::outbox(&space, &frame.mailbox()?)?,
            false => trace_folder(&space).with_file_name(FOLDER),
        };
        let outbox = open_at(&folder, frame).await?;
        let worst = act(&args, &outbox, &space, frame).await?;
        drop(outbox);
        show(&waiting(&space)?, frame)?;
        return worst.map_or(Ok(()), |code| Err(Stop::Told(code)));
    }
    show(&waiting(&space)?, frame)
}

/// Everything that waits, with whether it is a notice of an intake. Looked at, not opened: whoever is sending goes on.
fn waiting(space: &Space) -> Result<Vec<(bool, Entry)>, Stop> {
    let own = Outbox::look(&trace_folder(space).with_file_name(FOLDER))?;
    let mut all: Vec<_> = own.into_iter().map(|entry| (false, entry)).collect();
    for folder in intake::outboxes(space)? {
        all.extend(Outbox::look(&folder)?.into_iter().map(|entry| (true, entry)));
    }
    Ok(all)
}

/// Tries or decides; the exit code of what keeps a message.
async fn act(args: &Args, outbox: &Outbox, space: &Arc<Space>, frame: &Frame) -> Result<Option<u8>, Stop> {
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
                worst = worst.max(attempt(outbox, &entry, space, frame).await?);
            }
        }
    }
    Ok(worst)
}

/// One message; the exit code of what keeps it.
async fn attempt(outbox: &Outbox, entry: &Entry, space: &Arc<Space>, frame: &Frame) -> Result<Option<u8>, Stop> {
    let account = frame.account_of(space, entry.sender.clone()).await?;
    let moved = Arc::new(AtomicU64::new(0));
    let options = SendOptions { progress: Some(moved.clone()), ..SendOptions::default() };
    let work = outbox.attempt(space, &account, entry.id, &options);
    let progress = frame.transfer(frame.out.pick("Envoi", "Sending"), entry.size, &moved, work).await?;
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

fn show(entries: &[(bool, Entry)], frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let state = |state: State| match state {
        State::Waiting => "waiting",
        State::Failed => "failed",
        State::Uncertain => "uncertain",
    };
    if out.json {
        let list = entries.iter().map(|(notice, entry)| {
            json!({
                "number": entry.id.0,
                "intake": notice,
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
        .map(|(notice, entry)| {
            let (look, words) = match entry.state {
                State::Waiting => (Style::Plain, out.pick("attend", "waiting")),
                State::Failed => (Style::Bad, out.pick("en échec", "failed")),
                State::Uncertain => (Style::Bad, out.pick("incertain", "uncertain")),
            };
            vec![
                Cell(Style::Accent, entry.id.to_string()),
                Cell(look, words.to_owned()),
                (if *notice { out.pick("notification (intake)", "notice (intake)") } else { "message" }).into(),
                Cell(Style::Faint, local::minute(entry.put_at)),
                entry.sender.to_string().into(),
                entry.message_id.clone().into(),
                Cell(Style::Faint, entry.last.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["n°", "état", "quoi", "depuis", "de", "message", "dernière erreur"],
        lps::Language::English => ["n°", "state", "what", "since", "from", "message", "last error"],
    };
    out.table(&headers, &rows, &[4, 5])
}
