//! `vaguemestre lps boxes`: several mailboxes of one user (ECO-MULTI): which are remembered, and what waits in each.

use lps::session::{Session, Status};
use mssante::Address;
use serde_json::json;

use super::common::Frame;
use super::error::{self, CommandError, Stop, file};
use super::out::{Cell, Style};
use super::places::Remembered;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "The list is boxes.toml beside the settings file; the first mailbox is the one that other commands take when none is \
    named. It holds addresses, identifiers and paths: no secret.\n\nExamples:\n  \
    vaguemestre lps boxes add marie.martin@hopital.mssante.fr --as 899700000017 --label Dr_Marie_MARTIN\n  \
    vaguemestre lps boxes add labo@hopital.mssante.fr --certificate labo.pem --key labo.key\n  vaguemestre lps boxes"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the list: no mailbox is opened.
    #[arg(long)]
    no_counts: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Remembers a mailbox, with --as or with --certificate and --key.
    Add {
        /// Its address.
        address: Address,
        /// What recipients see beside the address: Dr_Marie_MARTIN_Hôpital, or the name of the structure.
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// Make it the one taken when none is named.
        #[arg(long)]
        first: bool,
    },
    /// Forgets a mailbox; nothing in it is touched.
    Remove {
        /// Its address.
        address: Address,
    },
}

/// Lists them, or changes the list.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    match args.command {
        None => list(!args.no_counts, frame).await,
        Some(Command::Add { address, label, first }) => add(address, label, first, frame),
        Some(Command::Remove { address }) => remove(&address, frame),
    }
}

fn add(address: Address, label: Option<String>, first: bool, frame: &Frame) -> Result<(), Stop> {
    let options = &frame.options;
    // The list may be read from anywhere later.
    let absolute = |path: &std::path::PathBuf| std::path::absolute(path).map_err(file(path));
    // Said now rather than at the first mail.
    frame.identity(&address)?;
    let one = Remembered {
        person: options.person.clone(),
        certificate: options.certificate.as_ref().map(absolute).transpose()?,
        key: options.key.as_ref().map(absolute).transpose()?,
        label,
        address,
    };
    let mut boxes = frame.boxes()?;
    boxes.remember(one.clone(), first);
    boxes.save()?;
    if frame.out.json {
        return frame.out.document(&json!({ "added": one.address.to_string(), "file": boxes.path() }));
    }
    frame.out.say(format!("{} {}", frame.out.pick("Retenue :", "Remembered:"), one.address))
}

fn remove(address: &Address, frame: &Frame) -> Result<(), Stop> {
    let mut boxes = frame.boxes()?;
    if !boxes.forget(address) {
        return Err(CommandError::NotRemembered(address.to_string()).into());
    }
    boxes.save()?;
    if frame.out.json {
        return frame.out.document(&json!({ "removed": address.to_string(), "file": boxes.path() }));
    }
    frame.out.say(format!("{} {address}", frame.out.pick("Oubliée :", "Forgotten:")))
}

/// What waits in a mailbox, or why that cannot be told.
type Waiting = Result<Status, Stop>;

async fn list(counts: bool, frame: &Frame) -> Result<(), Stop> {
    let boxes = frame.boxes()?;
    let mut waiting: Vec<Option<Waiting>> = boxes.all.iter().map(|_| None).collect();
    if counts && !boxes.all.is_empty() {
        let space = frame.space()?;
        // All at once: one operator that is slow does not hold the others back.
        let looks = boxes.all.iter().map(|one| {
            let (space, address) = (space.clone(), one.address.clone());
            async move {
                let account = frame.account_of(&space, address).await?;
                let session = Session::open(space, account).await?;
                let status = session.status("INBOX").await?;
                session.close().await;
                Ok(status)
            }
        });
        let work = futures_util::future::join_all(looks);
        let found: Vec<Waiting> = frame.busy(frame.out.pick("Lecture des BAL", "Reading the mailboxes"), work).await;
        waiting = found.into_iter().map(Some).collect();
    }
    let worst = waiting.iter().flatten().filter_map(|one| one.as_ref().err()).map(Stop::code).max();
    show(&boxes.all, &waiting, frame)?;
    worst.map_or(Ok(()), |code| Err(Stop::Told(code)))
}

fn show(all: &[Remembered], waiting: &[Option<Waiting>], frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let error = |waiting: &Option<Waiting>| match waiting {
        Some(Err(Stop::Explained(error))) => Some(error::json(&**error, out.language)),
        _ => None,
    };
    let status = |waiting: &Option<Waiting>| waiting.as_ref().and_then(|one| one.as_ref().ok()).copied();
    if out.json {
        let list = all.iter().zip(waiting).map(|(one, waiting)| {
            json!({
                "address": one.address.to_string(),
                "as": one.person.as_ref().map(ToString::to_string),
                "certificate": one.certificate,
                "label": one.label,
                "messages": status(waiting).map(|status| status.messages),
                "unseen": status(waiting).map(|status| status.unseen),
                "error": error(waiting),
            })
        });
        return out.document(&json!({ "boxes": list.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .zip(waiting)
        .map(|(one, waiting)| {
            let opened = match (&one.person, &one.certificate) {
                (Some(person), _) => person.to_string(),
                (None, Some(certificate)) => certificate.display().to_string(),
                (None, None) => "-".to_owned(),
            };
            let count = match (status(waiting), waiting) {
                (Some(status), _) => {
                    let look = if status.unseen > 0 { Style::Strong } else { Style::Plain };
                    Cell(look, format!("{} / {}", status.unseen, status.messages))
                }
                (None, Some(Err(Stop::Explained(error)))) => Cell(Style::Bad, error.code().to_owned()),
                (None, _) => Cell::from("-"),
            };
            vec![
                Cell(Style::Strong, one.address.to_string()),
                count,
                opened.into(),
                one.label.clone().unwrap_or_default().into(),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["BAL", "non lus", "ouverte par", "libellé"],
        lps::Language::English => ["mailbox", "unread", "opened by", "label"],
    };
    out.table(&headers, &rows, &[2, 3])
}
