//! Benchmarks side by side with the incumbents, in one run, so that a noisy machine is noisy for both.
//!
//! `cargo run --release -p bench -- delivery` prints durable messages per second by SMTP over TLS with 1, 8 and 32
//! connections, spread over mailboxes and into one, for Vaguemestre and for Postfix with Dovecot behind it.

mod control;
mod cpu;
mod ending;
mod growth;
mod hot;
mod imap;
mod load;
mod lps;
mod ours;
mod postfix;
mod quiet;
mod report;
mod sandbox;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Vaguemestre beside Postfix and Dovecot, measured in one run")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Durable messages per second by SMTP over TLS, from the connection to the mailbox.
    Delivery(Delivery),
    /// IMAP: APPEND, SELECT, FETCH, STORE, SEARCH, logins, memory of connections that wait.
    Imap(imap::Options),
    /// How cost grows with the messages of a mailbox and with the mailboxes.
    Growth(growth::Options),
    /// The control application: a campaign against the sandbox, the TLS of a server beside testssl.sh and sslyze.
    Control(control::Options),
    /// Does each hot path once, for `bench/instructions`.
    Hot(hot::Options),
    /// The client library.
    #[command(subcommand)]
    Lps(lps::Options),
}

/// What is measured.
#[derive(clap::Args, Clone)]
struct Delivery {
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Size of a message, in octets.
    #[arg(long, default_value_t = 20_000)]
    size: usize,
    /// Messages of one run for each connection count, as `connections:messages`.
    #[arg(long, value_delimiter = ',', default_value = "1:900,8:4500,32:9000")]
    counts: Vec<Count>,
    /// Messages are this many times fewer for the incumbent, which is slower: same time, same precision.
    #[arg(long, default_value_t = 5)]
    incumbent_fewer: usize,
    /// Mailboxes that messages are spread over.
    #[arg(long, default_value_t = 32)]
    mailboxes: usize,
    /// Only ours: no Postfix and Dovecot.
    #[arg(long)]
    only_ours: bool,
    /// Dovecot's mailbox format.
    #[arg(long, default_value = "maildir")]
    format: String,
    /// The server under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where both servers keep their data: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Wait before each run until at most this share of the processors, in percent, was busy for five seconds; at most five
    /// minutes.
    #[arg(long, default_value_t = 5.0)]
    quiet: f64,
    /// Also write the table to this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A number of connections and of messages.
#[derive(Clone, Copy)]
struct Count {
    connections: usize,
    messages: usize,
}

impl std::str::FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0);
        text.split_once(':')
            .and_then(|(c, m)| Some(Count { connections: number(c)?, messages: number(m)? }))
            .ok_or_else(|| format!("{text}: write connections:messages, e.g. 8:1000"))
    }
}

/// A server under load.
trait Server {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Where and how it takes mail.
    fn entrance(&self) -> &load::Entrance;
    /// The recipients, as many as were asked for.
    fn recipients(&self) -> &[String];
    /// Whether 250 is answered when the message is in its mailbox, not in a queue before it.
    fn accepts_by_delivering(&self) -> bool;
    /// Waits until every message answered 250 so far is in a mailbox; answers how many are.
    fn delivered(&self, expected: usize) -> Result<usize, String>;
}

fn main() -> Result<(), String> {
    let what = Arguments::parse().what;
    ending::on_signals()?;
    let options = match what {
        What::Delivery(options) => options,
        What::Imap(options) => return imap::run(&options),
        What::Growth(options) => return growth::run(&options),
        What::Control(options) => return control::run(&options),
        What::Hot(options) => return hot::run(&options),
        What::Lps(options) => return lps::run(&options),
    };
    if !options.only_ours {
        postfix::present()?;
    }
    // One thread for all connections: the generator shares the processors with the server it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    let ours = ours::Ours::start(&options)?;
    let postfix = if options.only_ours { None } else { Some(postfix::Postfix::start(&options)?) };
    let mut servers: Vec<&dyn Server> = vec![&ours];
    servers.extend(postfix.as_ref().map(|p| p as &dyn Server));
    for count in &options.counts {
        for spread in [true, false] {
            // A, B, A, B…: what disturbs the machine disturbs both.
            let mut runs: Vec<Vec<load::Measure>> = vec![Vec::new(); servers.len()];
            for _ in 0..options.runs {
                for (server, runs) in servers.iter().zip(&mut runs) {
                    let fewer = if server.name() == "Vaguemestre" { 1 } else { options.incumbent_fewer };
                    quiet::settle(options.quiet);
                    let count = Count { messages: (count.messages / fewer).max(count.connections), ..*count };
                    let measure = runtime.block_on(load::run(*server, count, spread, options.size))?;
                    eprintln!(
                        "{:<18} {:>2} connections, {}: {:.0} msg/s accepted, {:.0} msg/s delivered",
                        server.name(),
                        count.connections,
                        if spread { "spread" } else { "one mailbox" },
                        measure.accepted_rate,
                        measure.delivered_rate,
                    );
                    runs.push(measure);
                }
            }
            for (server, runs) in servers.iter().zip(runs) {
                rows.push(report::Row {
                    server: server.name(),
                    connections: count.connections,
                    spread,
                    median: report::median(runs),
                });
            }
        }
    }
    let table = report::table(&rows, &options);
    println!("{table}");
    if let Some(path) = &options.markdown {
        std::fs::write(path, table).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
