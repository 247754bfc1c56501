//! Several sessions do random things to one folder; each keeps the picture that a client makes of what it is told.
//!
//! Every response must fit that picture (RFC 3501 §7.4.1, §5.5), and in the end every picture must be the folder itself.

use std::collections::BTreeSet;

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

#[derive(Clone, Default, Debug)]
struct Message {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// A client and its picture: the message of number n is at n − 1.
struct Watcher {
    imap: Client,
    picture: Vec<Message>,
}

impl Watcher {
    async fn transact(&mut self, command: &str) {
        let tag = self.imap.send(command).await;
        let lines = self.imap.answer(&tag, "").await;
        let by_number = ["FETCH", "STORE", "SEARCH"].iter().any(|c| command.starts_with(c));
        for line in &lines {
            let Some((number, rest)) = line.strip_prefix("* ").and_then(|l| l.split_once(' ')) else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            if rest == "EXISTS" {
                assert!(number >= self.picture.len(), "EXISTS shrinks: {command}: {lines:?}");
                self.picture.resize(number, Message::default());
            } else if rest == "EXPUNGE" {
                assert!(!by_number, "EXPUNGE during {command}: {lines:?}");
                assert!((1..=self.picture.len()).contains(&number), "{command}: {lines:?}");
                self.picture.remove(number - 1);
            } else if let Some(items) = rest.strip_prefix("FETCH (") {
                assert!((1..=self.picture.len()).contains(&number), "{command}: {lines:?}");
                let message = &mut self.picture[number - 1];
                if let Some((_, uid)) = items.split_once("UID ") {
                    let uid = uid.split([' ', ')']).next().and_then(|u| u.parse().ok()).expect("a UID");
                    assert!(message.uid.is_none_or(|known| known == uid), "{command}: {message:?}: {lines:?}");
                    message.uid = Some(uid);
                }
                if let Some((_, flags)) = items.split_once("FLAGS (") {
                    let flags = flags.split(')').next().unwrap_or_default();
                    message.flags = Some(flags.split_whitespace().map(str::to_owned).collect());
                }
            }
        }
        // `.SILENT`: the client reckons by itself.
        if let Some(rest) = command.strip_prefix("STORE ").filter(|c| c.contains(".SILENT")) {
            let (number, rest) = rest.split_once(' ').expect("a number");
            let flag = rest.split(['(', ')']).nth(1).expect("a flag").to_owned();
            let index = number.parse::<usize>().expect("a number") - 1;
            let ok = lines.last().is_some_and(|l| l.contains(" OK "));
            if let (true, Some(flags)) = (ok, &mut self.picture[index].flags) {
                if rest.starts_with('+') {
                    flags.insert(flag)
                } else {
                    flags.remove(&flag)
                };
            }
        }
    }

    async fn act(&mut self, random: &mut Random) {
        let last = self.picture.len().max(1);
        let (a, b) = (random.below(last) + 1, random.below(last) + 1);
        let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"][random.below(5)];
        let sign = ["+", "-"][random.below(2)];
        let command = match random.below(if self.picture.is_empty() { 3 } else { 16 }) {
            0 => "NOOP".to_owned(),
            1 => "EXPUNGE".to_owned(),
            2 => "UID FETCH 1:* (FLAGS)".to_owned(),
            3 | 4 => format!("FETCH {a}:{b} (UID FLAGS)"),
            5 | 6 => format!("STORE {a} {sign}FLAGS ({flag})"),
            7 | 8 => format!("STORE {a} {sign}FLAGS.SILENT ({flag})"),
            9 => format!("STORE {a}:{b} {sign}FLAGS ({flag})"),
            10 => "SEARCH UNSEEN".to_owned(),
            11 => format!("UID STORE {} {sign}FLAGS ({flag})", self.picture[a - 1].uid.unwrap_or(1)),
            12 => format!("MOVE {a} Sent"),
            13 => format!("COPY {a}:{b} Sent"),
            14 => format!("FETCH {a} BODY[]"),
            _ => format!("COPY {a} INBOX"),
        };
        self.transact(&command).await;
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
        let imap = server.inbox().await;
        watchers.push(Watcher { imap, picture: vec![Message::default(); 10] });
    }
    for watcher in &mut watchers {
        watcher.transact("FETCH 1:* (UID FLAGS)").await;
    }
    for _ in 0..300 {
        if random.below(8) == 0 {
            server.mailbox.deliver("INBOX", "Subject: new\n\nbody\n");
        }
        let one = random.below(3);
        watchers[one].act(&mut random).await;
    }
    let view = server.mailbox.view("INBOX");
    for watcher in &mut watchers {
        watcher.transact("NOOP").await;
        assert_eq!(watcher.picture.len(), view.len());
        for (message, entry) in watcher.picture.iter().zip(view.iter()) {
            assert!(message.uid.is_none_or(|uid| uid == entry.uid.0), "{message:?} {entry:?}");
            let flags: BTreeSet<String> = entry.flags.names(&view.keywords).map(str::to_owned).collect();
            assert!(message.flags.as_ref().is_none_or(|known| *known == flags), "{message:?} {flags:?}");
        }
    }
}

#[tokio::test]
async fn every_picture_is_the_folder() {
    for seed in 1..=8u64 {
        run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await;
    }
}
