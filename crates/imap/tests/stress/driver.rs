//! The stress test's driver: clients that do random things to a few folders of one mailbox, all at once, and check every
//! answer against their own picture ([`super::picture`]) and against what all of them know together ([`ledger`]).
//!
//! What must hold: a UID names one message for ever and grows with every arrival; nothing changes numbers while they are in use;
//! the highest MODSEQ never goes back; no message goes that nobody removed; SEARCH finds exactly what matches as the client was told
//! of it, save what is gone ([`searching`]); STATUS counts what is there at some moment between question and answer; of
//! those who make, rename or remove a folder at once exactly one does, and an answer to CREATE, RENAME and DELETE is
//! foreseen wherever nobody else is at the name ([`names`], [`contests`]). When all is quiet, the picture of every client is
//! the folder, and STATUS and LIST tell to the last count what is there; a client of QRESYNC that comes back has the folder, having
//! been told only what it missed.
//!
//! `STRESS_SECONDS` (default 5) and `STRESS_SEED` (default: of the clock) say how long and what. A failure prints the seed
//! and the last exchanges of the client that saw it. Each client's choices follow from the seed; how clients meet does not.

#[path = "actions.rs"]
mod actions;
#[path = "client.rs"]
mod client;
#[path = "contests.rs"]
mod contests;
#[path = "ledger.rs"]
mod ledger;
#[path = "names.rs"]
mod names;
#[path = "searching.rs"]
pub mod searching;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::task::JoinSet;

use client::Client;
use ledger::{Held, Ledger, Random};

/// A connection.
pub trait Duplex: AsyncBufRead + AsyncWrite + Send {}
impl<T: AsyncBufRead + AsyncWrite + Send> Duplex for T {}
/// An authenticated connection, nothing waiting on it.
pub type Stream = Pin<Box<dyn Duplex>>;

/// Where clients connect, all to the same mailbox.
pub trait Connect: Send + Sync + 'static {
    fn connect(&self) -> impl Future<Output = Stream> + Send;
}

/// A server that can be killed.
#[allow(dead_code, reason = "only the test of the program itself kills it")]
pub trait Crash: Connect {
    /// Kills it as a crash does, and starts it again. Whatever is under way is lost.
    fn crash(&self) -> impl Future<Output = ()> + Send;
}

/// How long, and what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub time: Duration,
    pub clients: usize,
    /// What each client does between two quiet moments.
    pub acts: usize,
}

impl Plan {
    pub fn from_environment() -> Plan {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let seed = number("STRESS_SEED").unwrap_or(now.as_nanos() as u64 | 1);
        Plan { seed, time: Duration::from_secs(number("STRESS_SECONDS").unwrap_or(5)), clients: 8, acts: 60 }
    }
}

/// Folders that clients select; others come and go.
const FOLDERS: [&str; 3] = ["INBOX", "A", "A/B"];

/// What becomes of tasks: their results, or the first panic.
async fn joined<T: 'static>(running: &mut JoinSet<T>) -> Vec<T> {
    let mut results = Vec::new();
    while let Some(done) = running.join_next().await {
        match done {
            Ok(result) => results.push(result),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
    results
}

/// The clients of one mailbox.
struct Everyone<C: Connect> {
    server: Arc<C>,
    ledger: Arc<Mutex<Ledger>>,
    clients: Vec<Client<C>>,
    /// Looks on when all is quiet.
    judge: Client<C>,
    /// Folders that were there before.
    before: BTreeSet<String>,
}

impl<C: Connect> Everyone<C> {
    async fn connect(server: C, plan: Plan) -> Everyone<C> {
        let (server, ledger) = (Arc::new(server), Arc::new(Mutex::new(Ledger::default())));
        // Of an odd number: it learns a folder anew each time.
        let mut judge = Client::connect(plan.clients * 2 + 1, &server, &ledger, plan).await;
        for folder in &FOLDERS[1..] {
            judge.transact(&format!("CREATE {folder}")).await;
        }
        let mut clients = Vec::new();
        for number in 0..plan.clients {
            clients.push(Client::connect(number, &server, &ledger, plan).await);
        }
        let before = judge.list().await;
        let mut everyone = Everyone { server, ledger, clients, judge, before };
        everyone.quiet().await;
        everyone
    }

    /// Nothing is under way: what each client knows is compared, then all go on.
    async fn quiet(&mut self) {
        self.judge.reconnect().await;
        let mut truth = Vec::new();
        for folder in FOLDERS {
            let (there, counts) = self.judge.truth(folder).await;
            let messages = there.messages.iter().filter_map(|m| {
                let deleted = m.flags.as_ref().is_some_and(|flags| flags.contains("\\Deleted"));
                Some((m.uid?, deleted))
            });
            let held = Held::exactly(there.validity, messages);
            self.judge.ledger(|l| {
                l.folders.insert(folder.to_owned(), held);
                l.foreseen += 1;
            });
            truth.push((there, counts));
        }
        let names = self.judge.list().await;
        for client in &mut self.clients {
            client.compare(&truth).await;
            if client.list().await != names {
                client.fail(&format!("LIST, and another client sees {names:?}"));
            }
            let own: BTreeSet<String> = names.iter().filter(|name| client.own.owns(name)).cloned().collect();
            // A crash may have cut a command off when it was done.
            if own != client.own.there && Some(&own) != client.own.then.as_ref() {
                client.fail(&format!("{own:?} are there of {:?}", client.own.there));
            }
            (client.own.there, client.own.then) = (own, None);
        }
        let owned = |name: &String| self.clients.iter().any(|client| client.own.owns(name));
        let shared = names.iter().filter(|name| !self.before.contains(*name) && !owned(name)).cloned().collect();
        if let Err(why) = self.judge.ledger(|l| l.names.settle(&shared)) {
            self.judge.fail(&why);
        }
        contests::hold(&mut self.clients).await;
        for client in &mut self.clients {
            client.reconnect().await;
        }
    }

    fn summary(&self, what: String) {
        let ledger = self.ledger.lock().expect("no client failed");
        let ([judged, unknown], foreseen) = (ledger.judged, ledger.foreseen);
        println!(
            "{what}, {} commands, {} messages appended; SEARCH judged {judged} messages, too little known of {unknown}; \
             {foreseen} answers about folders foreseen",
            ledger.commands, ledger.messages
        );
        assert!(ledger.commands > 100 && 2 * judged > unknown && foreseen > 0);
    }
}

/// Runs it; panics at the first answer that does not fit.
pub async fn run<C: Connect>(server: C, plan: Plan) {
    println!("{plan:?}");
    let mut everyone = Everyone::connect(server, plan).await;
    let end = Instant::now() + plan.time;
    let mut rounds = 0;
    while Instant::now() < end || rounds == 0 {
        let mut running = JoinSet::new();
        for mut client in everyone.clients.drain(..) {
            running.spawn(async move {
                for _ in 0..plan.acts {
                    client.act().await;
                }
                client
            });
        }
        everyone.clients = joined(&mut running).await;
        everyone.quiet().await;
        rounds += 1;
    }
    everyone.summary(format!("{rounds} rounds"));
}

/// Runs it through `crashes` crashes, each in the middle of what all clients do: what they were told before is what they find
/// afterwards, and a client of QRESYNC comes back with what it knew.
#[allow(dead_code, reason = "only the test of the program itself kills it")]
pub async fn run_through_crashes<C: Crash>(server: C, plan: Plan, crashes: usize) {
    println!("{plan:?}, {crashes} crashes");
    let mut everyone = Everyone::connect(server, plan).await;
    let mut random = Random(plan.seed | 1);
    for _ in 0..crashes {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut running = JoinSet::new();
        for mut client in everyone.clients.drain(..) {
            let mut stopped = stopped.clone();
            running.spawn(async move {
                let acting = async {
                    loop {
                        client.act().await;
                    }
                };
                // Left in the middle of an answer, or before one: what was not read was not told.
                tokio::select! {
                    () = acting => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
                client
            });
        }
        tokio::time::sleep(Duration::from_millis(100 + random.below(1500) as u64)).await;
        // The clients let go first: a connection that breaks under them is a failure otherwise.
        stop.send(true).expect("clients are there");
        everyone.server.crash().await;
        everyone.clients = joined(&mut running).await;
        for client in &mut everyone.clients {
            client.remember("-- crash".to_owned());
            client.reconnect().await;
        }
        everyone.quiet().await;
    }
    everyone.summary(format!("{crashes} crashes"));
}
