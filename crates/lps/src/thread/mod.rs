//! Conversations: the messages of several folders and several BALs put together by what they answer. ECO-THREAD (ECO.2.2.1, 2.2.2).
//!
//! What links two messages is `References` and `In-Reply-To`, and what a receipt, notice or bounce says it is about; where a
//! message that answers names nothing, the same subject between the same two correspondents does.
//!
//! Invariants:
//! * linear but for sorting: 50,000 messages take a fraction of a second, and no header can make it more;
//! * cycles, a message that answers itself, or identifiers used twice do no harm: every message given is in exactly one conversation,
//!   once. Two messages of one Message-ID are one only when sender, date and subject are the same, so that none hides another;
//! * identifiers prove nothing: whoever knows one can join a conversation. What decides (a notice believed) asks
//!   [`About::belief`](crate::read::About::belief).

mod forest;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use subject::base_subject;

use crate::session::Summary;
use forest::Sets;

/// Identifiers taken of one message: a header is cut before, conversations have some tens.
const MAX_IDS: usize = 200;
/// Correspondents of one message who count for the likeness of subjects.
const MAX_PAIRS: usize = 10;

/// A message to be put into a conversation.
#[derive(Debug, Clone)]
pub struct Entry<'s, K> {
    /// What the host program finds the message by: BAL, folder and UID.
    pub key: K,
    /// The message.
    pub summary: &'s Summary,
    /// What it is about, when it was read and is a receipt, a notice or a bounce ([`crate::read::About`]).
    pub about: &'s [String],
}

impl<'s, K> Entry<'s, K> {
    /// A message that was not read.
    #[must_use]
    pub fn new(key: K, summary: &'s Summary) -> Self {
        Entry { key, summary, about: &[] }
    }
}

/// What a message is to its conversation, as its header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Somebody wrote.
    Mail,
    /// A read receipt or an integration notice.
    Receipt,
    /// A delivery report.
    Delivery,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<K> {
    /// Where it is: several places when it is in several folders or BALs.
    pub keys: Vec<K>,
    /// The message it answers or tells about: its place in [`Thread::nodes`], before this one.
    pub parent: Option<usize>,
    /// How many messages up to the first.
    pub depth: usize,
    /// By the sender's clock, else when it came; seconds since 1970.
    pub date: Option<i64>,
    /// What it is.
    pub role: Role,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread<K> {
    /// The subject of its first message, without technical prefixes, `Re:` and the like.
    pub subject: String,
    /// Its messages: each after what it answers, answers by date.
    pub nodes: Vec<Node<K>>,
    /// The date of the most recent one.
    pub last: Option<i64>,
}

/// The conversations of these messages, the most recent first.
#[must_use]
pub fn threads<K: Clone>(entries: &[Entry<'_, K>]) -> Vec<Thread<K>> {
    let messages = gather(entries);
    let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(messages.len());
    for (place, message) in messages.iter().enumerate() {
        if let Some(id) = &message.id {
            // Of two with one identifier, the first given keeps it.
            by_id.entry(id).or_insert(place);
        }
    }
    // Parents: the last known reference first.
    let mut tree = Sets::new(messages.len());
    let mut parents: Vec<Option<usize>> = vec![None; messages.len()];
    // Conversations: also through messages that nobody has, each named by its first place.
    let mut sets = Sets::new(messages.len());
    let mut unknown: HashMap<&str, usize> = HashMap::new();
    for (place, message) in messages.iter().enumerate() {
        for id in &message.links {
            match by_id.get(id.as_str()) {
                Some(&other) => {
                    sets.join(place, other);
                }
                None => {
                    let other = *unknown.entry(id).or_insert(place);
                    sets.join(place, other);
                }
            }
        }
        let parent =
            message.links.iter().rev().filter_map(|id| by_id.get(id.as_str()).copied()).find(|other| *other != place);
        if let Some(parent) = parent
            && tree.join(place, parent)
        {
            parents[place] = Some(parent);
        }
        // A second message of one identifier stands beside the first.
        if let Some(&first) = message.id.as_deref().and_then(|id| by_id.get(id)) {
            sets.join(place, first);
        }
    }
    by_subject(&messages, &mut sets, &mut tree, &mut parents);
    assemble(messages, sets, &parents)
}

/// A message, whatever the places it is in.
struct Gathered<K> {
    keys: Vec<K>,
    id: Option<String>,
    /// What it answers, the nearest last.
    links: Vec<String>,
    date: Option<i64>,
    role: Role,
    subject: String,
    base: String,
    answers: bool,
    from: Option<String>,
    to: Vec<String>,
}

fn gather<K: Clone>(entries: &[Entry<'_, K>]) -> Vec<Gathered<K>> {
    let mut gathered: Vec<Gathered<K>> = Vec::with_capacity(entries.len());
    let mut same: HashMap<(String, Option<String>, Option<i64>, String), usize> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let summary = entry.summary;
        let id = summary.message_id();
        let subject = summary.subject();
        let from = summary.from().first().map(|from| from.address.to_ascii_lowercase());
        let sent = summary.date().map(|date| date.unix);
        if let Some(id) = &id {
            let likeness = (id.clone(), from.clone(), sent, subject.clone());
            match same.entry(likeness) {
                std::collections::hash_map::Entry::Occupied(known) => {
                    gathered[*known.get()].keys.push(entry.key.clone());
                    continue;
                }
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(gathered.len());
                }
            }
        }
        let mut links = summary.references();
        links.extend(summary.in_reply_to().into_iter().take(1));
        links.extend(entry.about.iter().rev().cloned());
        // The nearest are last.
        links.drain(..links.len().saturating_sub(MAX_IDS));
        let role = role(summary);
        let (base, prefixed) = subject::stripped(&subject);
        gathered.push(Gathered {
            keys: vec![entry.key.clone()],
            id,
            links,
            date: sent.or(summary.internal_date.map(time::OffsetDateTime::unix_timestamp)),
            role,
            base,
            answers: prefixed || role != Role::Mail,
            subject,
            from,
            to: summary.to().iter().take(MAX_PAIRS).map(|to| to.address.to_ascii_lowercase()).collect(),
        });
    }
    gathered
}

fn role(summary: &Summary) -> Role {
    let value = summary.raw("Content-Type").unwrap_or_default().to_ascii_lowercase();
    if !value.trim_start().starts_with("multipart/report") {
        Role::Mail
    } else if value.contains("disposition-notification") {
        Role::Receipt
    } else if value.contains("delivery-status") {
        Role::Delivery
    } else {
        Role::Mail
    }
}

/// Links what answers by its subject and names nothing to the last message of that subject between the same two before it.
fn by_subject<K>(messages: &[Gathered<K>], sets: &mut Sets, tree: &mut Sets, parents: &mut [Option<usize>]) {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|place| messages[*place].date);
    let mut last: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for place in order {
        let message = &messages[place];
        let Some(from) = message.from.as_deref().filter(|_| !message.base.is_empty()) else { continue };
        let pair = |a, b| if a < b { (message.base.as_str(), a, b) } else { (message.base.as_str(), b, a) };
        if message.answers && message.links.is_empty() {
            let found = message.to.iter().find_map(|to| last.get(&pair(from, to.as_str())).copied());
            if let Some(found) = found {
                sets.join(place, found);
                if tree.join(place, found) {
                    parents[place] = Some(found);
                }
            }
        }
        // What is told about a message does not take its place.
        if message.role == Role::Mail {
            for to in &message.to {
                last.insert(pair(from, to.as_str()), place);
            }
        }
    }
}

fn assemble<K>(messages: Vec<Gathered<K>>, mut sets: Sets, parents: &[Option<usize>]) -> Vec<Thread<K>> {
    let count = messages.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut roots: HashMap<usize, Vec<usize>> = HashMap::new();
    for (place, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(place),
            None => roots.entry(sets.find(place)).or_default().push(place),
        }
    }
    let when = |place: &usize| (messages[*place].date, *place);
    for list in children.iter_mut().chain(roots.values_mut()) {
        list.sort_by_key(when);
    }
    let mut order: Vec<Vec<usize>> = roots.into_values().collect();
    // Before messages are taken out of their places.
    let dates: Vec<Option<i64>> = messages.iter().map(|message| message.date).collect();
    let mut messages: Vec<Option<Gathered<K>>> = messages.into_iter().map(Some).collect();
    let mut built: Vec<Thread<K>> = Vec::with_capacity(order.len());
    for roots in &mut order {
        let mut thread = Thread { subject: String::new(), nodes: Vec::new(), last: None };
        // Depth first without recursion: conversations may be as deep as there are messages.
        let mut waiting: Vec<(usize, Option<usize>, usize)> = roots.iter().rev().map(|root| (*root, None, 0)).collect();
        while let Some((place, parent, depth)) = waiting.pop() {
            // Each has one parent and there is no cycle: met once.
            let Some(message) = messages[place].take() else { continue };
            let own = thread.nodes.len();
            if own == 0 {
                thread.subject =
                    if message.base.is_empty() { message.subject } else { subject::shown(&message.subject) };
            }
            thread.last = thread.last.max(dates[place]);
            thread.nodes.push(Node { keys: message.keys, parent, depth, date: message.date, role: message.role });
            waiting.extend(children[place].iter().rev().map(|child| (*child, Some(own), depth + 1)));
        }
        built.push(thread);
    }
    built.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.subject.cmp(&b.subject)));
    built
}
