//! `vaguemestre lps thread`: conversations over received and sent mail (ECO-THREAD): what was asked, answered, received, integrated.

use lps::read::{Limits, MAX_MESSAGE, Message, Subject};
use lps::session::{Listing, Session, Summary};
use lps::thread::{self, Entry, Role, Thread};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::common::Frame;
use super::error::{CommandError, Stop};
use super::out::{Cell, Style};
use super::{folders, local, rows};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With a number, the conversation of that message; without, the most recent ones, a line each. Sent mail is looked at too, and receipts, integration \
    notices and delivery reports stand under the message they are about.\n\nExamples:\n  vaguemestre lps thread\n  vaguemestre lps thread 12 --json"
)]
pub struct Args {
    /// The number of a message of the folder.
    uid: Option<u32>,
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// At most so many messages of each folder are looked at, the most recent ones; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    depth: usize,
    /// At most so many conversations, the most recent ones.
    #[arg(long, short, value_name = "N", default_value_t = 25)]
    limit: usize,
}

/// A message: its folder and number.
type Key = (usize, u32);

/// Shows them.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let mut names = vec![args.folder.clone()];
    names.extend(folders::sent(&session).await?.filter(|sent| *sent != args.folder));
    let listing = if args.depth == 0 { Listing::all() } else { Listing::all().last(args.depth) };
    let mut found: Vec<(Key, Summary, Vec<String>)> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let work = session.list(name, &listing);
        let list = frame.busy(frame.out.pick("Lecture des listes", "Reading the lists"), work).await?;
        for summary in list {
            let about = about(&session, name, &summary).await?;
            found.push(((place, summary.uid), summary, about));
        }
    }
    session.close().await;
    let entries: Vec<Entry<'_, Key>> =
        found.iter().map(|(key, summary, about)| Entry { key: *key, summary, about }).collect();
    let threads = thread::threads(&entries);
    let wanted: Vec<&Thread<Key>> = match args.uid {
        None => threads.iter().take(args.limit).collect(),
        Some(uid) => {
            let has = |thread: &&Thread<Key>| thread.nodes.iter().any(|node| node.keys.contains(&(0, uid)));
            let one = threads.iter().find(has);
            vec![one.ok_or(CommandError::NoMessage { uid, folder: args.folder.clone() })?]
        }
    };
    let summary = |key: &Key| found.iter().find(|(other, ..)| other == key).map(|(_, summary, _)| summary);
    let out = &frame.out;
    if out.json {
        let list: Vec<Value> = wanted
            .iter()
            .map(|thread| {
                let nodes = thread.nodes.iter().map(|node| {
                    let first = node.keys.first();
                    let message = first.and_then(|key| Some(rows::json(&names[key.0], summary(key)?)));
                    json!({ "depth": node.depth, "parent": node.parent, "role": role(node.role), "message": message })
                });
                json!({ "subject": thread.subject, "messages": nodes.collect::<Vec<_>>() })
            })
            .collect();
        return out.document(&json!({ "threads": list }));
    }
    for thread in wanted {
        let count = thread.nodes.len();
        out.line([
            Cell(Style::Strong, Subject::of(&thread.subject).shown),
            Cell(Style::Faint, format!("  ({count})")),
        ])?;
        if args.uid.is_none() {
            continue;
        }
        for node in &thread.nodes {
            let Some((key, message)) = node.keys.first().and_then(|key| Some((key, summary(key)?))) else { continue };
            let from = message.from().first().map(|one| rows::correspondent(one).shown()).unwrap_or_default();
            let when = node.date.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok()).map(local::minute);
            let (look, kind) = match node.role {
                Role::Mail => (Style::Plain, ""),
                Role::Receipt => (Style::Good, out.pick("accusé  ", "receipt  ")),
                Role::Delivery => (Style::Faint, out.pick("remise  ", "delivery  ")),
            };
            out.line([
                Cell(Style::Plain, "  ".repeat(node.depth + 1)),
                Cell(Style::Faint, format!("{}  ", when.unwrap_or_default())),
                Cell(look, kind.to_owned()),
                Cell(Style::Plain, format!("{from}  ")),
                Cell(Style::Faint, format!("{}:{}  ", names[key.0], key.1)),
                Cell(Style::Plain, Subject::of(&message.subject()).shown),
            ])?;
        }
    }
    Ok(())
}

/// What a report is about: only its content says.
async fn about(session: &Session, folder: &str, summary: &Summary) -> Result<Vec<String>, Stop> {
    if summary.content_type() != "multipart/report" || summary.size > MAX_MESSAGE {
        return Ok(Vec::new());
    }
    let octets = session.fetch_bytes(folder, summary.uid, MAX_MESSAGE).await?;
    let message = Message::read(&mut octets.as_slice(), Limits::default()).await?;
    Ok(message.kind.about().map(|about| about.message_ids.clone()).unwrap_or_default())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Mail => "mail",
        Role::Receipt => "receipt",
        Role::Delivery => "delivery",
    }
}
