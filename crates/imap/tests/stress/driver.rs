//! The stress test's driver: clients that do random things to a few folders of one mailbox, all at once, and check every
//! answer against their own picture ([`super::picture`]) and against what all of them know together ([`Ledger`]).
//!
//! What must hold: a UID names one message for ever and grows with every arrival; nothing changes numbers while they are in use;
//! the highest MODSEQ never goes back; when all is quiet, the picture of every client is the folder; a client of QRESYNC that
//! comes back has the folder, having been told only what it missed.
//!
//! `STRESS_SECONDS` (default 5) and `STRESS_SEED` (default: of the clock) say how long and what. A failure prints the seed
//! and the last exchanges of the client that saw it. Each client's choices follow from the seed; how clients meet does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use patience::PATIENCE;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::picture::{Message, Picture, number_after, numbers};

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
}

impl Plan {
    pub fn from_environment() -> Plan {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let seed = number("STRESS_SEED").unwrap_or(now.as_nanos() as u64 | 1);
        Plan { seed, time: Duration::from_secs(number("STRESS_SECONDS").unwrap_or(5)), clients: 8 }
    }
}

/// Exchanges printed when something is wrong.
const REMEMBERED: usize = 25;
/// Messages in a folder from which on half of them go.
const MANY: usize = 60;
/// Folders that clients select; others come and go.
const FOLDERS: [&str; 3] = ["INBOX", "A", "A/B"];

/// A small generator.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// What all clients know together, by UIDVALIDITY.
#[derive(Default)]
struct Ledger {
    /// Which message a UID is.
    subjects: BTreeMap<(u32, u32), String>,
    /// The highest UID given.
    last: BTreeMap<u32, u32>,
    /// The highest MODSEQ told.
    modseq: BTreeMap<u32, u64>,
    messages: u64,
    commands: u64,
}

struct Client<C: Connect> {
    number: usize,
    server: Arc<C>,
    ledger: Arc<Mutex<Ledger>>,
    random: Random,
    stream: Stream,
    tag: u64,
    /// Whether it comes back with QRESYNC.
    resyncs: bool,
    picture: Option<Picture>,
    history: VecDeque<String>,
    plan: Plan,
}

impl<C: Connect> Client<C> {
    fn fail(&self, why: &str) -> ! {
        let history: Vec<&str> = self.history.iter().map(String::as_str).collect();
        panic!("{why}\nclient {} of {:?}\n{}", self.number, self.plan, history.join("\n"));
    }

    fn remember(&mut self, what: String) {
        if self.history.len() >= REMEMBERED * 8 {
            self.history.pop_front();
        }
        self.history.push_back(what);
    }

    fn ledger<T>(&self, with: impl FnOnce(&mut Ledger) -> T) -> T {
        with(&mut self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    async fn raw(&mut self, text: &str) {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        if tokio::time::timeout(PATIENCE, sent).await.is_err() {
            self.fail("nothing is taken");
        }
    }

    /// A response with its literals inside.
    async fn line(&mut self) -> String {
        let read = async {
            let mut octets = Vec::new();
            loop {
                if self.stream.read_until(b'\n', &mut octets).await.unwrap_or(0) == 0 {
                    break;
                }
                let text = octets.strip_suffix(b"\r\n").unwrap_or(&octets);
                let size = text.strip_suffix(b"}").and_then(|t| {
                    let open = t.iter().rposition(|b| *b == b'{')?;
                    std::str::from_utf8(&t[open + 1..]).ok()?.parse::<usize>().ok()
                });
                let Some(size) = size else {
                    let len = text.len();
                    octets.truncate(len);
                    break;
                };
                let start = octets.len();
                octets.resize(start + size, 0);
                if self.stream.read_exact(&mut octets[start..]).await.is_err() {
                    break;
                }
            }
            String::from_utf8_lossy(&octets).into_owned()
        };
        let line = match tokio::time::timeout(PATIENCE, read).await {
            Ok(line) if !line.is_empty() => line,
            Ok(_) => self.fail("the connection was closed"),
            Err(_) => self.fail("nothing comes"),
        };
        self.remember(format!("  S: {}", line.chars().take(300).collect::<String>()));
        line
    }

    /// Takes in an untagged response.
    fn take(&mut self, command: &str, line: &str) {
        let Some(mut picture) = self.picture.take() else { return };
        if let Err(why) = picture.take(command, line) {
            self.fail(&why);
        }
        if let Some(modseq) = number_after(line, "MODSEQ (").or(number_after(line, "[HIGHESTMODSEQ ")) {
            self.ledger(|l| {
                let known = l.modseq.entry(picture.validity).or_default();
                *known = modseq.max(*known);
            });
        }
        if let (Some(uid), Some((_, subject))) = (number_after(line, "UID "), line.split_once("Subject: ")) {
            let subject = subject.lines().next().unwrap_or_default().trim().to_owned();
            let key = (picture.validity, uid as u32);
            let known = self.ledger(|l| l.subjects.entry(key).or_insert_with(|| subject.clone()).clone());
            if known != subject {
                self.fail(&format!("UID {uid} was {known} and is {subject}"));
            }
        }
        self.picture = Some(picture);
    }

    /// A command and everything up to its answer, which is given.
    async fn transact(&mut self, command: &str) -> Vec<String> {
        self.transact_with(command, None).await
    }

    async fn transact_with(&mut self, command: &str, literal: Option<&str>) -> Vec<String> {
        self.tag += 1;
        self.ledger(|l| l.commands += 1);
        let tag = format!("t{}", self.tag);
        self.remember(format!("C: {command}"));
        let literal = literal.map(|text| format!(" {{{}+}}\r\n{text}", text.len())).unwrap_or_default();
        self.raw(&format!("{tag} {command}{literal}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let over = line.strip_prefix(&tag).is_some_and(|rest| rest.starts_with(' '));
            if line.starts_with("* BYE") || (over && line.contains(" BAD ")) {
                self.fail("refused");
            }
            // The tagged answer may carry HIGHESTMODSEQ.
            self.take(command, &line);
            lines.push(line);
            if over {
                return lines;
            }
        }
    }

    /// Opens a folder; `known` is what it was when the client left it.
    async fn select(&mut self, folder: &str, known: Option<Picture>) {
        let resync = known.as_ref().filter(|k| self.resyncs && k.validity != 0 && k.modseq > 0);
        let command = match resync {
            Some(known) => format!("SELECT {folder} (QRESYNC ({} {}))", known.validity, known.modseq),
            None if self.resyncs => format!("SELECT {folder} (CONDSTORE)"),
            None => format!("SELECT {folder}"),
        };
        self.picture = None;
        let highest = self.ledger(|l| l.modseq.clone());
        let lines = self.transact(&command).await;
        if !lines.last().is_some_and(|l| l.contains(" OK ")) {
            return;
        }
        let told = |word: &str| lines.iter().find_map(|line| number_after(line, word));
        let validity = told("[UIDVALIDITY ").unwrap_or(0) as u32;
        let modseq = told("[HIGHESTMODSEQ ").unwrap_or(0);
        if modseq > 0 && highest.get(&validity).is_some_and(|known| *known > modseq) {
            self.fail(&format!("HIGHESTMODSEQ {modseq} is behind what was told: {:?}", highest.get(&validity)));
        }
        let exists = lines.iter().find_map(|l| l.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok());
        let messages: Vec<Message> = vec![Message::default(); exists.unwrap_or(0)];
        self.picture = Some(Picture { folder: folder.to_owned(), validity, messages, modseq });
        // What happened since the picture that SELECT tells is told at its end.
        let counted = lines.iter().position(|l| l.ends_with(" EXISTS")).map_or(0, |at| at + 1);
        for line in &lines[counted..] {
            self.take("SELECT", line);
        }
        let later = lines[counted..]
            .iter()
            .any(|l| l.ends_with(" EXISTS") || (l.starts_with("* VANISHED ") && !l.contains("(EARLIER)")));
        match resync.filter(|known| known.validity == validity) {
            Some(known) => self.resynced(known, &lines, later).await,
            None if self.resyncs => {
                self.transact("UID FETCH 1:* (FLAGS)").await;
            }
            None => {}
        }
    }

    /// What was missed and what was known must be what is there.
    async fn resynced(&mut self, known: &Picture, lines: &[String], later: bool) {
        let mut flags: BTreeMap<u32, Option<BTreeSet<String>>> =
            known.messages.iter().filter_map(|m| Some((m.uid?, m.flags.clone()))).collect();
        for line in lines {
            if let Some(set) = line.strip_prefix("* VANISHED ") {
                for uid in numbers(set.trim_start_matches("(EARLIER) ")) {
                    flags.remove(&uid);
                }
            }
            if let (Some(uid), Some((_, told))) = (number_after(line, "UID "), line.split_once("FLAGS (")) {
                let told = told.split(')').next().unwrap_or_default();
                flags.insert(uid as u32, Some(told.split_whitespace().map(str::to_owned).collect()));
            }
        }
        if later || known.messages.iter().any(|m| m.uid.is_none()) {
            // Told of and not asked about before the client left: it asks now, and all that it knows must be there.
            let since = self.transact("UID FETCH 1:* (FLAGS)").await;
            for uid in since.iter().filter_map(|l| l.strip_prefix("* VANISHED ")).flat_map(numbers) {
                flags.remove(&uid);
            }
            let there: BTreeSet<u32> = self.picture.iter().flat_map(|p| &p.messages).filter_map(|m| m.uid).collect();
            if let Some(uid) = flags.keys().find(|uid| !there.contains(uid)) {
                self.fail(&format!("come back: UID {uid} is gone, and was not told to be"));
            }
            return;
        }
        let Some(picture) = &mut self.picture else { return };
        if flags.len() != picture.messages.len() {
            let uids: Vec<u32> = flags.keys().copied().collect();
            let (there, left) = (picture.messages.len(), (known.modseq, known.messages.len()));
            self.fail(&format!("come back after {left:?}: {there} messages, known by what was told: {uids:?}"));
        }
        for (message, (uid, flags)) in picture.messages.iter_mut().zip(flags) {
            *message = Message { uid: Some(uid), flags, modseq: None };
        }
        // Checks the numbers: a UID told under another number than it has here breaks the picture.
        self.transact("FETCH 1:* (UID)").await;
    }

    /// A message that nobody else sends.
    async fn append(&mut self, folder: &str) {
        let n = self.ledger(|l| {
            l.messages += 1;
            l.messages
        });
        let subject = format!("stress-{}-{n}", self.number);
        let before = self.ledger(|l| l.last.clone());
        let text = format!("Subject: {subject}\r\n\r\n{}\r\n", "x".repeat(self.random.below(300)));
        let lines = self.transact_with(&format!("APPEND {folder}"), Some(&text)).await;
        let Some((_, code)) = lines.last().and_then(|l| l.split_once("[APPENDUID ")) else { return };
        let mut code = code.split([' ', ']']).filter_map(|n| n.parse::<u32>().ok());
        let (Some(validity), Some(uid)) = (code.next(), code.next()) else { self.fail("APPENDUID without numbers") };
        self.given(validity, &[uid], before.get(&validity).copied().unwrap_or(0));
        let known = self.ledger(|l| l.subjects.insert((validity, uid), subject.clone()));
        // Another client may have read this very message before the answer came.
        if let Some(other) = known.filter(|known| *known != subject) {
            self.fail(&format!("UID {uid} was {other} already"));
        }
    }

    /// UIDs given by a command that began when `before` was the last one known.
    fn given(&mut self, validity: u32, uids: &[u32], before: u32) {
        if uids.iter().any(|uid| *uid <= before) {
            self.fail(&format!("UIDs {uids:?} are not above {before}, given before"));
        }
        let highest = uids.iter().copied().max().unwrap_or(0);
        self.ledger(|l| {
            let last = l.last.entry(validity).or_default();
            *last = highest.max(*last);
        });
    }

    async fn copy(&mut self, how: &str, set: &str, to: &str) {
        let before = self.ledger(|l| l.last.clone());
        let lines = self.transact(&format!("{how} {set} {to}")).await;
        if let Some((_, code)) = lines.iter().find_map(|l| l.split_once("[COPYUID ")) {
            let words: Vec<&str> = code.split([' ', ']']).collect();
            let validity: u32 = words[0].parse().unwrap_or(0);
            let (from, given) = (numbers(words[1]), numbers(words[2]));
            if from.len() != given.len() {
                self.fail("COPYUID with sets of two sizes");
            }
            self.given(validity, &given, before.get(&validity).copied().unwrap_or(0));
        }
    }

    async fn idle(&mut self) {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.remember("C: IDLE".to_owned());
        self.raw(&format!("{tag} IDLE\r\n")).await;
        while !self.line_of_idle().await.starts_with("+ ") {}
        tokio::time::sleep(Duration::from_millis(self.random.below(20) as u64)).await;
        self.raw("DONE\r\n").await;
        while !self.line_of_idle().await.starts_with(&tag) {}
    }

    async fn line_of_idle(&mut self) -> String {
        let line = self.line().await;
        self.take("IDLE", &line);
        line
    }

    /// Leaves without a word and comes back.
    async fn reconnect(&mut self) {
        let known = self.picture.take();
        self.remember("-- reconnects".to_owned());
        self.stream = self.server.connect().await;
        if self.resyncs {
            self.transact("ENABLE QRESYNC").await;
        }
        if let Some(known) = known {
            let folder = known.folder.clone();
            self.select(&folder, Some(known)).await;
        }
    }

    async fn act(&mut self) {
        let folder = FOLDERS[self.random.below(FOLDERS.len())];
        let to = FOLDERS[self.random.below(FOLDERS.len())];
        let temporary = format!("T{}", self.random.below(4));
        let len = match &self.picture {
            Some(picture) => picture.messages.len(),
            None => return self.select(folder, None).await,
        };
        let (a, b) = (self.random.below(len.max(1)) + 1, self.random.below(len.max(1)) + 1);
        // Copies of copies would soon fill everything.
        let b = b.clamp(a.saturating_sub(4), a + 4);
        if len > MANY && self.random.below(3) == 0 {
            self.transact(&format!("STORE 1:{} +FLAGS (\\Deleted)", len / 2)).await;
            self.transact("EXPUNGE").await;
            return;
        }
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"][self.random.below(5)];
        let sign = ["+", "-", ""][self.random.below(3)];
        let here = self.picture.as_ref().map(|p| p.folder.clone()).unwrap_or_default();
        match self.random.below(if len == 0 { 8 } else { 26 }) {
            0 | 1 => self.append(folder).await,
            2 => drop(self.transact("NOOP").await),
            3 => self.idle().await,
            4 if self.random.below(3) == 0 => self.select(folder, None).await,
            5 if self.random.below(3) == 0 => self.reconnect().await,
            6 => match self.random.below(4) {
                0 => drop(self.transact(&format!("CREATE {temporary}")).await),
                1 => drop(self.transact(&format!("DELETE {temporary}")).await),
                2 => drop(self.transact(&format!("RENAME {temporary} {temporary}/x")).await),
                _ => drop(self.transact(&format!("STATUS {folder} (MESSAGES UIDNEXT UNSEEN)")).await),
            },
            7 | 8 => drop(self.transact("EXPUNGE").await),
            9 => drop(self.transact("UID FETCH 1:* (FLAGS)").await),
            10..=12 => {
                let lines =
                    self.transact(&format!("FETCH {a}:{b} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).await;
                let whole = lines.iter().filter(|l| l.contains("Subject: ")).count();
                let ok = lines.last().is_some_and(|l| l.contains(" OK "));
                if ok && whole != a.abs_diff(b) + 1 {
                    self.fail("OK, and not every message asked for");
                }
            }
            13..=15 => drop(self.transact(&format!("STORE {a}:{b} {sign}FLAGS ({flag})")).await),
            16 => {
                self.transact(&format!("STORE {a} {sign}FLAGS.SILENT ({flag})")).await;
                // What others did at the same time cannot be told from what was told before.
                if let Some(message) = self.picture.as_mut().and_then(|p| p.messages.get_mut(a - 1)) {
                    message.flags = None;
                }
            }
            17 => drop(self.transact("SEARCH UNSEEN").await),
            18 => drop(self.transact("UID SEARCH DELETED").await),
            19 | 20 => self.copy("COPY", &format!("{a}:{b}"), to).await,
            21 if to != here => self.copy("MOVE", &a.to_string(), to).await,
            22 if to != here => self.copy("UID MOVE", "1:*", to).await,
            23 => {
                let uid = self.picture.as_ref().and_then(|p| p.messages.get(a - 1)?.uid);
                if let Some(uid) = uid {
                    self.transact(&format!("UID STORE {uid} {sign}FLAGS ({flag})")).await;
                    self.transact(&format!("UID EXPUNGE {uid}")).await;
                }
            }
            24 if self.random.below(6) == 0 => {
                let end = ["CLOSE", "UNSELECT"][self.random.below(2)];
                self.transact(end).await;
                self.picture = None;
            }
            _ if len == 0 => drop(self.transact("NOOP").await),
            _ => drop(self.transact(&format!("FETCH {a} (UID FLAGS)")).await),
        }
    }

    /// When all is quiet: what is known is what is there.
    async fn compare(&mut self) {
        let Some(mut picture) = self.picture.take() else { return };
        self.picture = Some(picture.clone());
        self.transact("NOOP").await;
        picture = self.picture.take().expect("put there above");
        let validity = picture.validity;
        self.stream = self.server.connect().await;
        let folder = picture.folder.clone();
        let resyncs = std::mem::replace(&mut self.resyncs, false);
        self.select(&folder, None).await;
        self.transact("FETCH 1:* (UID FLAGS)").await;
        self.resyncs = resyncs;
        let truth = self.picture.take().unwrap_or_default();
        if truth.validity != validity {
            self.fail("the folder is another one, and nobody replaced it");
        }
        if let Err(why) = picture.agrees(&truth) {
            self.fail(&why);
        }
    }
}

/// The clients, with their folders.
async fn clients<C: Connect>(server: &Arc<C>, ledger: &Arc<Mutex<Ledger>>, plan: Plan) -> Vec<Client<C>> {
    let mut clients = Vec::new();
    for number in 0..plan.clients {
        let mut client = Client {
            number,
            stream: server.connect().await,
            server: server.clone(),
            ledger: ledger.clone(),
            random: Random(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number as u64 * 2 + 1) | 1),
            tag: 0,
            resyncs: number % 2 == 0,
            picture: None,
            history: VecDeque::new(),
            plan,
        };
        if number == 0 {
            for folder in &FOLDERS[1..] {
                client.transact(&format!("CREATE {folder}")).await;
            }
        }
        if client.resyncs {
            client.transact("ENABLE QRESYNC").await;
        }
        clients.push(client);
    }
    clients
}

/// Runs it; panics at the first answer that does not fit.
pub async fn run<C: Connect>(server: C, plan: Plan) {
    println!("{plan:?}");
    let server = Arc::new(server);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut clients = clients(&server, &ledger, plan).await;
    let end = Instant::now() + plan.time;
    let mut rounds = 0;
    // Quiet moments between rounds: every picture is compared, then all go on.
    while Instant::now() < end {
        let mut running = tokio::task::JoinSet::new();
        for mut client in clients.drain(..) {
            running.spawn(async move {
                for _ in 0..60 {
                    client.act().await;
                }
                client
            });
        }
        while let Some(done) = running.join_next().await {
            match done {
                Ok(client) => clients.push(client),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        for client in &mut clients {
            client.compare().await;
            client.reconnect().await;
        }
        rounds += 1;
    }
    let ledger = ledger.lock().expect("no client failed");
    println!("{rounds} rounds, {} commands, {} messages appended", ledger.commands, ledger.messages);
    assert!(rounds > 0 && ledger.commands > 100);
}

/// Runs it through `crashes` crashes, each in the middle of what all clients do: what they were told before is what they find
/// afterwards, and a client of QRESYNC comes back with what it knew.
#[allow(dead_code, reason = "only the test of the program itself kills it")]
pub async fn run_through_crashes<C: Crash>(server: C, plan: Plan, crashes: usize) {
    println!("{plan:?}, {crashes} crashes");
    let server = Arc::new(server);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut clients = clients(&server, &ledger, plan).await;
    let mut random = Random(plan.seed | 1);
    for _ in 0..crashes {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut running = tokio::task::JoinSet::new();
        for mut client in clients.drain(..) {
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
        server.crash().await;
        while let Some(done) = running.join_next().await {
            match done {
                Ok(client) => clients.push(client),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        for client in &mut clients {
            client.remember("-- crash".to_owned());
            client.reconnect().await;
        }
        for client in &mut clients {
            client.compare().await;
            client.reconnect().await;
        }
    }
    let ledger = ledger.lock().expect("no client failed");
    println!("{crashes} crashes, {} commands, {} messages appended", ledger.commands, ledger.messages);
    assert!(ledger.commands > 100);
}
