//! Fills a store through its interface, many messages in each commit, and times what no client does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use mail::FolderName;
use mail::mime::Structure;
use mssante::MailboxKind;
use store::sqlite::Sqlite;
use store::{Commit, Content, Holder, LinkKey, MailboxId, NewMailbox, Quota, Right, Role, Spooled, Store, Target};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::imap::messages::Dice;
use crate::imap::ours::PERSON;

/// A word of five messages, however many there are.
pub const RARE: &str = "zygomatique";
/// A word of five subjects.
pub const SUBJECT: &str = "thoracoscopie";
/// Words of the vocabulary, drawn by Zipf's law.
const WORDS: f64 = 40_000.0;
/// Messages of one commit.
const BATCH: u64 = 200;
/// Commits under way.
const WRITERS: usize = 8;

/// The store of a stopped server.
pub struct Filled {
    runtime: Runtime,
    store: Arc<Sqlite>,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn word(mut n: usize) -> String {
    const SYLLABLES: [&str; 20] = [
        "ma", "pa", "ti", "con", "sul", "tion", "or", "don", "nan", "ce", "hos", "pi", "tal", "mé", "de", "cin", "car",
        "dio", "lo", "gie",
    ];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[n % 20]);
        n /= 20;
        if n == 0 {
            return word;
        }
    }
}

/// Message `number`: 520 octets or so, in conversations of four.
pub fn message(number: u64) -> String {
    let mut dice = Dice(number + 1);
    let mut text = String::new();
    for place in 0..40 {
        // The rank is the exponential of an even number.
        let even = dice.below(1 << 20) as f64 / f64::from(1 << 20);
        text.push_str(&word((WORDS.powf(even) - 1.0) as usize));
        text.push_str(if place % 10 == 9 { "\r\n" } else { " " });
    }
    if number > 0 && number.is_multiple_of(100) && number <= 500 {
        text.push_str(RARE);
    }
    let about = if number % 100 == 50 && number < 500 { SUBJECT } else { "consultation" };
    format!(
        "From: Docteur <m{}@exemple.mssante.fr>\r\nTo: Service <s{}@autre.mssante.fr>\r\nSubject: Compte rendu {number} {about}\r\n\
         Date: Sun, 01 Nov 2026 12:00:00 +0100\r\nMessage-ID: <g{number}@exemple.mssante.fr>\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        number % 97,
        number % 31
    )
}

fn commit(mailbox: MailboxId, number: u64) -> Commit {
    let text = message(number);
    let structure = Structure::of(text.as_bytes()).encode();
    let links = vec![
        LinkKey(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        LinkKey((number / 4 * 4).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ];
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    Commit {
        content: Some(Content { body: Spooled::from_bytes(text.into_bytes()), structure, links }),
        deliver: vec![Target::inbox(mailbox, now())],
        saved_at: now(),
        // As what comes from other operators has.
        duplicate_key: Some(key),
        ..Commit::default()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Filled {
    /// Opens the store of a stopped server.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(text)?;
        let store = Arc::new(runtime.block_on(async { Sqlite::open(folder) }).map_err(text)?);
        Ok(Filled { runtime, store })
    }

    /// Closes it.
    pub fn close(self) {
        self.runtime.block_on(self.store.close());
    }

    /// The mailbox of an address.
    pub fn find(&self, address: &str) -> Result<MailboxId, String> {
        let address = address.parse().map_err(text)?;
        let found = self.runtime.block_on(self.store.mailbox(&address)).map_err(text)?;
        found.map(|m| m.id).ok_or_else(|| format!("no mailbox {address}"))
    }

    /// How many messages a mailbox has.
    pub fn messages(&self, mailbox: MailboxId) -> Result<u64, String> {
        let all = self.runtime.block_on(self.store.mailboxes()).map_err(text)?;
        all.iter().find(|m| m.id == mailbox).map(|m| m.usage.messages).ok_or_else(|| "no mailbox".into())
    }

    /// Makes a mailbox that the bench's person may open.
    pub fn create(&self, address: &str) -> Result<MailboxId, String> {
        self.runtime.block_on(create(&self.store, address))
    }

    /// Makes mailboxes, many at a time, each with a message.
    pub fn create_all(&self, addresses: Vec<String>) -> Result<(), String> {
        let (store, next) = (self.store.clone(), Arc::new(AtomicU64::new(0)));
        let addresses = Arc::new(addresses);
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..128 {
                let (store, next, addresses) = (store.clone(), next.clone(), addresses.clone());
                tasks.spawn(async move {
                    while let Some(address) = addresses.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        let id = create(&store, address).await?;
                        store.commit(commit(id, 0)).await.map_err(text)?;
                    }
                    Ok::<_, String>(())
                });
            }
            all(tasks).await
        })
    }

    /// Delivers messages `from..to` into one mailbox.
    pub fn fill(&self, mailbox: MailboxId, from: u64, to: u64) -> Result<(), String> {
        self.commit_all(from, to, move |number| commit(mailbox, number))
    }

    /// Puts messages `from..to` into a folder of a mailbox, as its people do: nothing recognises a second one.
    pub fn file(&self, mailbox: MailboxId, folder: &str, from: u64, to: u64) -> Result<(), String> {
        let folder = FolderName::new(folder).map_err(text)?;
        self.commit_all(from, to, move |number| {
            let target = Target { folder: folder.clone(), ..Target::inbox(mailbox, now()) };
            Commit { deliver: vec![target], duplicate_key: None, ..commit(mailbox, number) }
        })
    }

    fn commit_all(
        &self,
        from: u64,
        to: u64,
        make: impl Fn(u64) -> Commit + Send + Sync + 'static,
    ) -> Result<(), String> {
        let (next, make) = (Arc::new(AtomicU64::new(from)), Arc::new(make));
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..WRITERS {
                let (store, next, make) = (self.store.clone(), next.clone(), make.clone());
                tasks.spawn(async move {
                    loop {
                        let first = next.fetch_add(BATCH, Ordering::Relaxed);
                        if first >= to {
                            return Ok(());
                        }
                        let commits = (first..to.min(first + BATCH)).map(|n| make(n)).collect();
                        store.commit_all(commits).await.map_err(text)?;
                    }
                });
            }
            all(tasks).await
        })
    }

    /// Delivers one message.
    pub fn deliver(&self, mailbox: MailboxId, number: u64) -> Result<(), String> {
        self.runtime.block_on(self.store.commit(commit(mailbox, number))).map(drop).map_err(text)
    }

    /// Delivers messages one by one into these mailboxes, 64 at a time.
    pub fn spread(&self, mailboxes: &[MailboxId], first: u64) -> Result<(), String> {
        let mailboxes: Arc<[MailboxId]> = mailboxes.into();
        let next = Arc::new(AtomicU64::new(0));
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..64 {
                let (store, next, mailboxes) = (self.store.clone(), next.clone(), mailboxes.clone());
                tasks.spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(mailbox) = mailboxes.get(number as usize) else { return Ok(()) };
                        store.commit(commit(*mailbox, first + number)).await.map_err(text)?;
                    }
                });
            }
            all(tasks).await
        })
    }

    /// The upkeep of every hour.
    pub fn maintain(&self) -> Result<(), String> {
        self.runtime.block_on(self.store.maintain(now())).map_err(text)
    }

    /// The longest one of many deliveries takes while upkeep runs, in milliseconds.
    pub fn behind_upkeep(&self, mailbox: MailboxId, first: u64) -> Result<f64, String> {
        self.runtime.block_on(async {
            let store = self.store.clone();
            let upkeep = tokio::spawn(async move { store.maintain(now()).await });
            let (mut worst, mut number) = (0.0f64, first);
            loop {
                let began = std::time::Instant::now();
                self.store.commit(commit(mailbox, number)).await.map_err(text)?;
                worst = worst.max(super::ms(began));
                number += 1;
                if upkeep.is_finished() {
                    upkeep.await.map_err(text)?.map_err(text)?;
                    return Ok(worst);
                }
            }
        })
    }
}

async fn create(store: &Sqlite, address: &str) -> Result<MailboxId, String> {
    let new = NewMailbox {
        address: address.parse().map_err(text)?,
        kind: MailboxKind::Org,
        holder: Holder::Structure("1750000001".parse().map_err(text)?),
        label: "Bench".into(),
        quota: Quota::default(),
        created_at: now(),
    };
    let id = store.create_mailbox(new).await.map_err(text)?;
    let person = PERSON.parse().map_err(text)?;
    store.grant(id, Right { person, role: Role::Member, from: 0, until: None }).await.map_err(text)?;
    Ok(id)
}

async fn all(mut tasks: JoinSet<Result<(), String>>) -> Result<(), String> {
    while let Some(done) = tasks.join_next().await {
        done.map_err(text)??;
    }
    Ok(())
}
