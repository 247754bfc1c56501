//! What is measured, each a function of a server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openssl::ssl::SslContext;

use super::client::{Client, burst};
use super::messages::{self, ALL, HALF, PHRASES, RARE};
use super::{Mailstore, Options, handshakes, process};

/// Messages sent by one MULTIAPPEND, or before answers are read.
const TOGETHER: usize = 100;

/// One figure of one run.
pub struct Figure {
    /// The measure.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// What a figure counts; tells which way is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Per second.
    PerSecond,
    /// Megabytes per second.
    MbPerSecond,
    /// Milliseconds of processor per megabyte.
    CpuMsPerMb,
    /// Kilobytes.
    Kb,
    /// Megabytes.
    Mb,
    /// Seconds.
    Seconds,
    /// Of each other.
    Share,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Ms => "ms",
            Unit::PerSecond => "/s",
            Unit::MbPerSecond => "MB/s",
            Unit::CpuMsPerMb => "ms CPU/MB",
            Unit::Kb => "KB",
            Unit::Mb => "MB",
            Unit::Seconds => "s",
            Unit::Share => "of 1",
        }
    }
}

/// One figure.
pub fn figure(what: impl Into<String>, value: f64, unit: Unit) -> Figure {
    Figure { what: what.into(), value, unit }
}

/// The most memory a server had.
pub fn peak(octets: u64) -> Figure {
    figure("peak of memory, processes that are there", octets as f64 / 1e6, Unit::Mb)
}

/// What the measures have in common.
pub struct Bench<'s> {
    pub server: &'s mut dyn Mailstore,
    pub context: SslContext,
    pub options: Options,
}

impl Bench<'_> {
    pub fn connect(&self, mailbox: usize) -> Result<Client, String> {
        Client::open(&self.context, self.server.address(), &self.server.login(mailbox))
    }

    /// Fills a folder of mailbox 0, many messages at a time.
    pub fn fill(&self, folder: &str, count: usize, message: impl Fn(usize) -> String) -> Result<(), String> {
        let mut client = self.connect(0)?;
        let capabilities = client.command("CAPABILITY")?;
        let multi =
            capabilities.last.contains("MULTIAPPEND") || capabilities.notes.iter().any(|n| n.contains("MULTIAPPEND"));
        if folder != "INBOX" {
            client.command(&format!("CREATE {folder}"))?;
        }
        let began = Instant::now();
        for first in (0..count).step_by(TOGETHER) {
            let last = (first + TOGETHER).min(count);
            let mut octets = String::new();
            let mut tags = Vec::new();
            for number in first..last {
                let text = message(number);
                if !multi || number == first {
                    tags.push(client.next_tag());
                    if number > first {
                        octets.push_str("\r\n");
                    }
                    octets.push_str(&format!("a{} APPEND {folder}", tags[tags.len() - 1]));
                }
                octets.push_str(&format!(" {{{}+}}\r\n{text}", text.len()));
            }
            octets.push_str("\r\n");
            client.send(octets.as_bytes())?;
            for tag in tags {
                client.answer(tag)?;
            }
        }
        eprintln!("{:<16} {folder}: {count} messages in {:.1} s", self.server.name(), began.elapsed().as_secs_f64());
        client.command("LOGOUT").map(drop).or(Ok(()))
    }

    /// A command timed once, in milliseconds.
    fn time(client: &mut Client, command: &str, fetched: Option<usize>) -> Result<f64, String> {
        let began = Instant::now();
        let answer = client.command(command).map_err(|e| format!("{command}: {e}"))?;
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        match fetched {
            Some(expected) if answer.fetched != expected => {
                Err(format!("{command}: {} FETCH responses, {expected} expected", answer.fetched))
            }
            _ => Ok(ms),
        }
    }

    /// Durable APPENDs per second, one after the other on each of `connections`.
    pub fn append(&self, connections: usize, messages: usize) -> Result<Vec<Figure>, String> {
        let mut clients =
            (0..connections).map(|n| self.connect(n % self.options.mailboxes)).collect::<Result<Vec<_>, _>>()?;
        let text = messages::message(7, 16_900);
        let rate = messages as f64 / burst(&mut clients, messages, |_| &text)?.as_secs_f64();
        Ok(vec![figure(
            format!("APPEND 20 KB, {connections} connection{}", if connections == 1 { "" } else { "s" }),
            rate,
            Unit::PerSecond,
        )])
    }

    /// SELECT, FETCH FLAGS, STORE, CHANGEDSINCE on the large folder.
    pub fn large(&mut self) -> Result<Vec<Figure>, String> {
        let count = self.options.large;
        let mut figures = Vec::new();
        self.server.restart()?;
        let mut client = self.connect(0)?;
        let first = Self::time(&mut client, "SELECT large", None)?;
        figures.push(figure(format!("SELECT of {count}, first after a start"), first, Unit::Ms));
        // Ours answers before the messages are read: a command behind it waits for them.
        let behind = Self::time(&mut client, "NOOP", None)?;
        let both = format!("SELECT of {count}, first after a start, and NOOP");
        figures.push(figure(both, first + behind, Unit::Ms));
        client.command("SELECT INBOX")?;
        figures.push(figure(format!("SELECT of {count}"), Self::time(&mut client, "SELECT large", None)?, Unit::Ms));
        Self::time(&mut client, "FETCH 1:* (FLAGS)", Some(count))?;
        figures.push(figure(
            format!("FETCH 1:* (FLAGS) of {count}"),
            Self::time(&mut client, "FETCH 1:* (FLAGS)", Some(count))?,
            Unit::Ms,
        ));
        client.command("ENABLE CONDSTORE")?;
        let answer = client.command("SELECT large")?;
        let modseq = answer
            .notes
            .iter()
            .find_map(|n| n.split_once("HIGHESTMODSEQ ")?.1.split(']').next())
            .unwrap_or("1")
            .to_owned();
        figures.push(figure(
            format!("STORE 1:* +FLAGS.SILENT of {count}"),
            Self::time(&mut client, "STORE 1:* +FLAGS.SILENT (\\Flagged)", None)?,
            Unit::Ms,
        ));
        figures.push(figure(
            format!("CHANGEDSINCE, all {count} changed"),
            Self::time(&mut client, &format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})"), Some(count))?,
            Unit::Ms,
        ));
        Self::time(&mut client, "STORE 1:* -FLAGS.SILENT (\\Flagged)", None)?;
        Ok(figures)
    }

    /// ENVELOPE and BODYSTRUCTURE of the middle folder. `first`: nothing of it was fetched since it was filled.
    pub fn envelopes(&mut self, first: bool) -> Result<Vec<Figure>, String> {
        let count = self.options.middle;
        if first {
            self.server.restart()?;
        }
        let mut client = self.connect(0)?;
        client.command("SELECT middle")?;
        let ms = Self::time(&mut client, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)", Some(count))?;
        Ok(vec![figure(
            format!("ENVELOPE BODYSTRUCTURE of {count}, {}", if first { "first time" } else { "later" }),
            ms,
            Unit::Ms,
        )])
    }

    /// All bodies of the folder of 20 KB messages.
    pub fn bodies(&self) -> Result<Vec<Figure>, String> {
        let mut client = self.connect(0)?;
        client.command("SELECT bodies")?;
        let (cpu, began) = (process::cpu(self.server.process())?, Instant::now());
        let answer = client.command("FETCH 1:* (BODY.PEEK[])")?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), process::cpu(self.server.process())? - cpu);
        let megabytes = answer.octets as f64 / 1e6;
        let what = format!("all bodies of {} x 20 KB", self.options.bodies);
        Ok(vec![
            figure(what.clone(), megabytes / seconds, Unit::MbPerSecond),
            figure(format!("{what}: processor"), cpu * 1000.0 / megabytes, Unit::CpuMsPerMb),
        ])
    }

    /// Searches of the middle folder.
    pub fn searches(&self, first: bool) -> Result<Vec<Figure>, String> {
        let count = self.options.middle;
        let mut client = self.connect(0)?;
        client.command("SELECT middle")?;
        let mut figures = Vec::new();
        let words = [("one in 5,000", RARE), ("one in two", HALF), ("all", ALL), ("none", "introuvable")];
        for (how_many, word) in words {
            for key in ["BODY", "TEXT"] {
                if (first && (how_many != "one in 5,000" || key != "BODY")) || (key == "TEXT" && how_many == "all") {
                    continue;
                }
                let ms = Self::time(&mut client, &format!("SEARCH {key} {word}"), None)?;
                let when = if first { ", first time (index being made)" } else { "" };
                figures.push(figure(format!("SEARCH {key} of {count}, in {how_many}{when}"), ms, Unit::Ms));
            }
        }
        if !first {
            for (how_many, phrase) in PHRASES {
                let ms = Self::time(&mut client, &format!("SEARCH BODY \"{phrase}\""), None)?;
                figures.push(figure(format!("SEARCH BODY of {count}, a phrase in {how_many}"), ms, Unit::Ms));
            }
            for (how_many, word) in [("all", "rendu"), ("one in 40", "posologie")] {
                let ms = Self::time(&mut client, &format!("SEARCH SUBJECT {word}"), None)?;
                figures.push(figure(format!("SEARCH SUBJECT of {count}, in {how_many}"), ms, Unit::Ms));
            }
        }
        Ok(figures)
    }

    /// How long a server goes on working by itself when all messages are in and one search was made: its index is then whole.
    pub fn indexed(&self) -> Result<Figure, String> {
        /// What it may take in [`LOOK`] and still be said to rest, in seconds.
        const REST: f64 = 0.03;
        const LOOK: Duration = Duration::from_secs(1);
        /// Looks in a row: an index is made in batches.
        const LOOKS: u32 = 4;
        const PATIENCE: Duration = Duration::from_secs(900);
        let began = Instant::now();
        let (mut resting, mut before) = (0, process::cpu(self.server.process())?);
        while resting < LOOKS && began.elapsed() < PATIENCE {
            std::thread::sleep(LOOK);
            let now = process::cpu(self.server.process())?;
            resting = if now - before <= REST { resting + 1 } else { 0 };
            before = now;
        }
        let took = began.elapsed().saturating_sub(LOOK * LOOKS);
        let what = format!("until the server rests after {} messages and a search (index whole)", self.options.middle);
        Ok(figure(what, took.as_secs_f64(), Unit::Seconds))
    }

    /// TLS, authentication and SELECT, per second, from eight threads.
    pub fn logins(&self) -> Result<Vec<Figure>, String> {
        const THREADS: usize = 8;
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let seconds = Duration::from_secs(self.options.login_seconds);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| -> Result<(), String> {
                        while began.elapsed() < seconds {
                            let mut client = self.connect(1)?;
                            client.command("SELECT INBOX")?;
                            next.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|t| t.join().map_err(|_| "a client failed".to_owned())?)
        })?;
        let asked = if self.server.asks() { ", the token asked about" } else { "" };
        let rate = next.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        // The same seconds of the same machine, right after.
        let bare = handshakes::per_second(&self.options.folder, self.options.login_seconds.max(1))?;
        Ok(vec![
            figure(format!("TLS, authentication and SELECT{asked}"), rate, Unit::PerSecond),
            figure("bare handshakes, openssl s_time, same key type", bare, Unit::PerSecond),
            figure(format!("logins for each bare handshake{asked}"), rate / bare, Unit::Share),
        ])
    }

    /// Memory of one connection in IDLE with a folder of 10,000 open.
    pub fn idle(&self) -> Result<Vec<Figure>, String> {
        let mut warm = self.connect(1)?;
        warm.command("SELECT idle")?;
        let before = process::tree(self.server.process())?;
        let mut clients = Vec::new();
        for _ in 0..self.options.idle {
            let mut client = self.connect(1)?;
            client.command("SELECT idle")?;
            client.next_tag();
            client.send(b"i IDLE\r\n")?;
            client.continuation()?;
            client.rest();
            clients.push(client);
        }
        // What sessions give back when they have waited for a moment.
        std::thread::sleep(Duration::from_secs(3));
        let grown = process::tree(self.server.process())?.saturating_sub(before);
        Ok(vec![figure(
            format!("memory of a TLS connection in IDLE, {} of them", clients.len()),
            grown as f64 / 1000.0 / clients.len() as f64,
            Unit::Kb,
        )])
    }
}
