//! `vaguemestre lps list` and `find`: the messages of a folder (ECO.3.1.1, ECO.3.1.2, ECO.3.1.3).

use lps::session::{Listing, Query};
use time::OffsetDateTime;

use super::common::Frame;
use super::error::Stop;
use super::{local, rows};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The columns: number (UID), state (• unread, ↩ answered, ! a receipt is asked for, + documents), when it came, what the sender is \
    (pro, patient, an application, a report), who, subject.\n\nExamples:\n  vaguemestre lps list\n  vaguemestre lps list --unseen --limit 100 --json\n  \
    vaguemestre lps list --folder Sent"
)]
pub struct ListArgs {
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// At most so many, the most recent ones; 0 for all.
    #[arg(long, short, value_name = "N", default_value_t = 25)]
    limit: usize,
    /// Only those that were not read.
    #[arg(long)]
    unseen: bool,
}

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Words are looked for anywhere in the message, documents included where the operator indexes them; case and accents do not matter \
    there.\n\nExamples:\n  vaguemestre lps find bilan\n  vaguemestre lps find --from leroy --since 2026-11-01"
)]
pub struct FindArgs {
    /// Words in the message.
    words: Option<String>,
    /// Words in the sender.
    #[arg(long, value_name = "WORDS")]
    from: Option<String>,
    /// Words in the subject.
    #[arg(long, value_name = "WORDS")]
    subject: Option<String>,
    /// Came that day or later (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = local::day)]
    since: Option<OffsetDateTime>,
    /// Came before that day (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = local::day)]
    before: Option<OffsetDateTime>,
    /// Only those that were not read.
    #[arg(long)]
    unseen: bool,
    /// The folder.
    #[arg(long, short, value_name = "FOLDER", default_value = "INBOX")]
    folder: String,
    /// At most so many, the most recent ones; 0 for all.
    #[arg(long, short, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Lists a folder.
pub async fn list(args: ListArgs, frame: &Frame) -> Result<(), Stop> {
    let session = frame.open().await?;
    let listing = if args.unseen {
        Listing::uids(&session.search(&args.folder, &Query::unseen()).await?)
    } else {
        Listing::all()
    };
    let listing = if args.limit == 0 { listing } else { listing.last(args.limit) };
    let work = session.list(&args.folder, &listing);
    let messages = frame.busy(frame.out.pick("Lecture de la liste", "Reading the list"), work).await?;
    session.close().await;
    rows::show(&args.folder, &messages, frame)
}

/// Lists what is looked for.
pub async fn find(args: FindArgs, frame: &Frame) -> Result<(), Stop> {
    let mut parts = Vec::new();
    parts.extend(args.words.map(Query::Text));
    parts.extend(args.from.as_deref().map(Query::from));
    parts.extend(args.subject.as_deref().map(Query::subject));
    parts.extend(args.since.map(|day| Query::Since(day.date())));
    parts.extend(args.before.map(|day| Query::Before(day.date())));
    if args.unseen {
        parts.push(Query::unseen());
    }
    let query = parts.into_iter().reduce(Query::and).unwrap_or(Query::All);
    let session = frame.open().await?;
    let work = session.search(&args.folder, &query);
    let found = frame.busy(frame.out.pick("Recherche", "Searching"), work).await?;
    let listing = Listing::uids(&found);
    let listing = if args.limit == 0 { listing } else { listing.last(args.limit) };
    let messages = session.list(&args.folder, &listing).await?;
    session.close().await;
    rows::show(&args.folder, &messages, frame)
}
