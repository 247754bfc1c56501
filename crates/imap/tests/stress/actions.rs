//! What a client of the stress test does, and what every answer must be.

use std::collections::BTreeSet;

use super::super::picture::{Picture, number_after, numbers};
use super::client::Client;
use super::ledger::{STATUS, Status};
use super::names::{Change, Outcome};
use super::searching::{Asked, Key, signature};
use super::{Connect, FOLDERS};

/// Messages in a folder from which on half of them go.
const MANY: usize = 60;
/// More messages than a command adds whose set ends with `*`.
const ENDLESS: usize = 1_000_000;

/// The names that LIST told of, those that are a level and no folder left out.
fn listed(lines: &[String]) -> BTreeSet<String> {
    let folders = lines.iter().filter(|l| l.starts_with("* LIST ") && !l.contains("\\Noselect"));
    folders.filter_map(|l| Some(l.split_once("\"/\" ")?.1.trim_matches('"').to_owned())).collect()
}

fn is_ok(lines: &[String]) -> bool {
    lines.last().is_some_and(|l| l.contains(" OK "))
}

impl<C: Connect> Client<C> {
    /// A message that nobody else sends.
    async fn append(&mut self, folder: &str) {
        let (n, before) = self.ledger(|l| {
            l.messages += 1;
            l.held(folder).begin(1);
            (l.messages, l.last.clone())
        });
        let subject = format!("{}{n}", signature(self.number));
        let text = format!("Subject: {subject}\r\n\r\n{}\r\n", "x".repeat(self.random.below(300)));
        let lines = self.transact_with(&format!("APPEND {folder}"), Some(&text)).await;
        let Some((_, code)) = lines.last().and_then(|l| l.split_once("[APPENDUID ")) else {
            return self.ledger(|l| l.held(folder).end(1, &[]));
        };
        let mut code = code.split([' ', ']']).filter_map(|n| n.parse::<u32>().ok());
        let (Some(validity), Some(uid)) = (code.next(), code.next()) else { self.fail("APPENDUID without numbers") };
        self.ledger(|l| l.held(folder).end(1, &[uid]));
        self.given(validity, &[uid], before.get(&validity).copied().unwrap_or(0));
        self.is_about(validity, uid, subject);
    }

    /// A UID is that message, as whoever put it there knows.
    fn is_about(&mut self, validity: u32, uid: u32, subject: String) {
        let known = self.ledger(|l| l.subjects.insert((validity, uid), subject.clone()));
        // Another client may have read this very message before the answer came.
        if let Some(other) = known.filter(|known| *known != subject) {
            self.fail(&format!("UID {uid} was {other} already, and is {subject}"));
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

    /// COPY or MOVE of at most so many messages.
    async fn copy(&mut self, how: &str, set: &str, most: usize, to: &str) {
        let (here, from_validity) = self.picture.as_ref().map(|p| (p.folder.clone(), p.validity)).unwrap_or_default();
        let before = self.ledger(|l| {
            l.held(to).begin(most);
            l.last.clone()
        });
        let lines = self.transact(&format!("{how} {set} {to}")).await;
        let Some((_, code)) = lines.iter().find_map(|l| l.split_once("[COPYUID ")) else {
            return self.ledger(|l| l.held(to).end(most, &[]));
        };
        let words: Vec<&str> = code.split([' ', ']']).collect();
        let validity: u32 = words[0].parse().unwrap_or(0);
        let (from, given) = (numbers(words[1]), numbers(words[2]));
        if from.len() != given.len() {
            self.fail("COPYUID with sets of two sizes");
        }
        let subjects = self.ledger(|l| {
            l.held(to).end(most, &given);
            let mut subjects = Vec::new();
            for (from, uid) in from.iter().zip(&given) {
                if l.held(&here).dooms_its_copy(*from) {
                    l.held(to).doom(*uid..=*uid);
                }
                subjects.extend(l.subjects.get(&(from_validity, *from)).map(|subject| (*uid, subject.clone())));
            }
            subjects
        });
        self.given(validity, &given, before.get(&validity).copied().unwrap_or(0));
        for (uid, subject) in subjects {
            self.is_about(validity, uid, subject);
        }
    }

    /// A command is sent that may remove these messages, now or later.
    fn doom(&mut self, from: usize, to: usize) {
        if let Some(picture) = &self.picture {
            let span = picture.span(from, to);
            self.ledger(|l| l.held(&picture.folder).doom(span));
        }
    }

    /// The same for all there are, and those that come meanwhile.
    fn doom_all(&mut self) {
        if let Some(picture) = &self.picture {
            self.ledger(|l| l.held(&picture.folder).doom(1..=u32::MAX));
        }
    }

    async fn store(&mut self, from: usize, to: usize, sign: &str, flag: &str) {
        if flag == "\\Deleted" && sign != "-" {
            self.doom(from, to);
        }
        self.transact(&format!("STORE {from}:{to} {sign}FLAGS ({flag})")).await;
    }

    /// Without being told what becomes of the flags, which the client knows by itself, unless others change them, too.
    async fn store_silently(&mut self, number: usize, sign: &str, flag: &str) {
        if flag == "\\Deleted" && sign != "-" {
            self.doom(number, number);
        }
        let message = |picture: &Option<Picture>| picture.as_ref().and_then(|p| p.messages.get(number - 1).cloned());
        let mut flags = message(&self.picture).and_then(|m| m.flags);
        let lines = self.transact(&format!("STORE {number} {sign}FLAGS.SILENT ({flag})")).await;
        if !is_ok(&lines) {
            return;
        }
        let change = |flags: &mut Option<BTreeSet<String>>| match (flags, sign) {
            (Some(flags), "+") => drop(flags.insert(flag.to_owned())),
            (Some(flags), "-") => drop(flags.remove(flag)),
            (flags, "") => *flags = Some(BTreeSet::from([flag.to_owned()])),
            (None, _) | (Some(_), _) => {}
        };
        let mut changed = false;
        let begin = format!("* {number} FETCH (");
        for line in lines.iter().filter_map(|line| line.strip_prefix(&begin)) {
            changed = true;
            match line.split_once("FLAGS (") {
                Some((_, told)) => {
                    let told = told.split(')').next().unwrap_or_default();
                    flags = Some(told.split_whitespace().map(str::to_owned).collect());
                }
                // The MODSEQ of the change alone.
                None => change(&mut flags),
            }
        }
        if !changed {
            change(&mut flags);
        }
        if let Some(message) = self.picture.as_mut().and_then(|p| p.messages.get_mut(number - 1)) {
            message.flags = flags;
        }
    }

    /// SEARCH: the exact set, as what the client was told before the answer has it. What matches and is not found must be gone.
    async fn search(&mut self, quiet: bool) {
        let Some(picture) = &self.picture else { return };
        let len = picture.messages.len();
        if self.random.below(2) == 0 && picture.messages.iter().any(|m| m.uid.is_none() || m.flags.is_none()) {
            self.transact("UID FETCH 1:* (FLAGS)").await;
        }
        let uids = |p: &Picture| p.messages.iter().filter_map(|m| m.uid).collect::<Vec<_>>();
        let uids = self.picture.as_ref().map(uids).unwrap_or_default();
        let ends = (uids.first().copied().unwrap_or(1), uids.last().copied().unwrap_or(1) + 2);
        let clients = self.plan.clients;
        let key = Key::any(&mut self.random, len, ends, clients, 2);
        let asked = Asked { key, uids: self.random.below(2) == 0, extended: self.random.below(3) == 0 };
        let (command, by_uid) = (asked.command(), asked.uids);
        self.asked = Some(asked);
        let lines = self.transact(&command).await;
        if self.asked.take().is_some() || !is_ok(&lines) {
            self.fail("the search has no answer");
        }
        let missed = |p: &Option<Picture>| p.iter().flat_map(|p| &p.messages).any(|m| m.missed);
        // By number they cannot be told in the answer.
        if missed(&self.picture) && !by_uid && !quiet {
            self.transact("NOOP").await;
        }
        if missed(&self.picture) {
            self.fail("messages match and were not found, and are not gone either");
        }
    }

    /// STATUS of a folder that others change.
    async fn status(&mut self, folder: &str) {
        let before = self.ledger(|l| l.certain(folder));
        let lines = self.transact(&format!("STATUS {folder} {STATUS}")).await;
        let Some(told) = Status::told(&lines) else { self.fail("STATUS without its answer") };
        if let Err(why) = self.ledger(|l| l.status(folder, &before, told)) {
            self.fail(&why);
        }
        self.ledger(|l| l.foreseen += 1);
    }

    /// What the tagged answer to a command on names says.
    pub fn outcome(&self, lines: &[String]) -> Outcome {
        let last = lines.last().map(String::as_str).unwrap_or_default();
        Outcome::of(last).unwrap_or_else(|| self.fail(&format!("no answer to such a command: {last}")))
    }

    /// CREATE, DELETE or RENAME of names that others make and remove, too.
    async fn change_shared(&mut self) {
        let mut name = || format!("T{}", self.random.below(4));
        let (one, other) = (name(), name());
        let change = match self.random.below(3) {
            0 => Change::Create(one),
            1 => Change::Delete(one),
            _ => Change::Rename(one, other),
        };
        let begun = self.ledger(|l| l.names.begin(&change));
        let lines = self.transact(&change.command()).await;
        let outcome = self.outcome(&lines);
        match self.ledger(|l| l.names.end(&change, begun, outcome)) {
            Ok(foreseen) => self.ledger(|l| l.foreseen += u64::from(foreseen)),
            Err(why) => self.fail(&why),
        }
    }

    /// The same with names of its own, among all that the others do.
    async fn change_own(&mut self) {
        let change = self.own.any(&mut self.random);
        let mut then = self.own.there.clone();
        let wanted = change.apply(&mut then);
        self.own.then = Some(then.clone());
        let lines = self.transact(&change.command()).await;
        let outcome = self.outcome(&lines);
        if outcome != wanted {
            self.fail(&format!("{outcome:?}, and it must be {wanted:?}: {:?}", self.own.there));
        }
        (self.own.there, self.own.then) = (then, None);
        let lines = self.transact(&format!("LIST \"\" {}*", self.own.prefix())).await;
        if listed(&lines) != self.own.there {
            self.fail(&format!("LIST, and there must be {:?}", self.own.there));
        }
        self.ledger(|l| l.foreseen += 2);
    }

    /// Every folder there is.
    pub async fn list(&mut self) -> BTreeSet<String> {
        listed(&self.transact("LIST \"\" *").await)
    }

    /// One thing or another.
    pub async fn act(&mut self) {
        let folder = FOLDERS[self.random.below(FOLDERS.len())];
        let to = FOLDERS[self.random.below(FOLDERS.len())];
        let len = match &self.picture {
            Some(picture) => picture.messages.len(),
            None => return drop(self.select(folder, None).await),
        };
        let (a, b) = (self.random.below(len.max(1)) + 1, self.random.below(len.max(1)) + 1);
        // Copies of copies would soon fill everything.
        let b = b.clamp(a.saturating_sub(4), a + 4);
        if len > MANY && self.random.below(3) == 0 {
            self.store(1, len / 2, "+", "\\Deleted").await;
            self.transact("EXPUNGE").await;
            return;
        }
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"][self.random.below(5)];
        let sign = ["+", "-", ""][self.random.below(3)];
        let here = self.picture.as_ref().map(|p| p.folder.clone()).unwrap_or_default();
        match self.random.below(if len == 0 { 8 } else { 29 }) {
            0 | 1 => self.append(folder).await,
            2 => drop(self.transact("NOOP").await),
            3 => self.idle().await,
            4 if self.random.below(3) == 0 => drop(self.select(folder, None).await),
            5 if self.random.below(3) == 0 => self.reconnect().await,
            6 => match self.random.below(3) {
                0 => self.change_shared().await,
                1 => self.change_own().await,
                _ => self.status(folder).await,
            },
            7 | 8 => drop(self.transact("EXPUNGE").await),
            9 => drop(self.transact("UID FETCH 1:* (FLAGS)").await),
            10..=12 => {
                let lines =
                    self.transact(&format!("FETCH {a}:{b} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")).await;
                let whole = lines.iter().filter(|l| l.contains("Subject: ")).count();
                if is_ok(&lines) && whole != a.abs_diff(b) + 1 {
                    self.fail("OK, and not every message asked for");
                }
            }
            13..=15 => self.store(a, b, sign, flag).await,
            16 => self.store_silently(a, sign, flag).await,
            // Some at once: what others change between them is told in the answer, and changes it.
            17..=19 => {
                for _ in 0..=self.random.below(4) {
                    self.search(false).await;
                }
            }
            20 | 21 => self.copy("COPY", &format!("{a}:{b}"), a.abs_diff(b) + 1, to).await,
            22 if to != here => {
                self.doom(a, a);
                self.copy("MOVE", &a.to_string(), 1, to).await;
            }
            23 if to != here => {
                self.doom_all();
                self.copy("UID MOVE", "1:*", ENDLESS, to).await;
            }
            24 => {
                let uid = self.picture.as_ref().and_then(|p| p.messages.get(a - 1)?.uid);
                if let Some(uid) = uid {
                    self.doom(a, a);
                    self.transact(&format!("UID STORE {uid} {sign}FLAGS ({flag})")).await;
                    self.transact(&format!("UID EXPUNGE {uid}")).await;
                }
            }
            25 if self.random.below(6) == 0 => {
                let end = ["CLOSE", "UNSELECT"][self.random.below(2)];
                self.transact(end).await;
                self.picture = None;
            }
            26 => self.status(to).await,
            27 => self.change_shared().await,
            _ if len == 0 => drop(self.transact("NOOP").await),
            _ => drop(self.transact(&format!("FETCH {a} (UID FLAGS)")).await),
        }
    }

    /// When all is quiet: what is known is what is there, and what is sought is found, no less.
    pub async fn compare(&mut self, truth: &[(Picture, Status)]) {
        self.transact("NOOP").await;
        for _ in 0..3 {
            self.search(true).await;
        }
        if let Some(picture) = &self.picture {
            let there = truth.iter().find(|(there, _)| there.folder == picture.folder);
            let Some((there, _)) = there else { self.fail("a folder that nobody made") };
            if there.validity != picture.validity {
                self.fail("the folder is another one, and nobody replaced it");
            }
            if let Err(why) = picture.agrees(there) {
                self.fail(&why);
            }
        }
        for (there, counts) in truth {
            let lines = self.transact(&format!("STATUS {} {STATUS}", there.folder)).await;
            if Status::told(&lines) != Some(*counts) {
                self.fail(&format!("STATUS of {}, and there is {counts:?}", there.folder));
            }
        }
    }

    /// When all is quiet, a folder as it is, and its counts.
    pub async fn truth(&mut self, folder: &str) -> (Picture, Status) {
        let told = self.select(folder, None).await;
        let number = |word| told.iter().find_map(|l| number_after(l, word)).unwrap_or_default();
        let (uid_next, modseq) = (number("[UIDNEXT ") as u32, number("[HIGHESTMODSEQ "));
        let lines = self.transact("FETCH 1:* (UID FLAGS RFC822.SIZE)").await;
        for _ in 0..10 {
            self.search(true).await;
        }
        let picture = self.picture.clone().unwrap_or_default();
        let with =
            |flag| picture.messages.iter().filter(|m| m.flags.as_ref().is_some_and(|f| f.contains(flag))).count();
        let counts = Status {
            messages: picture.messages.len(),
            unseen: picture.messages.len() - with("\\Seen"),
            deleted: with("\\Deleted"),
            size: lines.iter().filter_map(|l| number_after(l, "RFC822.SIZE ")).sum(),
            uid_next,
            validity: picture.validity,
            modseq,
        };
        (picture, counts)
    }
}
