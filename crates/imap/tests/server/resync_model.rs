//! A client that keeps a folder in a cache, goes away at any moment and comes back by QRESYNC, must have exactly the folder.
//!
//! Three clients do random things; each one keeps what RFC 7162 tells it to keep: messages with their flags, the highest
//! MODSEQ seen when a command is over, and the first UID it never asked about. Between two commands, or without waiting for
//! an answer, it may lose its connection. The server forgets what was expunged now and then.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Client, Server};

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

type Flags = BTreeSet<String>;

/// What a client keeps on its disk.
struct Cache {
    modseq: u64,
    /// The first UID it never asked about.
    next: u32,
    messages: BTreeMap<u32, Flags>,
}

struct Watcher {
    imap: Option<Client>,
    cache: Cache,
    /// Messages in the folder, as told in this session.
    exists: usize,
}

/// The value after a word, up to a space or a closing character.
fn after<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(word)?;
    rest.split([' ', ')', ']']).next()
}

fn uids(set: &str) -> impl Iterator<Item = u32> + '_ {
    set.split(',').flat_map(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().expect("a UID")..=to.parse::<u32>().expect("a UID")
    })
}

impl Watcher {
    fn apply(&mut self, command: &str, lines: &[String]) {
        let mut highest = self.cache.modseq;
        for line in lines {
            if let Some(code) = after(line, "[HIGHESTMODSEQ ") {
                highest = highest.max(code.parse().expect("a MODSEQ"));
            }
            if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
                uids(set).for_each(|uid| drop(self.cache.messages.remove(&uid)));
            } else if let Some(set) = line.strip_prefix("* VANISHED ") {
                for uid in uids(set) {
                    self.cache.messages.remove(&uid);
                    self.exists = self.exists.checked_sub(1).unwrap_or_else(|| panic!("{command}: {lines:?}"));
                }
            } else if let Some(count) = line.strip_suffix(" EXISTS") {
                self.exists = count[2..].parse().expect("a count");
            } else if line.contains(" FETCH (") {
                if let Some(modseq) = after(line, "MODSEQ (") {
                    highest = highest.max(modseq.parse().expect("a MODSEQ"));
                }
                let (Some(uid), Some((_, flags))) = (after(line, "UID "), line.split_once("FLAGS (")) else { continue };
                let flags = flags.split(')').next().unwrap_or_default();
                let flags = flags.split_whitespace().map(str::to_owned).collect();
                self.cache.messages.insert(uid.parse().expect("a UID"), flags);
            }
            assert!(!line.ends_with(" EXPUNGE"), "{command}: {lines:?}");
        }
        self.cache.modseq = highest;
    }

    async fn transact(&mut self, command: &str) {
        let Some(imap) = &mut self.imap else { return };
        let tag = imap.send(command).await;
        let lines = imap.answer(&tag, "").await;
        self.apply(command, &lines);
        let last = lines.last().map(String::as_str).unwrap_or_default();
        // `.SILENT`: the client reckons by itself.
        if let Some(rest) = command.strip_prefix("UID STORE ").filter(|c| c.contains(".SILENT")) {
            let (uid, rest) = rest.split_once(' ').expect("a UID");
            let flag = rest.rsplit(['(', ')']).nth(1).expect("a flag").to_owned();
            let adds = rest.contains("+FLAGS");
            let held = last.contains("[MODIFIED");
            // What is told as changed by others meanwhile holds.
            let told = lines.iter().any(|l| l.contains("FLAGS (") && after(l, "UID ") == Some(uid));
            if let (true, false, false, Some(flags)) =
                (last.contains(" OK "), held, told, self.cache.messages.get_mut(&uid.parse::<u32>().expect("a UID")))
            {
                if adds {
                    flags.insert(flag)
                } else {
                    flags.remove(&flag)
                };
            }
        }
    }

    /// Learns of messages never asked about.
    async fn catch_up(&mut self) {
        if self.imap.is_none() || self.exists == 0 {
            return;
        }
        let next = self.cache.next;
        self.transact(&format!("UID FETCH {next}:* (FLAGS)")).await;
        let last = self.cache.messages.last_key_value().map_or(0, |(uid, _)| *uid);
        self.cache.next = next.max(last + 1);
    }

    /// Comes back.
    async fn connect(&mut self, server: &Server, random: &mut Random) {
        let mut imap = server.login().await;
        imap.transact("OK", "ENABLE QRESYNC").await;
        self.imap = Some(imap);
        self.select(random).await;
    }

    async fn select(&mut self, random: &mut Random) {
        let mut known = String::new();
        if random.below(2) == 0 && self.cache.next > 1 {
            known = format!(" 1:{}", self.cache.next - 1);
        }
        if random.below(2) == 0 {
            let pairs: Vec<(usize, u32)> = (self.cache.messages.keys().copied().enumerate())
                .filter(|(_, uid)| *uid < self.cache.next && random.below(3) == 0)
                .collect();
            if !pairs.is_empty() {
                let numbers: Vec<String> = pairs.iter().map(|(i, _)| (i + 1).to_string()).collect();
                let of: Vec<String> = pairs.iter().map(|(_, uid)| uid.to_string()).collect();
                known.push_str(&format!(" ({} {})", numbers.join(","), of.join(",")));
            }
        }
        // What was learned without having been asked about may have gone unseen.
        let next = self.cache.next;
        self.cache.messages.retain(|uid, _| *uid < next);
        self.exists = 0;
        let command = match self.cache.modseq {
            0 => "SELECT INBOX".to_owned(),
            modseq => format!("SELECT INBOX (QRESYNC (100 {modseq}{known}))"),
        };
        let before = self.cache.modseq;
        self.transact(&command).await;
        if before == 0 {
            self.cache.messages.clear();
        }
        self.catch_up().await;
    }

    fn check(&self, server: &Server, when: &str) {
        let view = server.mailbox.view("INBOX");
        let folder: BTreeMap<u32, Flags> =
            view.iter().map(|e| (e.uid.0, e.flags.names(&view.keywords).map(str::to_owned).collect())).collect();
        assert_eq!(self.cache.messages, folder, "{when}");
        assert_eq!(self.exists, folder.len(), "{when}");
    }

    fn command(&self, random: &mut Random) -> String {
        let last = self.cache.next.max(2) as usize - 1;
        let (a, b) = (random.below(last) + 1, random.below(last) + 1);
        let number = random.below(self.exists.max(1)) + 1;
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"][random.below(5)];
        let sign = ["+", "-"][random.below(2)];
        let modseq = self.cache.modseq;
        match random.below(14) {
            0 => "NOOP".to_owned(),
            1 => "EXPUNGE".to_owned(),
            2 => format!("UID EXPUNGE {a}:{b}"),
            3 => format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)"),
            4 if self.exists > 0 => format!("FETCH {number} (UID FLAGS MODSEQ)"),
            5 if self.exists > 0 => format!("STORE {number} {sign}FLAGS ({flag})"),
            6 => format!("UID STORE {a} {sign}FLAGS ({flag})"),
            7 | 8 => format!("UID STORE {a} {sign}FLAGS.SILENT ({flag})"),
            9 => format!("UID STORE {a} (UNCHANGEDSINCE {modseq}) {sign}FLAGS.SILENT ({flag})"),
            10 => format!("UID MOVE {a} Sent"),
            11 => format!("UID COPY {a} INBOX"),
            12 if self.exists > 0 => format!("SEARCH {number} UNSEEN"),
            _ => format!("UID STORE {a}:{b} {sign}FLAGS ({flag})"),
        }
    }
}

async fn run(seed: u64) {
    let mut random = Random(seed);
    let server = Server::start().await;
    for _ in 0..10 {
        server.mailbox.deliver("INBOX", "Subject: x\n\nbody\n");
    }
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let cache = Cache { modseq: 0, next: 1, messages: BTreeMap::new() };
        watchers.push(Watcher { imap: None, cache, exists: 0 });
    }
    for _ in 0..400 {
        match random.below(24) {
            0..3 => drop(server.mailbox.deliver("INBOX", "Subject: new\n\nbody\n")),
            3 => server.mailbox.forget_expunged("INBOX"),
            _ => {}
        }
        let watcher = &mut watchers[random.below(3)];
        if watcher.imap.is_none() {
            watcher.connect(&server, &mut random).await;
            watcher.check(&server, "came back");
            continue;
        }
        match random.below(30) {
            // The connection breaks between two commands.
            0 => watcher.imap = None,
            // Or after a command whose answer is never read; the server has carried it out, or will not.
            1 => {
                let command = watcher.command(&mut random);
                if let Some(imap) = &mut watcher.imap {
                    imap.send(&command).await;
                    imap.forget_answer().await;
                }
                watcher.imap = None;
            }
            2 => {
                let deleted: Vec<u32> =
                    watcher.cache.messages.iter().filter(|(_, f)| f.contains("\\Deleted")).map(|(u, _)| *u).collect();
                let before = watcher.cache.modseq;
                watcher.transact("CLOSE").await;
                // Only a server that says so has told all there is.
                if watcher.cache.modseq > before {
                    deleted.iter().for_each(|uid| drop(watcher.cache.messages.remove(uid)));
                }
                watcher.select(&mut random).await;
                watcher.check(&server, "closed and opened again");
            }
            _ => {
                let command = watcher.command(&mut random);
                watcher.transact(&command).await;
                // By number: what others expunged is held back, which is the moment to go away.
                if (command.starts_with("STORE") || command.starts_with("FETCH")) && random.below(3) == 0 {
                    watcher.imap = None;
                    continue;
                }
                if random.below(2) == 0 {
                    watcher.catch_up().await;
                }
                if random.below(4) == 0 {
                    watcher.transact("NOOP").await;
                    watcher.catch_up().await;
                    watcher.check(&server, &command);
                }
            }
        }
    }
    for watcher in &mut watchers {
        watcher.imap = None;
        watcher.connect(&server, &mut random).await;
        watcher.check(&server, "in the end");
    }
}

#[tokio::test]
async fn who_comes_back_has_the_folder() {
    for seed in 1..=6u64 {
        run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await;
    }
}
