//! How cost grows: `cargo run --release -p store --example scaling [-- MAX_MESSAGES MAX_MAILBOXES [FOLDER]]`.
//!
//! One mailbox of 1k, 10k, 100k, 1M messages (up to MAX_MESSAGES): opening its INBOX, one delivery into it, `STORE 1:*`, marking
//! one message, what vanished since before a tenth went, COPY and MOVE of all, EXPUNGE of all; with nobody looking (rows only) and
//! with 50 sessions looking. Then 10, 1k, 100k mailboxes: opening the store, the list, one delivery, one look-up. Times are
//! medians; everything is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Flags, FolderName, ModSeq, Uid};
use store::sqlite::Sqlite;
use store::{
    Commit, Content, FlagChange, FlagOperation, FolderId, Holder, LinkKey, MailboxId, NewMailbox, Quota, Spooled,
    Store, Target,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const NOW: i64 = 1_790_000_000;
const INBOX: FolderId = FolderId(1);

fn commit(mailbox: MailboxId, n: u64) -> Commit {
    // A conversation of four, as replies name it.
    let links = (n / 4 * 4..=n).rev().map(|n| LinkKey(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let content = Content { body: Spooled::from_bytes(&b"x"[..]), structure: vec![b's'; 900], links };
    let deliver = vec![Target::inbox(mailbox, NOW)];
    Commit { content: Some(content), deliver, saved_at: NOW, ..Commit::default() }
}

async fn mailbox(store: &Sqlite, n: u32) -> Result<MailboxId, Failure> {
    let new = NewMailbox {
        address: format!("bal{n}@alpha.formation.mssante.fr").parse()?,
        kind: mssante::MailboxKind::Per,
        holder: Holder::Person("899700000017".parse()?),
        label: String::new(),
        quota: Quota::default(),
        created_at: NOW,
    };
    Ok(store.create_mailbox(new).await?)
}

/// Fills with many at a time.
async fn fill(store: &Arc<Sqlite>, mailbox: MailboxId, from: u64, to: u64) -> Result<(), Failure> {
    const WRITERS: u64 = 256;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            for n in (from + writer..to).step_by(WRITERS as usize) {
                store.commit(commit(mailbox, n)).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn marking(uids: Vec<Uid>, how: FlagOperation, flags: Flags) -> FlagChange {
    FlagChange { uids, how, flags, keywords: Vec::new(), unchanged_since: None }
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

macro_rules! timed {
    ($row:ident, $what:expr) => {{
        let start = Instant::now();
        let value = $what;
        $row.push(ms(start.elapsed()));
        value
    }};
}

/// What everything costs in one mailbox with `count` messages.
async fn messages(store: &Arc<Sqlite>, id: MailboxId, watchers: usize) -> Result<Vec<String>, Failure> {
    let mut row = Vec::new();
    let mut opened = Vec::new();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.clear();
        // The first delivery with nobody looking forgets the picture.
        store.commit(commit(id, 0)).await?;
        let start = Instant::now();
        held.push(store.watch(id, INBOX).await?);
        opened.push(start.elapsed());
    }
    row.push(ms(median(opened)));
    let all: Vec<Uid> = held[0].borrow().iter().map(|e| e.uid).collect();
    held.clear();
    store.commit(commit(id, 0)).await?;
    for _ in 0..watchers {
        held.push(store.watch(id, INBOX).await?);
    }
    let mut times = Vec::new();
    for n in 0..21 {
        let start = Instant::now();
        store.commit(commit(id, 4 * n)).await?;
        times.push(start.elapsed());
    }
    row.push(ms(median(times)));
    let mut times = Vec::new();
    for (n, uid) in all.iter().rev().take(21).enumerate() {
        let how = if n % 2 == 0 { FlagOperation::Add } else { FlagOperation::Remove };
        let start = Instant::now();
        store.set_flags(id, INBOX, marking(vec![*uid], how, Flags::ANSWERED)).await?;
        times.push(start.elapsed());
    }
    row.push(ms(median(times)));
    timed!(row, store.set_flags(id, INBOX, marking(all.clone(), FlagOperation::Add, Flags::FLAGGED)).await?);
    let odd: Vec<Uid> = all.iter().step_by(2).copied().collect();
    timed!(row, store.set_flags(id, INBOX, marking(odd, FlagOperation::Add, Flags::SEEN)).await?);
    let archive = FolderName::new("Archive")?;
    timed!(row, store.copy(id, INBOX, all.clone(), &archive, NOW).await?);
    // A tenth goes, and what went is asked.
    let tenth: Vec<Uid> = all.iter().step_by(10).copied().collect();
    store.set_flags(id, INBOX, marking(tenth.clone(), FlagOperation::Add, Flags::DELETED)).await?;
    timed!(row, store.expunge(id, INBOX, Some(tenth)).await?);
    timed!(row, store.vanished(id, INBOX, ModSeq(0)).await?);
    // What a delivery waits behind a change of everything.
    let other = {
        let store = store.clone();
        let change = marking(all.clone(), FlagOperation::Remove, Flags::FLAGGED);
        tokio::spawn(async move { store.set_flags(id, INBOX, change).await.map(drop) })
    };
    let mut worst = Duration::ZERO;
    while !other.is_finished() {
        let start = Instant::now();
        store.commit(commit(id, 0)).await?;
        worst = worst.max(start.elapsed());
    }
    other.await??;
    row.push(ms(worst));
    let trash = FolderName::new("Trash")?;
    let moved = timed!(row, store.move_messages(id, INBOX, all.clone(), &trash, NOW).await?);
    let folders = store.folders(id).await?;
    let trash_id = folders.iter().find(|f| f.name == trash).ok_or("no Trash")?.id;
    let archive_id = folders.iter().find(|f| f.name == archive).ok_or("no Archive")?.id;
    let there: Vec<Uid> = moved.uids.iter().map(|(_, to)| *to).collect();
    timed!(row, store.set_flags(id, trash_id, marking(there, FlagOperation::Add, Flags::DELETED)).await?);
    timed!(row, store.expunge(id, trash_id, None).await?);
    let copies: Vec<Uid> = store.watch(id, archive_id).await?.borrow().iter().map(|e| e.uid).collect();
    store.set_flags(id, archive_id, marking(copies, FlagOperation::Add, Flags::DELETED)).await?;
    timed!(row, store.expunge(id, archive_id, None).await?);
    Ok(row)
}

async fn mailboxes(folder: &Path, counts: &[u32]) -> Result<(), Failure> {
    println!("\n| mailboxes | open the store | list them | find one | deliver to one | arrivals |");
    println!("|---|---|---|---|---|---|");
    let mut made = 0;
    for count in counts {
        let store = Arc::new(Sqlite::open(folder)?);
        let mut tasks = tokio::task::JoinSet::new();
        let next = Arc::new(std::sync::atomic::AtomicU32::new(made));
        for _ in 0..128 {
            let (store, next, count) = (store.clone(), next.clone(), *count);
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= count {
                        return Ok::<_, Failure>(());
                    }
                    let id = mailbox(&store, n).await?;
                    store.commit(commit(id, 0)).await?;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        made = *count;
        store.close().await;
        drop(store);
        let mut row = Vec::new();
        let store = timed!(row, Sqlite::open(folder)?);
        let all = timed!(row, store.mailboxes().await?);
        let (mut found, mut delivered) = (Vec::new(), Vec::new());
        for n in 0..101 {
            let one = &all[n * 7919 % all.len()];
            let start = Instant::now();
            store.mailbox(&one.address).await?;
            found.push(start.elapsed());
            let start = Instant::now();
            store.commit(commit(one.id, 4)).await?;
            delivered.push(start.elapsed());
        }
        row.push(ms(median(found)));
        row.push(ms(median(delivered)));
        timed!(row, store.arrivals());
        println!("| {count} | {} |", row.join(" | "));
        store.close().await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let most: u64 = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    let boxes: u32 = arguments.next().map_or(Ok(1000), |n| n.parse())?;
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    println!("milliseconds, each durable when it is over");
    println!(
        "| messages, lookers | open | deliver | mark 1 | mark all | mark half | copy all | expunge 1/10 | vanished \
         | wait behind mark all | move all | mark all | expunge all | expunge copies |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for count in [1000, 10_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= most) {
        for watchers in [0, 50] {
            let dir = tempfile::tempdir_in(&base)?;
            let store = Arc::new(Sqlite::open(&dir.path().join("data"))?);
            let id = mailbox(&store, 0).await?;
            fill(&store, id, 0, count).await?;
            let row = messages(&store, id, watchers).await?;
            println!("| {count}, {watchers} | {} |", row.join(" | "));
            store.close().await;
        }
    }
    let dir = tempfile::tempdir_in(&base)?;
    let counts: Vec<u32> = [10, 1000, 100_000].into_iter().filter(|count| *count <= boxes).collect();
    mailboxes(&dir.path().join("data"), &counts).await
}
