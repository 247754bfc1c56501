//! `vaguemestre lps folders`: the folders of a mailbox and what is in each.

use lps::session::Session;
use serde_json::json;

use super::common::Frame;
use super::error::Stop;
use super::out::{Cell, Style};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  vaguemestre lps folders --json")]
pub struct Args {}

/// Lists them.
pub async fn run(_: Args, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let mut found = Vec::new();
    for folder in session.folders().await? {
        let status = if folder.selectable { Some(session.status(&folder.name).await?) } else { None };
        found.push((folder, status));
    }
    session.close().await;
    let out = &frame.out;
    if out.json {
        let list = found.iter().map(|(folder, status)| {
            json!({
                "name": folder.name,
                "special": folder.special.map(|special| special.name()),
                "selectable": folder.selectable,
                "messages": status.as_ref().map(|status| status.messages),
                "unseen": status.as_ref().map(|status| status.unseen),
                "octets": status.as_ref().and_then(|status| status.size),
            })
        });
        return out.document(&json!({ "folders": list.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|(folder, status)| {
            let status = status.unwrap_or_default();
            let look = if status.unseen > 0 { Style::Strong } else { Style::Plain };
            vec![
                Cell(look, folder.name.clone()),
                status.messages.to_string().into(),
                Cell(look, status.unseen.to_string()),
                status.size.map(crate::commands::octets).unwrap_or_default().into(),
            ]
        })
        .collect();
    let headers = match out.language {
        lps::Language::French => ["dossier", "messages", "non lus", "taille"],
        lps::Language::English => ["folder", "messages", "unread", "size"],
    };
    out.table(&headers, &rows, &[0])
}

/// The folder of sent mail, where there is one.
pub async fn sent(session: &Session) -> Result<Option<String>, Stop> {
    Ok(session.special(mail::SpecialUse::Sent).await?)
}
