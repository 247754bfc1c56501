//! SEARCH in the stress test: what is asked, and what each message of a picture must answer to it.
//!
//! A key is judged by what the client was told: `None` says that it was not told enough to know.

use std::fmt;

use super::super::picture::{Message, number_after, numbers};
use super::ledger::Random;

/// An end of a range: a number or `*`.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Number(u32),
    Last,
}

/// What is sought.
#[derive(Clone, Debug)]
pub enum Key {
    All,
    /// The words for it, the flag, and whether it must be there.
    Flag(&'static str, &'static str, bool),
    Numbers(Vec<(End, End)>),
    Uids(Vec<(End, End)>),
    /// A message appended by this client.
    By(usize),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

/// Words for the flags that clients set, and for one that nobody sets.
const FLAGS: [(&str, &str, bool); 12] = [
    ("SEEN", "\\Seen", true),
    ("UNSEEN", "\\Seen", false),
    ("DELETED", "\\Deleted", true),
    ("UNDELETED", "\\Deleted", false),
    ("FLAGGED", "\\Flagged", true),
    ("UNFLAGGED", "\\Flagged", false),
    ("KEYWORD $One", "$One", true),
    ("UNKEYWORD $One", "$One", false),
    ("KEYWORD $Two", "$Two", true),
    ("UNKEYWORD $Two", "$Two", false),
    ("KEYWORD $Never", "$Never", true),
    ("UNKEYWORD $Never", "$Never", false),
];

/// What is known of a message.
pub struct Facts<'f> {
    pub number: u32,
    pub message: &'f Message,
    /// The last number.
    pub last: u32,
    /// The last UID, if that was told.
    pub last_uid: Option<u32>,
    pub subject: Option<&'f str>,
}

/// The subject of a message that a client appends begins so.
pub fn signature(client: usize) -> String {
    format!("stress-{client}-")
}

/// A range or two between these, now and then up to `*`.
fn set(random: &mut Random, first: u32, last: u32) -> Vec<(End, End)> {
    let span = (last.max(first) - first + 1) as usize;
    let end = |random: &mut Random| match random.below(8) {
        0 => End::Last,
        _ => End::Number(first + random.below(span) as u32),
    };
    (0..=random.below(2)).map(|_| (end(random), end(random))).collect()
}

fn within(set: &[(End, End)], number: u32, last: Option<u32>) -> Option<bool> {
    let value = |end: End| match end {
        End::Number(n) => Some(n),
        End::Last => last,
    };
    let ranges = set.iter().map(|(a, b)| {
        let (a, b) = (value(*a)?, value(*b)?);
        Some((a.min(b)..=a.max(b)).contains(&number))
    });
    ranges.fold(Some(false), either)
}

fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

impl Key {
    /// A key that fits a folder of `len` messages whose UIDs are about these, `deep` keys in one another.
    pub fn any(random: &mut Random, len: usize, uids: (u32, u32), clients: usize, deep: usize) -> Key {
        let inner = |random: &mut Random| Box::new(Key::any(random, len, uids, clients, deep - 1));
        match random.below(if deep == 0 { 9 } else { 13 }) {
            0 => Key::All,
            1..=5 => {
                let (words, flag, there) = FLAGS[random.below(FLAGS.len())];
                Key::Flag(words, flag, there)
            }
            6 => Key::Numbers(set(random, 1, len.max(1) as u32)),
            7 => Key::Uids(set(random, uids.0.max(1), uids.1)),
            8 => Key::By(random.below(clients)),
            9 => Key::Not(inner(random)),
            10 => Key::Or(inner(random), inner(random)),
            _ => Key::And(vec![*inner(random), *inner(random)]),
        }
    }

    /// Whether texts of messages are read for it.
    pub fn reads(&self) -> bool {
        match self {
            Key::By(_) => true,
            Key::Not(key) => key.reads(),
            Key::Or(a, b) => a.reads() || b.reads(),
            Key::And(keys) => keys.iter().any(Key::reads),
            Key::All | Key::Flag(..) | Key::Numbers(_) | Key::Uids(_) => false,
        }
    }

    /// Whether a message matches, if what is known of it tells.
    pub fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Key::All => Some(true),
            Key::Flag(_, flag, there) => Some(facts.message.flags.as_ref()?.contains(*flag) == *there),
            Key::Numbers(set) => within(set, facts.number, Some(facts.last)),
            Key::Uids(set) => within(set, facts.message.uid?, facts.last_uid),
            Key::By(client) => Some(facts.subject?.starts_with(&signature(*client))),
            Key::Not(key) => Some(!key.judge(facts)?),
            Key::Or(a, b) => either(a.judge(facts), b.judge(facts)),
            Key::And(keys) => {
                let not = |verdict: Option<bool>| verdict.map(|v| !v);
                not(keys.iter().map(|key| not(key.judge(facts))).fold(Some(false), either))
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: &End| match end {
            End::Number(n) => n.to_string(),
            End::Last => "*".to_owned(),
        };
        let list = |set: &[(End, End)]| {
            let ranges: Vec<String> = set.iter().map(|(a, b)| format!("{}:{}", end(a), end(b))).collect();
            ranges.join(",")
        };
        match self {
            Key::All => f.write_str("ALL"),
            Key::Flag(words, ..) => f.write_str(words),
            Key::Numbers(set) => f.write_str(&list(set)),
            Key::Uids(set) => write!(f, "UID {}", list(set)),
            Key::By(client) => write!(f, "SUBJECT {}", signature(*client)),
            Key::Not(key) => write!(f, "NOT {key}"),
            Key::Or(a, b) => write!(f, "OR {a} {b}"),
            Key::And(keys) => {
                let keys: Vec<String> = keys.iter().map(Key::to_string).collect();
                write!(f, "({})", keys.join(" "))
            }
        }
    }
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Asked {
    pub key: Key,
    /// UID SEARCH.
    pub uids: bool,
    /// With RETURN (RFC 4731).
    pub extended: bool,
}

impl Asked {
    pub fn command(&self) -> String {
        let uid = if self.uids { "UID " } else { "" };
        let options = if self.extended { "RETURN (MIN MAX COUNT ALL) " } else { "" };
        format!("{uid}SEARCH {options}{}", self.key)
    }

    /// The numbers of an answer; `None` for a line that is none.
    ///
    /// # Errors
    /// What in it does not fit the rest of it.
    pub fn answered(&self, line: &str) -> Result<Option<Vec<u32>>, String> {
        let (found, extended) = match (line.strip_prefix("* SEARCH"), line.strip_prefix("* ESEARCH")) {
            (Some(list), _) => (
                list.split_whitespace().map(|n| n.parse().map_err(|_| format!("{n}?"))).collect::<Result<_, _>>()?,
                None,
            ),
            (None, Some(rest)) => {
                let all = rest.split_once(" ALL ").map(|(_, set)| set.split(' ').next().unwrap_or_default());
                (all.map(numbers).unwrap_or_default(), Some(rest))
            }
            (None, None) => return Ok(None),
        };
        let found: Vec<u32> = found;
        if extended.is_some() != self.extended || !found.is_sorted_by(|a, b| a < b) {
            return Err("not the answer that was asked for".to_owned());
        }
        if let Some(rest) = extended {
            let told = |word| number_after(rest, word);
            let ends =
                [told(" MIN "), told(" MAX ")] == [found.first(), found.last()].map(|n| n.copied().map(u64::from));
            if !ends || told(" COUNT ") != Some(found.len() as u64) || rest.contains(" UID ") != self.uids {
                return Err("MIN, MAX, COUNT and ALL are not of one answer".to_owned());
            }
        }
        Ok(Some(found))
    }
}
