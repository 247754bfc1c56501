//! `vaguemestre lps boxes`: several mailboxes of one user (ECO-MULTI): which are remembered, and what waits in each.

use mssante::Address;
use serde_json::json;

use super::common::Frame;
use super::error::{CommandError, Stop, file};
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
        None => list(frame).await,
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

async fn list(frame: &Frame) -> Result<(), Stop> {
    let boxes = frame.boxes()?;
    let opened = |one: &Remembered| match (&one.person, &one.certificate) {
        (Some(person), _) => person.to_string(),
        (None, Some(certificate)) => certificate.display().to_string(),
        (None, None) => "-".to_owned(),
    };
    if frame.out.json {
        let all = boxes.all.iter().map(|one| {
            json!({
                "address": one.address.to_string(),
                "as": one.person.as_ref().map(ToString::to_string),
                "certificate": one.certificate,
                "label": one.label,
            })
        });
        return frame.out.document(&json!({ "boxes": all.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<Cell>> = boxes
        .all
        .iter()
        .map(|one| {
            vec![
                Cell(Style::Strong, one.address.to_string()),
                opened(one).into(),
                one.label.clone().unwrap_or_default().into(),
            ]
        })
        .collect();
    let headers = [
        frame.out.pick("BAL", "mailbox"),
        frame.out.pick("ouverte par", "opened by"),
        frame.out.pick("libellé", "label"),
    ];
    frame.out.table(&headers, &rows, &[1, 2])
}
