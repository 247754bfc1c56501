//! `vaguemestre lps open`: the documents of a message into a folder.

use std::path::PathBuf;

use serde_json::json;

use super::common::Frame;
use super::error::{self, Stop};
use super::out::{Cell, Style};
use super::{filing, read};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each document is written as XML and as PDF, under the name of the convention (date, type, NAME, first name). Nothing is overwritten: a name \
    that is taken gets a number. A document that is not what METADATA.XML announces is not written, and the exit code is 4.\n\nExamples:\n  \
    vaguemestre lps open 12 --into documents\n  vaguemestre lps open 12 --into documents --attachments --json"
)]
pub struct Args {
    /// The number of the message.
    uid: u32,
    /// Its folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// Where the documents go: a folder that exists.
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// The other files of the message too.
    #[arg(long)]
    attachments: bool,
}

/// Writes them.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let message = read::fetch(&session, &args.folder, args.uid, frame).await?;
    session.close().await;
    let filed = filing::file(&message, &args.into, args.attachments)?;
    let out = &frame.out;
    let faults: Vec<_> = message.archives.iter().filter_map(|archive| archive.fault).collect();
    if out.json {
        out.document(&json!({
            "files": filed.files,
            "not_written": filed.unsound,
            "archives": faults.iter().map(|fault| fault.code()).collect::<Vec<_>>(),
        }))?;
    } else {
        for file in &filed.files {
            out.say(file.display().to_string())?;
        }
        for fault in &faults {
            out.line([Cell(Style::Bad, fault.message(out.language))])?;
        }
        for title in &filed.unsound {
            let why = out.pick(
                "n'est pas ce que METADATA.XML annonce : non écrit",
                "is not what METADATA.XML announces: not written",
            );
            out.line([Cell(Style::Bad, format!("{title} {why}"))])?;
        }
        if filed.files.is_empty() && faults.is_empty() && filed.unsound.is_empty() {
            out.line([Cell(Style::Faint, out.pick("Aucun document.", "No document.").into())])?;
        }
    }
    if faults.is_empty() && filed.unsound.is_empty() { Ok(()) } else { Err(Stop::Told(error::DOCUMENT)) }
}
