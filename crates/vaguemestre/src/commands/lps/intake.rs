//! `vaguemestre lps intake`: what an integration platform (PFI) does: watches a BAL, files the documents in folders, answers with
//! integration notices (ECO-RECEIPT). `vaguemestre lps clean` then deletes what was processed (ECO-CLEAN).
//!
//! Filing is durable and once per message: the documents are written aside, then the folder gets its name, which is the message's key.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lps::explain::Explain;
use lps::intake::{Arrival, Filer, Intake, IntakeError, OutboxPost, Pass, Settings, Verdict};
use lps::journal::Journal;
use lps::receipt::Respondent;
use lps::send::SendOptions;
use serde_json::json;
use time::OffsetDateTime;

use super::common::{Frame, trace_folder};
use super::error::Stop;
use super::out::{Cell, Style};
use super::outbox::open_at;
use super::{filing, write};

/// The journal, beside the traces: one for each mailbox.
const JOURNAL: &str = "intake";
/// Its notices that are not sent yet, inside.
const OUTBOX: &str = "outbox";
/// Characters of a key that name a folder: 64 bits, enough for what one mailbox receives.
const SHORT: usize = 16;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each message with documents gets a folder DIR/PATIENT/KEY, PATIENT the matricule INS of METADATA.XML. What does not fit together (a damaged archive, two \
    patients, a wrong key) is refused with its code, 900 to 906; mail without documents is left to people. A kill at any moment is taken up: nothing is \
    filed or answered twice.\n\nExamples:\n  vaguemestre lps intake --into dossiers --mailbox labo@hopital.mssante.fr --certificate labo.pem --key labo.key\n  \
    vaguemestre lps intake --into dossiers --once --json\n\n--json gives one object a line: {event: \"filed\", subject, folder, files}, {event: \"refused\", subject, \
    codes}, {event: \"pass\", filed, refused, sent, left, later}, {event: \"trouble\", error}."
)]
pub struct Args {
    /// Where documents are filed: a folder that exists.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// The folder of the mailbox.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// One pass, then the end; otherwise until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// What recipients of notices see beside the address; the remembered one when absent.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// Where the notices of a mailbox wait.
pub fn outbox(space: &lps::Space, address: &mssante::Address) -> Result<PathBuf, Stop> {
    Ok(kept(space, address)?.join(OUTBOX))
}

/// The same of every mailbox.
pub fn outboxes(space: &lps::Space) -> Result<Vec<PathBuf>, Stop> {
    let folder = trace_folder(space).with_file_name(JOURNAL);
    let listed = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(super::error::file(&folder))?,
    };
    let mut found: Vec<PathBuf> = listed.flatten().map(|kept| kept.path().join(OUTBOX)).collect();
    found.sort();
    Ok(found)
}

/// What is kept of a mailbox: a folder of its own.
fn kept(space: &lps::Space, address: &mssante::Address) -> Result<PathBuf, Stop> {
    let folder = trace_folder(space).with_file_name(JOURNAL).join(address.lookup_key());
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(super::error::file(&folder))?;
    Ok(folder)
}

/// The journal of a mailbox.
pub fn journal(space: &lps::Space, address: &mssante::Address) -> Result<Journal, Stop> {
    let path = kept(space, address)?.join("journal.jsonl");
    Ok(Journal::open(&path, OffsetDateTime::from(space.clock.now()))?)
}

/// Files what is there, and what comes.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let account = frame.account(&space).await?;
    let sender = write::sender(account.address.clone(), args.label.as_deref(), frame)?;
    let journal = journal(&space, &account.address)?;
    // Of its own: this runs for days, and whoever writes by hand must not wait for it.
    let outbox = Arc::new(open_at(&outbox(&space, &account.address)?, frame).await?);
    let session = Arc::new(frame.open_as(&space, &account).await?);
    let post = OutboxPost { space: space.clone(), account, outbox, options: SendOptions::default() };
    let settings = Settings { folder: args.folder, ..Settings::default() };
    let respondent = Respondent::new(&space, sender);
    let mut intake = Intake::new(session, post, journal, respondent, settings, space.clock.clone());
    let mut filer = Folders { root: args.into, frame };
    if args.once {
        let resumed = intake.resume(&mut filer).await?;
        tell(Ok(&resumed), frame);
        let pass = intake.run(&mut filer).await?;
        tell(Ok(&pass), frame);
        return Ok(());
    }
    let what = frame.out.pick("En attente de messages ; Ctrl-C arrête.", "Waiting for messages; Ctrl-C stops.");
    frame.out.note(&format!("{}  {what}", intake.mailbox().account().address));
    // Ended from outside: the future is dropped, and the journal knows where.
    let mut never = Box::pin(std::future::pending());
    Ok(intake.watch(&mut filer, &mut never, &mut |seen| tell(seen, frame)).await?)
}

fn tell(seen: Result<&Pass, &IntakeError>, frame: &Frame) {
    let out = &frame.out;
    // Whoever reads may have gone; the work goes on.
    let _ = match seen {
        Ok(pass) if out.json => out.event(&json!({
            "event": "pass", "filed": pass.filed, "refused": pass.refused, "noted": pass.noted, "left": pass.left, "later": pass.later,
            "known": pass.known, "unreadable": pass.unreadable, "sent": pass.sent,
        })),
        Ok(pass) if *pass == Pass::default() => Ok(()),
        Ok(pass) => out.line([Cell(
            Style::Faint,
            format!(
                "{} {}  {} {}  {} {}  {} {}",
                out.pick("classés", "filed"),
                pass.filed,
                out.pick("refusés", "refused"),
                pass.refused,
                out.pick("notifiés", "answered"),
                pass.sent,
                out.pick("laissés", "left"),
                pass.left + pass.unreadable,
            ),
        )]),
        Err(error) if out.json => {
            out.event(&json!({ "event": "trouble", "error": super::error::json(error, out.language) }))
        }
        Err(error) => {
            out.note(&format!("{} [{}]", error.message(out.language), error.code()));
            Ok(())
        }
    };
}

/// Files into folders.
struct Folders<'f> {
    root: PathBuf,
    frame: &'f Frame,
}

#[async_trait]
impl Filer for Folders<'_> {
    async fn file(&mut self, arrival: &Arrival<'_>) -> Verdict {
        let message = arrival.message;
        if message.archives.is_empty() {
            return Verdict::Leave;
        }
        if let Some(refusal) = arrival.suggested_refusal() {
            self.say(
                &message.subject.shown,
                &json!({ "event": "refused", "subject": message.subject.shown, "codes": [refusal.code.number()] }),
                "✗",
            );
            return Verdict::Refused(vec![refusal]);
        }
        if arrival.needs_a_person() {
            return Verdict::Leave;
        }
        let patient = message.patient().and_then(|patient| patient.ins).map(|(ins, _)| ins.to_string());
        let patient = patient.unwrap_or_else(|| "sans-ins".to_owned());
        let key: String = arrival.key.to_string().chars().take(SHORT).collect();
        match self.write(message, &patient, &key) {
            Ok(files) => {
                let folder = self.root.join(&patient).join(&key);
                let event =
                    json!({ "event": "filed", "subject": message.subject.shown, "folder": folder, "files": files });
                self.say(&message.subject.shown, &event, "✓");
                Verdict::Filed
            }
            Err(stop) => {
                if let Stop::Explained(error) = stop {
                    let out = &self.frame.out;
                    out.note(&format!("{} [{}]", error.message(out.language), error.code()));
                }
                Verdict::Later
            }
        }
    }
}

impl Folders<'_> {
    fn say(&self, subject: &str, event: &serde_json::Value, sign: &str) {
        let out = &self.frame.out;
        // Whoever reads may have gone; the work goes on.
        let _ = if out.json { out.event(event) } else { out.say(format!("{sign} {subject}")) };
    }

    /// The names of what was written. Whole or not at all: the folder has its name when everything in it is on disk.
    fn write(&self, message: &lps::read::Message, patient: &str, key: &str) -> Result<Vec<String>, Stop> {
        let shelf = self.root.join(patient);
        let (place, aside) = (shelf.join(key), shelf.join(format!(".{key}")));
        let on = |path: &Path| super::error::file(path.to_owned());
        if !place.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&shelf).map_err(on(&shelf))?;
            if aside.exists() {
                // What a kill left.
                std::fs::remove_dir_all(&aside).map_err(on(&aside))?;
            }
            std::fs::DirBuilder::new().mode(0o700).create(&aside).map_err(on(&aside))?;
            filing::file(message, &aside, true)?;
            let synced = |path: &Path| std::fs::File::open(path).and_then(|folder| folder.sync_all());
            synced(&aside).and_then(|()| std::fs::rename(&aside, &place)).map_err(on(&place))?;
            synced(&shelf).and_then(|()| synced(&self.root)).map_err(on(&shelf))?;
        }
        let listed = std::fs::read_dir(&place).map_err(on(&place))?;
        let mut names: Vec<String> =
            listed.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}
