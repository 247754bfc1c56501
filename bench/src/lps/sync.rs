//! A full synchronisation of a folder: what is there, its flags and headers; and whole messages into files. Beside mbsync, which does
//! the latter, from the same Dovecot in the same run, its FSync off as ours is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use lps::session::{Known, Listing, Session};
use lps::{Account, Authentication, Credentials, Endpoint, EntryPoints, Space, TokenError, TokenSource};
use psc::Secret;
use serde_json::Value;

use super::dovecot::{Dovecot, USER};
use crate::imap::messages;
use crate::report::{command, machine};
use crate::sandbox::Sandbox;

/// How it is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Messages of the folder.
    #[arg(long, default_value_t = 50_000)]
    messages: usize,
    /// Octets of attachment of each, besides some 3 KB of text.
    #[arg(long, default_value_t = 2_000)]
    attachment: usize,
    /// The program whose sandbox gives certificates and settings.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where the server and the copies are kept: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Also write the table to this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A line of the table.
struct Row {
    what: String,
    unit: &'static str,
    value: f64,
}

impl Row {
    /// The median of some values.
    fn median(what: impl Into<String>, unit: &'static str, mut values: Vec<f64>) -> Row {
        values.sort_by(f64::total_cmp);
        Row { what: what.into(), unit, value: values.get(values.len() / 2).copied().unwrap_or(f64::NAN) }
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let rows = runtime.block_on(measure(options))?;
    let mut table = format!(
        "Median of {} runs; {}; commit {}.\n\n| what | unit | value |\n|---|---|---|\n",
        options.runs,
        machine(),
        command("git", &["rev-parse", "--short", "HEAD"])
    );
    for Row { what, unit, value } in &rows {
        table.push_str(&format!("| {what} | {unit} | {value:.2} |\n"));
    }
    println!("{table}");
    match &options.markdown {
        Some(path) => std::fs::write(path, table).map_err(|e| format!("{}: {e}", path.display())),
        None => Ok(()),
    }
}

/// Larger than any message here.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Dovecot is told to take any.
struct AnyToken;

#[async_trait]
impl TokenSource for AnyToken {
    async fn token(&self) -> Result<Secret, TokenError> {
        Ok(Secret::new("any"))
    }

    fn author(&self) -> Option<String> {
        None
    }
}

/// The name that alpha's certificate holds, and its domain.
fn alpha(sandbox: &Sandbox) -> Result<(String, String), String> {
    let alpha = sandbox.operator("alpha")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let found = text(&alpha["imap"]["host"]).zip(text(&alpha["domain"]));
    found.ok_or("sandbox.json does not tell alpha's names".to_owned())
}

async fn measure(options: &Options) -> Result<Vec<Row>, String> {
    if Command::new("mbsync").arg("--version").output().is_err() {
        return Err("mbsync is missing: apt-get install isync".into());
    }
    // Its own, within what may hold other things.
    let place = options.folder.join("lps-sync");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    let sandbox = Sandbox::start(&options.binary, &place.join("sandbox"))?;
    let (host, domain) = alpha(&sandbox)?;
    let pki = sandbox.folder.join("pki");
    let fill = |cur: &Path| {
        for number in 0..options.messages {
            let octets = messages::message(number, options.attachment);
            // One in two seen.
            let flags = if number % 2 == 0 { "S" } else { "" };
            let name = format!("{}.M{number}P1.bench:2,{flags}", 1_795_000_000 + number);
            std::fs::write(cur.join(name), octets).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    let dovecot = Dovecot::start(&place, &pki.join("alpha.pem"), &pki.join("alpha.key"), fill)?;
    let space = Space::load(&sandbox.folder.join("lps.toml")).map_err(|e| e.to_string())?;
    let imap = Endpoint { host, port: dovecot.port };
    let entry = EntryPoints { smtp: imap.clone(), imap, authentication: Authentication::Psc };
    let address = format!("{USER}@{domain}").parse().map_err(|_| "an address that is none")?;
    let account = Account { address, entry, credentials: Credentials::Psc(Arc::new(AnyToken)) };
    // Its indexes are made once, before anything is timed.
    listed(&space, &account).await?;
    whole(&space, &account, &fresh(&place, "copies", options.runs)?).await?;

    let (mut headers, mut bodies, mut theirs, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..options.runs {
        theirs.push(mbsync(&fresh(&place, "mbsync", run)?, &pki, dovecot.port, options.messages)?);
        let copies = fresh(&place, "copies", run)?;
        bodies.push(timed(whole(&space, &account, &copies), options.messages).await?);
        headers.push(timed(listed(&space, &account), options.messages).await?);
        again.push(nothing_new(&space, &account).await?);
    }
    let what = |how: &str| {
        format!("{} messages of {} KB from Dovecot: {how}", options.messages, 3 + options.attachment / 1000)
    };
    let all = [&bodies, &theirs].map(|values| Row::median("", "s", values.clone()).value);
    Ok(vec![
        Row::median(what("flags and headers, lps"), "s", headers),
        Row::median(what("whole, into files, lps"), "s", bodies),
        Row::median(what("whole, into a Maildir, mbsync"), "s", theirs),
        Row { what: what("whole, lps for one of mbsync"), unit: "ratio", value: all[0] / all[1] },
        Row::median(what("opened and synchronised again, nothing new, lps"), "ms", again),
    ])
}

async fn timed(work: impl Future<Output = Result<usize, String>>, expected: usize) -> Result<f64, String> {
    let begun = Instant::now();
    let count = work.await?;
    let seconds = begun.elapsed().as_secs_f64();
    if count == expected { Ok(seconds) } else { Err(format!("{count} messages of {expected}")) }
}

async fn listed(space: &Arc<Space>, account: &Account) -> Result<usize, String> {
    let session = Session::open(space.clone(), account.clone()).await.map_err(|e| e.to_string())?;
    let mut known = Known::default();
    let changes = session.sync("INBOX", &mut known).await.map_err(|e| e.to_string())?;
    let mut summaries = Vec::new();
    session.list_each("INBOX", &Listing::all(), &mut |s| summaries.push(s)).await.map_err(|e| e.to_string())?;
    session.close().await;
    if summaries.len() == changes.arrived.len() {
        Ok(summaries.len())
    } else {
        Err(format!("{} messages listed, {} synchronised", summaries.len(), changes.arrived.len()))
    }
}

/// A folder of its own for each run. Nothing is removed before the last: ext4 is slow at making files where many were just deleted, for
/// whoever comes next.
fn fresh(base: &Path, name: &str, run: usize) -> Result<PathBuf, String> {
    let folder = std::path::absolute(base.join(format!("{name}-{run}"))).map_err(|e| e.to_string())?;
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

async fn whole(space: &Arc<Space>, account: &Account, folder: &Path) -> Result<usize, String> {
    let session = Session::open(space.clone(), account.clone()).await.map_err(|e| e.to_string())?;
    let mut known = Known::default();
    let changes = session.sync("INBOX", &mut known).await.map_err(|e| e.to_string())?;
    let mut written = 0;
    let mut failed = None;
    let mut take = |uid: u32, octets: Option<bytes::Bytes>| {
        let done = octets
            .ok_or("too large".to_owned())
            .and_then(|octets| std::fs::write(folder.join(uid.to_string()), &octets).map_err(|e| e.to_string()));
        match done {
            Ok(()) => written += 1,
            Err(error) => failed = Some(error),
        }
    };
    session.fetch_each("INBOX", &changes.arrived, LIMIT, &mut take).await.map_err(|e| e.to_string())?;
    session.close().await;
    failed.map_or(Ok(written), Err)
}

/// Milliseconds.
async fn nothing_new(space: &Arc<Space>, account: &Account) -> Result<f64, String> {
    let session = Session::open(space.clone(), account.clone()).await.map_err(|e| e.to_string())?;
    let mut known = Known::default();
    session.sync("INBOX", &mut known).await.map_err(|e| e.to_string())?;
    session.close().await;
    let begun = Instant::now();
    let session = Session::open(space.clone(), account.clone()).await.map_err(|e| e.to_string())?;
    let changes = session.sync("INBOX", &mut known).await.map_err(|e| e.to_string())?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    if changes.is_empty() { Ok(took) } else { Err("something new where nothing is".into()) }
}

/// Seconds of a full pull into an empty Maildir.
fn mbsync(folder: &Path, pki: &Path, port: u16, expected: usize) -> Result<f64, String> {
    let (place, certificate) = (folder.display(), pki.join("alpha.pem"));
    let settings = format!(
        "FSync no\n\nIMAPAccount a\nHost 127.0.0.1\nPort {port}\nUser {USER}\nPass any\nSSLType STARTTLS\n\
         CertificateFile {}\nAuthMechs PLAIN\nTimeout 120\n\nIMAPStore far\nAccount a\n\n\
         MaildirStore near\nPath {place}/\nInbox {place}/INBOX\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\nSyncState *\n",
        certificate.display()
    );
    let file = folder.join("mbsyncrc");
    std::fs::write(&file, settings).map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let output = Command::new("mbsync").arg("-q").arg("-c").arg(&file).arg("c").output().map_err(|e| e.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    let files = ["cur", "new"].map(|p| std::fs::read_dir(folder.join("INBOX").join(p)).map_or(0, Iterator::count));
    if !output.status.success() || files.iter().sum::<usize>() != expected {
        return Err(format!("mbsync: {files:?} messages of {expected}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(seconds)
}
