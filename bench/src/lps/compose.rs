//! `bench lps compose`: messages made per second, each with a CDA of 100 KB checked, packed as IHE_XDM.zip and copied as PDF/A; of which
//! what the message itself takes. Then the memory of a program that makes a message of 25 MB and sends it to a sandbox: a process of
//! its own, so that nothing else is counted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use lps::compose::{Attachment, Draft, Outgoing, Recipient, Sender};
use lps::documents::{DocumentSet, Given, Preparation};
use lps::send::{SendOptions, send};
use lps::{Account, Authentication, Credentials, Endpoint, EntryPoints, Software, Space, TokenError, TokenSource};
use mssante::label::Label;
use mssante::xdm;

use crate::sandbox::Sandbox;

const CDA: &str = include_str!("../../../tests/fixtures/cda-n3-lettre-liaison.xml");
/// Octets of the document.
const DOCUMENT: usize = 100_000;
/// Octets of the file attached: 25 MB once in base64.
const ATTACHED: u64 = 18_000_000;
const FROM: &str = "marie.martin@alpha.formation.mssante.fr";
const TO: &str = "paul.durand@alpha.formation.mssante.fr";

/// How it is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Messages of one run.
    #[arg(long, default_value_t = 200)]
    messages: usize,
    /// Runs; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The program whose sandbox is sent to.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// In a process of its own: sends 25 MB to the sandbox of this folder and prints the memory before and after.
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<(), String> {
    if let Some(folder) = &options.child {
        return child(folder);
    }
    let document = document()?;
    let whole = median(options, |_| {
        let set = prepare(&document)?;
        message(draft()?.documents(&set)).map(|_| ())
    })?;
    let set = prepare(&document)?;
    let alone = median(options, |_| message(draft()?.documents(&set)).map(|_| ()))?;
    let size = message(draft()?.documents(&set))?.size();
    println!("document of {} octets, message of {size} octets, one thread", document.len());
    println!("documents checked, packed, rendered, and message made: {whole:.0} messages/s");
    println!("message made of a set at hand: {alone:.0} messages/s, {:.0} MB/s", alone * size as f64 / 1e6);

    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let sandbox = Sandbox::start(&options.binary, folder.path())?;
    token(&options.binary, &sandbox)?;
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let sent = Command::new(own).args(["lps", "compose", "--child"]).arg(&sandbox.folder).output();
    let sent = sent.map_err(|e| e.to_string())?;
    print!("{}", String::from_utf8_lossy(&sent.stdout));
    if sent.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&sent.stderr).into_owned()) }
}

/// Messages per second: the median of the runs.
fn median(options: &Options, make: impl Fn(usize) -> Result<(), String>) -> Result<f64, String> {
    let mut rates = Vec::new();
    for _ in 0..options.runs.max(1) {
        let start = Instant::now();
        (0..options.messages).try_for_each(&make)?;
        rates.push(options.messages as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[rates.len() / 2])
}

/// The fixture with paragraphs added until it has its size.
fn document() -> Result<Vec<u8>, String> {
    let at = CDA.find("</paragraph></text>").ok_or("the fixture has no paragraph")? + "</paragraph>".len();
    let paragraph =
        "<paragraph>Patient stable, sans fièvre, tension à 12/7, traitement poursuivi à l'identique.</paragraph>";
    let count = DOCUMENT.saturating_sub(CDA.len()) / paragraph.len();
    Ok([&CDA[..at], &paragraph.repeat(count), &CDA[at..]].concat().into_bytes())
}

fn prepare(document: &[u8]) -> Result<DocumentSet, String> {
    let text = |text: &str| text.to_owned();
    let software = Software {
        nil: "3734".parse().map_err(|_| "nil")?,
        name: text("bench"),
        version: text("1"),
        vendor: text("bench"),
        source_id: text("1.2.250.1.999.1.1"),
    };
    let sender =
        xdm::Sender { name: text("Marie MARTIN"), organization: text("Alpha"), postal_address: None, phone: None };
    let how = Preparation::new(&software, sender, time::OffsetDateTime::now_utc());
    DocumentSet::prepare(&[Given::bytes(document)], &how).map_err(|e| e.to_string())
}

fn draft() -> Result<Draft, String> {
    let label = Label::personal(Some("Dr"), "Marie", "Martin", Some("Hôpital Alpha")).map_err(|e| e.to_string())?;
    let sender = Sender { address: FROM.parse().map_err(|_| "address")?, label };
    let to = Recipient::new(TO.parse().map_err(|_| "address")?).map_err(|e| e.to_string())?;
    Ok(Draft::new("3734".parse().map_err(|_| "nil")?, sender).to(to).text("Bonjour,\nvoici le compte rendu.\n"))
}

fn message(draft: Draft) -> Result<Outgoing, String> {
    draft.build_blocking().map_err(|e| e.to_string())
}

/// The memory of a program that sends 25 MB.
fn child(folder: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(async {
        let space = Space::load(&folder.join("lps.toml")).map_err(|e| e.to_string())?;
        let account = account(folder)?;
        let file = folder.join("attached.bin");
        std::fs::write(&file, b"").map_err(|e| e.to_string())?;
        let grown = std::fs::OpenOptions::new().write(true).open(&file).and_then(|f| f.set_len(ATTACHED));
        grown.map_err(|e| e.to_string())?;
        // What TLS and the libraries take is there before.
        let small = draft()?.subject("petit").build().await.map_err(|e| e.to_string())?;
        send(&space, &account, &small, &SendOptions::default()).await.map_err(|e| e.to_string())?;
        let before = peak()?;
        let start = Instant::now();
        let draft = draft()?.subject("grand").attach(Attachment::file(file));
        let large = draft.build().await.map_err(|e| e.to_string())?;
        let made = start.elapsed();
        send(&space, &account, &large, &SendOptions::default()).await.map_err(|e| e.to_string())?;
        println!(
            "{} octets made in {} ms and sent in {} ms: peak memory {:.1} MB, {:.1} MB above a small message",
            large.size(),
            made.as_millis(),
            start.elapsed().as_millis() - made.as_millis(),
            peak()? / 1e6,
            (peak()? - before) / 1e6
        );
        Ok(())
    })
}

/// The most octets this process had resident.
fn peak() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "VmHWM")?;
    Ok(kib * 1024.0)
}

/// Marie MARTIN at alpha.
fn account(folder: &Path) -> Result<Account, String> {
    let text = std::fs::read(folder.join("sandbox.json")).map_err(|e| e.to_string())?;
    let description: serde_json::Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let endpoint = |kind: &str| {
        let found = &description["operators"][0][kind];
        let host = found["name"].as_str().map(ToOwned::to_owned)?;
        Some(Endpoint { host, port: found["port"].as_u64()?.try_into().ok()? })
    };
    let missing = || "sandbox.json has no entry point".to_owned();
    let token = std::fs::read_to_string(folder.join("token")).map_err(|e| e.to_string())?;
    Ok(Account {
        address: FROM.parse().map_err(|_| "address")?,
        entry: EntryPoints {
            imap: endpoint("imap").ok_or_else(missing)?,
            smtp: endpoint("submission").ok_or_else(missing)?,
            authentication: Authentication::Psc,
        },
        credentials: Credentials::Psc(Arc::new(Fixed(psc::Secret::new(token.trim())))),
    })
}

/// One token that outlives the measure.
struct Fixed(psc::Secret);

#[async_trait]
impl TokenSource for Fixed {
    async fn token(&self) -> Result<psc::Secret, TokenError> {
        Ok(self.0.clone())
    }

    fn author(&self) -> Option<String> {
        None
    }
}

/// A token of an hour, in `token` beside the sandbox's files.
fn token(binary: &Path, sandbox: &Sandbox) -> Result<(), String> {
    let mut token = Command::new(binary);
    token.args(["sandbox", "token", "--id", "899700000017", "--ttl", "1h", "--dir"]).arg(&sandbox.folder);
    let token = token.output().map_err(|e| format!("{}: {e}", binary.display()))?;
    std::fs::write(sandbox.folder.join("token"), &token.stdout).map_err(|e| e.to_string())
}
