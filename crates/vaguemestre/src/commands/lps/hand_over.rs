//! A message handed to the operator, with a copy in the folder of sent mail; what came of it for each recipient.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lps::Account;
use lps::compose::Outgoing;
use lps::outbox::{Decision, Progress, Setback};
use lps::send::{Notices, Outcome, SendError, SendOptions};
use lps::session::Session;
use lps::space::Space;
use serde_json::json;

use super::common::{Counted, Frame};
use super::error::{self, Stop};
use super::out::{Cell, Style};
use super::{folders, outbox};

/// What is asked for with a message.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sending")]
pub struct Delivery {
    /// Asks the operator to tell of the delivery, of a failure and of a delay (DSN).
    #[arg(long)]
    request_dsn: bool,
    /// Keeps no copy in the folder of sent mail.
    #[arg(long)]
    no_copy: bool,
}

/// Hands it over and tells of it. The message is on disk before the operator hears of it: whatever happens to this process, it is sent
/// once, by this command or by `vaguemestre lps outbox --send`.
pub async fn run(
    message: &Outgoing,
    space: &Arc<Space>,
    account: Account,
    args: &Delivery,
    frame: &Frame,
) -> Result<(), Stop> {
    let outbox = outbox::open(space, frame).await?;
    let notices = args.request_dsn.then(Notices::all);
    let id = outbox.put(message, notices, space.clock.now()).await?;
    let moved = Arc::new(AtomicU64::new(0));
    let options = SendOptions { progress: Some(moved.clone()), ..SendOptions::default() };
    let work = outbox.attempt(space, &account, id, &options);
    let progress = frame.transfer(frame.out.pick("Envoi", "Sending"), message.size(), &moved, work).await?;
    let (outcomes, waits) = match progress {
        Progress::Sent(outcomes) => (outcomes, false),
        Progress::Waiting(Setback::Partly(outcomes)) => (outcomes, true),
        // Told here and now: whoever typed this mends it and sends anew.
        Progress::Failed(setback) => {
            outbox.decide(id, Decision::Forget, space.clock.now()).await?;
            match setback {
                Setback::Error(error) => {
                    refused(&error, frame);
                    return Err(error.into());
                }
                Setback::Partly(outcomes) => (outcomes, false),
            }
        }
        Progress::Waiting(Setback::Error(error)) | Progress::Uncertain(error) => {
            refused(&error, frame);
            let what = frame
                .out
                .pick("Le message est gardé : vaguemestre lps outbox.", "The message is kept: vaguemestre lps outbox.");
            frame.out.note(what);
            return Err(error.into());
        }
    };
    drop(outbox);
    if !outcomes.iter().any(Outcome::is_accepted) {
        let error = SendError::Refused { outcomes };
        refused(&error, frame);
        return Err(error.into());
    }
    // The mail has gone: that its copy could not be kept is worth a word, not a failure.
    let copy = if args.no_copy { None } else { keep_copy(message, space, account, frame).await };
    tell(message, &outcomes, (copy, waits), frame)?;
    if outcomes.iter().all(Outcome::is_accepted) { Ok(()) } else { Err(Stop::Told(error::REFUSED)) }
}

async fn keep_copy(message: &Outgoing, space: &Arc<Space>, account: Account, frame: &Frame) -> Option<String> {
    let kept = async {
        let session = Session::open(space.clone(), account).await?;
        let Some(folder) = folders::sent(&session).await? else { return Ok::<_, Stop>(None) };
        let moved = Arc::new(AtomicU64::new(0));
        let mut reader = Counted { inner: message.reader(), moved: moved.clone() };
        let work = session.append(&folder, &["\\Seen"], None, message.size(), &mut reader);
        frame.transfer(frame.out.pick("Copie", "Copy"), message.size(), &moved, work).await?;
        session.close().await;
        Ok(Some(folder))
    };
    match kept.await {
        Ok(folder) => folder,
        Err(stop) => {
            if let Stop::Explained(error) = stop {
                let what = frame.out.pick("Parti, mais sans copie", "Sent, but without a copy");
                frame.out.note(&format!("{what}: {} [{}]", error.message(frame.out.language), error.code()));
            }
            None
        }
    }
}

/// Each recipient of a message that nobody gets.
fn refused(error: &SendError, frame: &Frame) {
    for one in error.outcomes() {
        let words = one.cause.map(|cause| cause.text(frame.out.language)).unwrap_or_default();
        frame.out.note(&format!("{}: {words} ({})", one.address, one.reply.code()));
    }
}

fn tell(
    message: &Outgoing,
    outcomes: &[Outcome],
    (copy, waits): (Option<String>, bool),
    frame: &Frame,
) -> Result<(), Stop> {
    let out = &frame.out;
    if out.json {
        let recipients = outcomes.iter().map(|one| {
            json!({
                "address": one.address.to_string(),
                "accepted": one.is_accepted(),
                "cause": one.cause.map(|cause| cause.code()),
                "answer": one.reply.to_string(),
            })
        });
        return out.document(&json!({
            "message_id": message.message_id().to_string(),
            "from": message.sender().to_string(),
            "subject": message.subject(),
            "size": message.size(),
            "documents": message.documents().map_or(0, |facts| facts.codes.iter().count()),
            "recipients": recipients.collect::<Vec<_>>(),
            "waits": waits,
            "copy": copy,
        }));
    }
    let size = crate::commands::octets(message.size());
    out.line([
        Cell(Style::Good, out.pick("Envoyé ", "Sent ").into()),
        Cell(Style::Faint, format!("{} ({size})", message.message_id())),
    ])?;
    for one in outcomes {
        let (look, words) = match one.cause {
            None => (Style::Good, "✓".to_owned()),
            Some(cause) => (Style::Bad, format!("✗ {}", cause.text(out.language))),
        };
        out.line([Cell(Style::Plain, format!("  {}  ", one.address)), Cell(look, words)])?;
    }
    Ok(())
}
