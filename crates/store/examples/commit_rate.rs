//! Durable commits per second: `cargo run --release -p store --example commit_rate [-- SECONDS [FOLDER]]`.
//!
//! One message of 20 KB per commit, half of it random, into INBOX: with 1, 8, 16 and 32 writers that each wait for their answer,
//! spread over 64 mailboxes and all into one. Also what an open folder of 100,000 messages takes of memory.
//!
//! In the environment: `NO_MEMORY` leaves that last out; `LINKS=n` gives each message n identifiers of its conversation (1: its
//! own; the others are of a message before it); `SEAL_AGAIN` encrypts each message once more than the store does, as it does it:
//! what that adds of processor is what encryption costs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail::{Flags, FolderName};
use store::sqlite::Sqlite;
use store::{Commit, Content, Holder, LinkKey, MailboxId, NewMailbox, Quota, Spooled, Store, Target};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const OCTETS: usize = 20 * 1024;
const STRUCTURE: usize = 900;
const MAILBOXES: u32 = 64;

fn message() -> Result<Vec<u8>, Failure> {
    let mut octets = vec![b'x'; OCTETS];
    openssl::rand::rand_bytes(&mut octets[..OCTETS / 2])?;
    Ok(octets)
}

/// Identifiers of its conversation that a message has.
fn links() -> usize {
    static LINKS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *LINKS.get_or_init(|| std::env::var("LINKS").ok().and_then(|n| n.parse().ok()).unwrap_or(1))
}

/// The work of `Record::seal`: a salt, a key derived from another, the structure and the octets encrypted under it.
struct Sealer {
    key: openssl::sha::Sha256,
    cipher: openssl::cipher::Cipher,
    context: openssl::cipher_ctx::CipherCtx,
}

impl Sealer {
    fn new() -> Result<Self, Failure> {
        let mut key = openssl::sha::Sha256::new();
        key.update(&[7; 64]);
        let cipher = openssl::cipher::Cipher::fetch(None, "AES-256-GCM", None)?;
        Ok(Sealer { key, cipher, context: openssl::cipher_ctx::CipherCtx::new()? })
    }

    fn seal(&mut self, parts: [&[u8]; 2]) -> Result<Vec<u8>, Failure> {
        let mut salt = [0; 16];
        openssl::rand::rand_bytes(&mut salt)?;
        let (mut inner, mut outer) = (self.key.clone(), self.key.clone());
        inner.update(&salt);
        outer.update(&inner.finish());
        let key = outer.finish();
        let mut out = Vec::with_capacity(OCTETS + STRUCTURE + 64);
        for (part, clear) in parts.into_iter().enumerate() {
            self.context.encrypt_init(Some(&self.cipher), Some(&key), Some(&[part as u8; 12]))?;
            self.context.cipher_update_vec(clear, &mut out)?;
            self.context.cipher_final_vec(&mut out)?;
            let mut tag = [0; 16];
            self.context.tag(&mut tag)?;
            out.extend_from_slice(&tag);
        }
        Ok(out)
    }
}

fn commit(mailbox: MailboxId, octets: &bytes::Bytes) -> Commit {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
    let own = NEXT.fetch_add(1, Ordering::Relaxed);
    // Spread as digests are.
    let links = (0..links() as u64).map(|n| LinkKey(if n == 0 { own } else { n }.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let target = Target {
        mailbox,
        folder: FolderName::inbox(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: 1_790_000_000,
    };
    let content =
        Content { body: Spooled::from_bytes(octets.clone()), structure: vec![b's'; STRUCTURE], links: links.collect() };
    Commit { content: Some(content), deliver: vec![target], ..Commit::default() }
}

async fn open(folder: &Path) -> Result<(Arc<Sqlite>, Vec<MailboxId>), Failure> {
    let store = Arc::new(Sqlite::open(folder)?);
    let mut mailboxes = Vec::new();
    for n in 0..MAILBOXES {
        let new = NewMailbox {
            address: format!("bal{n}@alpha.formation.mssante.fr").parse()?,
            kind: mssante::MailboxKind::Per,
            holder: Holder::Person("899700000017".parse()?),
            label: String::new(),
            quota: Quota::default(),
            created_at: 1_790_000_000,
        };
        mailboxes.push(store.create_mailbox(new).await?);
    }
    Ok((store, mailboxes))
}

async fn rate(folder: &Path, writers: usize, spread: bool, length: Duration) -> Result<(f64, Duration, f64), Failure> {
    let (store, mailboxes) = open(folder).await?;
    let octets = bytes::Bytes::from(message()?);
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (start, cpu) = (Instant::now(), processor_time());
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (store, octets, stop, count) = (store.clone(), octets.clone(), stop.clone(), count.clone());
        let mailboxes = mailboxes.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            let mut turn = writer;
            let mut again = if std::env::var_os("SEAL_AGAIN").is_some() { Some(Sealer::new()?) } else { None };
            while !stop.load(Ordering::Relaxed) {
                let mailbox = if spread { mailboxes[turn % mailboxes.len()] } else { mailboxes[0] };
                turn += writers;
                let asked = Instant::now();
                if let Some(sealer) = &mut again {
                    std::hint::black_box(sealer.seal([&octets[..STRUCTURE], &octets])?);
                }
                store.commit(commit(mailbox, &octets)).await?;
                waits.push(asked.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Failure>(waits)
        });
    }
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done??);
    }
    let elapsed = start.elapsed().as_secs_f64();
    let done = count.load(Ordering::Relaxed) as f64;
    let cpu = (processor_time() - cpu).as_secs_f64();
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    store.close().await;
    Ok((done / elapsed, p99, cpu * 1e6 / done))
}

/// Processor time of this process.
fn processor_time() -> Duration {
    // SAFETY: `usage` is a plain structure that the call fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let of = |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    of(usage.ru_utime) + of(usage.ru_stime)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What one open folder of 100,000 messages takes, and how long it takes to open.
async fn memory(folder: &Path) -> Result<(u64, Duration), Failure> {
    let (store, mailboxes) = open(folder).await?;
    let mailbox = mailboxes[0];
    let octets = bytes::Bytes::from_static(b"x");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, octets) = (store.clone(), octets.clone());
        tasks.spawn(async move {
            for _ in 0..1000 {
                store.commit(commit(mailbox, &octets)).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let inbox = store.folders(mailbox).await?.into_iter().find(|f| f.name.is_inbox()).ok_or("no INBOX")?.id;
    let before = resident_kib();
    let start = Instant::now();
    let view = store.watch(mailbox, inbox).await?;
    let took = start.elapsed();
    assert_eq!(view.borrow().len(), 100_000);
    let after = resident_kib();
    store.close().await;
    Ok((after.saturating_sub(before), took))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(3.0), |s| s.parse())?;
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    for spread in [true, false] {
        for writers in [1, 8, 16, 32] {
            let dir = tempfile::tempdir_in(&base)?;
            let (rate, p99, cpu) =
                rate(&dir.path().join("data"), writers, spread, Duration::from_secs_f64(seconds)).await?;
            let into = if spread { "64 mailboxes" } else { "one mailbox" };
            println!(
                "{writers:2} writers into {into}: {rate:6.0} commits/s, 99 % within {p99:.1?}, {cpu:.0} µs of processor each"
            );
        }
    }
    if std::env::var_os("NO_MEMORY").is_none() {
        let dir = tempfile::tempdir_in(&base)?;
        let (kib, took) = memory(&dir.path().join("data")).await?;
        println!("a folder of 100,000 messages: open in {took:.1?}, {kib} KiB");
    }
    Ok(())
}
