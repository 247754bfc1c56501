//! A client of the stress test: its connection, and the picture it makes of what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patience::PATIENCE;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::super::picture::{Message, Picture, number_after, numbers};
use super::ledger::{Ledger, Random};
use super::names::Own;
use super::searching::Asked;
use super::{Connect, Plan, Stream};

/// Exchanges printed when something is wrong.
const REMEMBERED: usize = 25;

/// One of the clients.
pub struct Client<C: Connect> {
    pub number: usize,
    pub server: Arc<C>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub random: Random,
    stream: Stream,
    tag: u64,
    /// Whether it comes back with QRESYNC.
    resyncs: bool,
    pub picture: Option<Picture>,
    /// The search under way.
    pub asked: Option<Asked>,
    pub own: Own,
    history: VecDeque<String>,
    pub plan: Plan,
}

impl<C: Connect> Client<C> {
    /// Connects; clients of even numbers come back with QRESYNC.
    pub async fn connect(number: usize, server: &Arc<C>, ledger: &Arc<Mutex<Ledger>>, plan: Plan) -> Client<C> {
        let mut client = Client {
            number,
            stream: server.connect().await,
            server: server.clone(),
            ledger: ledger.clone(),
            random: Random(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number as u64 * 2 + 1) | 1),
            tag: 0,
            resyncs: number.is_multiple_of(2),
            picture: None,
            asked: None,
            own: Own::of(number),
            history: VecDeque::new(),
            plan,
        };
        if client.resyncs {
            client.transact("ENABLE QRESYNC").await;
        }
        client
    }

    pub fn fail(&self, why: &str) -> ! {
        let history: Vec<&str> = self.history.iter().map(String::as_str).collect();
        panic!("{why}\nclient {} of {:?}\n{}", self.number, self.plan, history.join("\n"));
    }

    pub fn remember(&mut self, what: String) {
        if self.history.len() >= REMEMBERED * 8 {
            self.history.pop_front();
        }
        self.history.push_back(what);
    }

    pub fn ledger<T>(&self, with: impl FnOnce(&mut Ledger) -> T) -> T {
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
        let mut taken = picture.take(command, line);
        if taken.is_ok() && !picture.gone.is_empty() {
            let gone = std::mem::take(&mut picture.gone);
            taken = self.ledger(|l| gone.into_iter().try_for_each(|uid| l.held(&picture.folder).went(uid)));
        }
        if let Err(why) = taken.and_then(|()| self.found(&mut picture, line)) {
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

    /// Takes in what a search found, at the very moment the client is told.
    fn found(&mut self, picture: &mut Picture, line: &str) -> Result<(), String> {
        let Some(asked) = &self.asked else { return Ok(()) };
        let Some(found) = asked.answered(line)? else { return Ok(()) };
        let asked = self.asked.take().expect("there, as seen above");
        self.ledger(|l| {
            let (subjects, validity) = (&l.subjects, picture.validity);
            let subject = |uid| subjects.get(&(validity, uid)).map(String::as_str);
            let counts = picture.searched(&asked, &found, subject)?;
            l.judged = [l.judged[0] + counts[0], l.judged[1] + counts[1]];
            Ok(())
        })
    }

    /// A command and everything up to its answer, which is given.
    pub async fn transact(&mut self, command: &str) -> Vec<String> {
        self.transact_with(command, None).await
    }

    pub async fn transact_with(&mut self, command: &str, literal: Option<&str>) -> Vec<String> {
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

    /// Opens a folder; `known` is what it was when the client left it. Answers with what it was told.
    pub async fn select(&mut self, folder: &str, known: Option<Picture>) -> Vec<String> {
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
            return lines;
        }
        let told = |word: &str| lines.iter().find_map(|line| number_after(line, word));
        let validity = told("[UIDVALIDITY ").unwrap_or(0) as u32;
        let modseq = told("[HIGHESTMODSEQ ").unwrap_or(0);
        if modseq > 0 && highest.get(&validity).is_some_and(|known| *known > modseq) {
            self.fail(&format!("HIGHESTMODSEQ {modseq} is behind what was told: {:?}", highest.get(&validity)));
        }
        let exists = lines.iter().find_map(|l| l.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok());
        let messages: Vec<Message> = vec![Message::default(); exists.unwrap_or(0)];
        self.picture = Some(Picture { folder: folder.to_owned(), validity, messages, modseq, gone: Vec::new() });
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
        lines
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
            *message = Message { uid: Some(uid), flags, ..Message::default() };
        }
        // Checks the numbers: a UID told under another number than it has here breaks the picture.
        self.transact("FETCH 1:* (UID)").await;
    }

    pub async fn idle(&mut self) {
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
    pub async fn reconnect(&mut self) {
        let known = self.picture.take();
        self.asked = None;
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
}
