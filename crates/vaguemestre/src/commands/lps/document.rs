//! One document of a message, readable: as text here, or as HTML in a file for a browser (SC.CDA/VISU.03).

use std::path::PathBuf;

use lps::read::{Message, ReceivedDocument};
use serde_json::json;

use super::common::Frame;
use super::error::{CommandError, Stop, file};

/// The document of that rank, from 1.
fn pick(message: &Message, rank: Option<usize>) -> Result<&ReceivedDocument, Stop> {
    let count = message.documents().count();
    let rank = rank.unwrap_or(1);
    message.documents().nth(rank.wrapping_sub(1)).ok_or_else(|| {
        CommandError::Value(
            format!("il n'y a pas de document {rank} : le message en a {count}"),
            format!("there is no document {rank}: the message has {count}"),
        )
        .into()
    })
}

/// Shows it as text, or writes it as HTML.
pub fn run(message: &Message, rank: Option<usize>, html: Option<PathBuf>, frame: &Frame) -> Result<(), Stop> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let document = pick(message, rank)?;
    let Some(path) = html else {
        let text = render::text(document.octets()).map_err(rendering)?;
        return if frame.out.json { frame.out.document(&json!({ "text": text })) } else { frame.out.text(&text) };
    };
    let page = render::html(document.octets()).map_err(rendering)?;
    // A patient's: for its owner alone, and nothing that is there is lost.
    let mut options = std::fs::OpenOptions::new();
    let mut new = options.write(true).create_new(true).mode(0o600).open(&path).map_err(file(&path))?;
    new.write_all(page.as_bytes()).map_err(file(&path))?;
    if frame.out.json {
        return frame.out.document(&json!({ "html": path }));
    }
    frame.out.say(format!("{} {}", frame.out.pick("Écrit :", "Written:"), path.display()))
}

fn rendering(error: render::RenderError) -> Stop {
    let why = error.to_string();
    CommandError::Value(
        format!("le document ne peut être montré : {why}"),
        format!("the document cannot be shown: {why}"),
    )
    .into()
}
