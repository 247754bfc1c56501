//! IMAP, beside Dovecot in the same run.

pub(crate) mod client;
mod dovecot;
mod handshakes;
mod measures;
pub(crate) mod messages;
pub(crate) mod ours;
pub(crate) mod process;
mod shared;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;

use dovecot::Setting;
use measures::{Bench, Figure};

use crate::quiet::settle;

/// What is measured.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Messages of the large folder (SELECT, FLAGS, STORE, CHANGEDSINCE).
    #[arg(long, default_value_t = 100_000)]
    large: usize,
    /// Messages of the middle folder (ENVELOPE, SEARCH).
    #[arg(long, default_value_t = 50_000)]
    middle: usize,
    /// Messages of 20 KB whose bodies are read.
    #[arg(long, default_value_t = 5_000)]
    bodies: usize,
    /// Connections that wait in IDLE.
    #[arg(long, default_value_t = 2_000)]
    idle: usize,
    /// Seconds of logins.
    #[arg(long, default_value_t = 5)]
    login_seconds: u64,
    /// APPENDs on one connection; three times as many on ten.
    #[arg(long, default_value_t = 1_000)]
    appends: usize,
    /// Mailboxes that APPENDs are spread over.
    #[arg(long, default_value_t = 10)]
    mailboxes: usize,
    /// Only these measures, of: append, large, envelopes, bodies, searches, logins, shared, idle.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only ours: no Dovecot.
    #[arg(long)]
    only_ours: bool,
    /// The server under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where both servers keep their data: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Wait before each measure until at most this share of the processors, in percent, was busy for five seconds; at most
    /// five minutes.
    #[arg(long, default_value_t = 5.0)]
    quiet: f64,
    /// Also write the table to this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A server under load.
pub trait Mailstore: Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// The AUTHENTICATE command that opens a mailbox.
    fn login(&self, mailbox: usize) -> String;
    /// Stops and starts it.
    fn restart(&mut self) -> Result<(), String>;
    /// The process above all of its processes.
    fn process(&self) -> u32;
    /// Whether it asks Pro Santé Connect at each login.
    fn asks(&self) -> bool {
        false
    }
    /// The only measure it is for, when it is set up for one.
    fn only(&self) -> Option<&'static str> {
        None
    }
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), String> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    let mut servers: Vec<Box<dyn Mailstore>> =
        vec![Box::new(ours::Ours::start(&options.folder, &options.binary, options.mailboxes)?)];
    let asking = if wanted("logins") {
        Some(ours::Ours::start_asking(ours::Asking::Psc, &options.folder, &options.binary, 2)?)
    } else {
        None
    };
    if !options.only_ours {
        let mut dovecot = |setting| -> Result<(), String> {
            servers.push(Box::new(dovecot::Dovecot::start(&options.folder, "sdbox", setting)?));
            Ok(())
        };
        dovecot(Setting::Default)?;
        if let Some(ours) = &asking {
            dovecot(Setting::Tuned)?;
            dovecot(Setting::TunedAsking(ours.introspection()?))?;
        }
    }
    // Behind the Dovecot that asks the Pro Santé Connect of its sandbox: the list is dropped from its beginning.
    if let Some(ours) = asking {
        servers.push(Box::new(ours));
    }
    let context = client::context()?;
    let mut rows: Vec<(usize, Figure)> = Vec::new();
    // Before each start anew, and at the end: a process takes its peak with it.
    let mut peaks = vec![0; servers.len()];
    for (place, server) in servers.iter_mut().enumerate() {
        if server.only().is_some() {
            continue;
        }
        let bench = Bench { server: &mut **server, context: context.clone(), options: options.clone() };
        if wanted("large") {
            bench.fill("large", options.large, messages::small)?;
        }
        if wanted("envelopes") || wanted("searches") {
            bench.fill("middle", options.middle, |n| messages::message(n, 2_000))?;
        }
        if wanted("bodies") {
            bench.fill("bodies", options.bodies, |n| messages::message(n, 16_900))?;
        }
        let mut bench = bench;
        peaks[place] = process::peak(bench.server.process())?;
        if wanted("envelopes") {
            settle(options.quiet);
            rows.extend(bench.envelopes(true)?.into_iter().map(|f| (place, f)));
        }
        if wanted("searches") {
            rows.extend(bench.searches(true)?.into_iter().map(|f| (place, f)));
            rows.push((place, bench.indexed()?));
        }
        if wanted("idle") || wanted("shared") {
            idle_folder(&bench)?;
        }
    }
    type Measure = (&'static str, fn(&mut Bench<'_>) -> Result<Vec<Figure>, String>);
    let measures: [Measure; 9] = [
        ("append", |b| b.append(1, b.options.appends)),
        ("append", |b| b.append(10, b.options.appends * 3)),
        ("large", |b| b.large()),
        ("envelopes", |b| b.envelopes(false)),
        ("bodies", |b| b.bodies()),
        ("searches", |b| b.searches(false)),
        ("logins", |b| b.logins()),
        ("idle", |b| b.idle()),
        ("shared", |b| b.shared()),
    ];
    for (name, measure) in measures {
        if !wanted(name) {
            continue;
        }
        // A, B, A, B…: what disturbs the machine disturbs both.
        for _ in 0..options.runs {
            for (place, server) in servers.iter_mut().enumerate() {
                if server.only().is_some_and(|only| only != name) {
                    continue;
                }
                settle(options.quiet);
                let mut bench = Bench { server: &mut **server, context: context.clone(), options: options.clone() };
                let figures = measure(&mut bench).map_err(|e| format!("{}, {name}: {e}", bench.server.name()))?;
                for figure in &figures {
                    eprintln!(
                        "{:<16} {}: {:.1} {}",
                        bench.server.name(),
                        figure.what,
                        figure.value,
                        figure.unit.name()
                    );
                }
                rows.extend(figures.into_iter().map(|f| (place, f)));
                peaks[place] = process::peak(server.process())?.max(peaks[place]);
            }
        }
    }
    let whole = servers.iter().zip(&peaks).enumerate().filter(|(_, (server, _))| server.only().is_none());
    rows.extend(whole.map(|(place, (_, octets))| (place, measures::peak(*octets))));
    // Servers of one name have one column.
    let mut names: Vec<&str> = Vec::new();
    let columns: Vec<usize> = servers
        .iter()
        .map(|server| {
            names.iter().position(|name| *name == server.name()).unwrap_or_else(|| {
                names.push(server.name());
                names.len() - 1
            })
        })
        .collect();
    for (place, _) in &mut rows {
        *place = columns[*place];
    }
    let text = table::markdown(&names, &rows, options);
    println!("{text}");
    match &options.markdown {
        Some(path) => std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display())),
        None => Ok(()),
    }
}

/// A folder of 10,000 in mailbox 1, which those who wait have open.
fn idle_folder(bench: &Bench<'_>) -> Result<(), String> {
    let mut client = bench.connect(1)?;
    client.command("CREATE idle")?;
    for first in (0..10_000).step_by(100) {
        let mut octets = String::new();
        let mut tags = Vec::new();
        for number in first..first + 100 {
            let text = messages::small(number);
            tags.push(client.next_tag());
            octets.push_str(&format!("a{} APPEND idle {{{}+}}\r\n{text}\r\n", tags[tags.len() - 1], text.len()));
        }
        client.send(octets.as_bytes())?;
        for tag in tags {
            client.answer(tag)?;
        }
    }
    Ok(())
}
