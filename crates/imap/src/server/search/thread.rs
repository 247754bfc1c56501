//! THREAD (RFC 5256 §3): messages put into conversations by subject or by the messages they refer to.
//!
//! Message ids and base subjects are kept as 64-bit hashes with a key drawn for each command: a folder would have to hold
//! thousands of millions of ids before two met by chance, and nobody can make two meet. Memory is thus some numbers for each
//! message and each id referred to, of which [`MAX_REFERENCES`] count in one message.
//!
//! Nothing here recurses, and the search for loops has a budget ([`STEPS`]): a folder made to be slow is threaded less well,
//! not slowly.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::super::Ended;
use super::super::output::Output;
use super::super::reply::Stop;
use super::envelopes::envelopes;
use super::{Work, sort, subject};
use crate::command::ThreadAlgorithm;

/// References of one message that count, the last of them: those before are nearly always told by the messages between.
const MAX_REFERENCES: usize = 500;
/// Steps towards the root that each link may cost on average; only messages that came before what they answer cost any.
const STEPS: usize = 200;
/// Nobody.
const NONE: u32 = u32::MAX;

/// The threads of these messages.
pub(in super::super) async fn threads(
    work: &mut Work<'_>,
    positions: &[u32],
    algorithm: ThreadAlgorithm,
) -> Result<Forest, Stop> {
    let hash = RandomState::new();
    let mut links = Links::default();
    let mut references = Vec::new();
    envelopes(work, positions, |position, entry, envelope| {
        let (envelope, sent) = envelope.unwrap_or_default();
        let base = subject::base(envelope.subject.unwrap_or_default());
        let message = Message {
            position,
            date: sort::sent(entry, sent),
            subject: if base.text.is_empty() { 0 } else { hash.hash_one(base.text.to_lowercase()) | 1 },
            reply: base.reply,
        };
        references.clear();
        let mut id = None;
        if algorithm == ThreadAlgorithm::References {
            id = envelope.message_id.and_then(|text| ids(text, &hash).next());
            references.extend(ids(envelope.references.unwrap_or_default(), &hash));
            if references.is_empty() {
                references.extend(envelope.in_reply_to.and_then(|text| ids(text, &hash).next()));
            }
            references.drain(..references.len().saturating_sub(MAX_REFERENCES));
        }
        links.add(message, id, &references);
    })
    .await?;
    let build = move || match algorithm {
        ThreadAlgorithm::OrderedSubject => ordered_subject(links.messages),
        ThreadAlgorithm::References => links.threads(),
    };
    tokio::task::spawn_blocking(build).await.map_err(|_| crate::backend::Failure::Unavailable.into())
}

/// The ids in a field: what stands between `<` and `>`, quotes taken off, so that `<"a"@b>` is `<a@b>`.
fn ids<'t>(text: &'t str, hash: &'t RandomState) -> impl Iterator<Item = u64> + use<'t> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('<')?;
            let (id, after) = after.split_once('>')?;
            rest = after;
            // A stray `<` before it.
            let id = id.rsplit('<').next().unwrap_or(id);
            if !id.contains('@') {
                continue;
            }
            let mut hasher = hash.build_hasher();
            let mut octets = id.bytes();
            while let Some(octet) = octets.next() {
                match octet {
                    b'"' | b' ' | b'\t' => {}
                    b'\\' => hasher.write_u8(octets.next().unwrap_or(b'\\')),
                    other => hasher.write_u8(other),
                }
            }
            return Some(hasher.finish());
        }
    })
}

/// What threading wants of a message.
#[derive(Clone, Copy, Debug)]
struct Message {
    position: u32,
    /// Seconds since 1970.
    date: i64,
    /// Hash of the base subject; 0: it is empty.
    subject: u64,
    reply: bool,
}

/// Who answers whom, as it becomes known. A node is a message or an id that somebody referred to.
#[derive(Default)]
struct Links {
    messages: Vec<Message>,
    /// For each node, its message, or [`NONE`].
    message: Vec<u32>,
    parent: Vec<u32>,
    children: Vec<u32>,
    nodes: HashMap<u64, u32>,
    /// Steps that the search for loops may still take.
    steps: usize,
}

impl Links {
    fn node(&mut self, message: u32) -> u32 {
        self.message.push(message);
        self.parent.push(NONE);
        self.children.push(0);
        (self.message.len() - 1) as u32
    }

    /// Step 1 for the next message.
    fn add(&mut self, message: Message, id: Option<u64>, references: &[u64]) {
        let number = self.messages.len() as u32;
        self.messages.push(message);
        let node = match id.and_then(|id| self.nodes.get(&id).copied()) {
            Some(node) if self.message[node as usize] == NONE => {
                self.message[node as usize] = number;
                node
            }
            // The same id as one before: it is as if it had an id of its own.
            Some(_) => self.node(number),
            None => {
                let node = self.node(number);
                if let Some(id) = id {
                    self.nodes.insert(id, node);
                }
                node
            }
        };
        let mut last = NONE;
        for reference in references {
            let here = match self.nodes.get(reference) {
                Some(node) => *node,
                None => {
                    let made = self.node(NONE);
                    self.nodes.insert(*reference, made);
                    made
                }
            };
            if last != NONE && self.parent[here as usize] == NONE {
                self.link(last, here);
            }
            last = here;
        }
        // What was known of its parent came from a shortened list.
        let before = std::mem::replace(&mut self.parent[node as usize], NONE);
        if before != NONE {
            self.children[before as usize] -= 1;
        }
        if last != NONE {
            self.link(last, node);
        }
    }

    /// Makes one the parent of the other, which has none, unless that made a loop.
    fn link(&mut self, parent: u32, child: u32) {
        self.steps += STEPS;
        if parent == child {
            return;
        }
        // Without children it is above nobody.
        if self.children[child as usize] > 0 {
            let mut above = parent;
            while above != NONE {
                if above == child || self.steps == 0 {
                    return;
                }
                self.steps -= 1;
                above = self.parent[above as usize];
            }
        }
        self.parent[child as usize] = parent;
        self.children[parent as usize] += 1;
    }

    /// Steps 2 to 6.
    fn threads(self) -> Forest {
        let Links { messages, mut message, mut parent, .. } = self;
        promote(&message, &mut parent);
        let is_dummy = |message: &[u32], node: u32| message[node as usize] == NONE;
        // Step 4 in advance: what a dummy is sorted by and named after is its first child.
        let mut first: Vec<u32> = message.clone();
        let key = |m: u32| (messages[m as usize].date, m);
        for node in 0..message.len() {
            let above = parent[node];
            if above == NONE || !is_dummy(&message, above) {
                continue;
            }
            let slot = &mut first[above as usize];
            if *slot == NONE || key(message[node]) < key(*slot) {
                *slot = message[node];
            }
        }
        let mut roots: Vec<u32> =
            (0..message.len() as u32).filter(|n| parent[*n as usize] == NONE && first[*n as usize] != NONE).collect();
        roots.sort_unstable_by_key(|n| key(first[*n as usize]));
        // Step 5.
        let subject = |first: &[u32], node: u32| messages[first[node as usize] as usize].subject;
        let is_reply = |message: &[u32], node: u32| {
            message.get(node as usize).is_some_and(|m| *m != NONE && messages[*m as usize].reply)
        };
        let mut table: HashMap<u64, u32> = HashMap::new();
        for node in roots.iter().copied().filter(|n| subject(&first, *n) != 0) {
            let known = table.entry(subject(&first, node)).or_insert(node);
            let better = is_dummy(&message, node) || (!is_reply(&message, node) && is_reply(&message, *known));
            if !is_dummy(&message, *known) && better {
                *known = node;
            }
        }
        let children = Children::new(&parent);
        for node in roots.iter().copied() {
            if parent[node as usize] != NONE || subject(&first, node) == 0 {
                continue;
            }
            let Some(known) = table.get_mut(&subject(&first, node)) else { continue };
            let other = *known;
            if other == node {
                continue;
            }
            match (is_dummy(&message, other), is_dummy(&message, node)) {
                (true, true) => {
                    for child in children.of(node) {
                        parent[*child as usize] = other;
                    }
                    // Nobody's parent any more: it is not told.
                    first[node as usize] = NONE;
                }
                (true, false) => parent[node as usize] = other,
                _ if is_reply(&message, node) && !is_reply(&message, other) => parent[node as usize] = other,
                _ => {
                    let dummy = message.len() as u32;
                    message.push(NONE);
                    parent.push(NONE);
                    first.push(first[other as usize].min(first[node as usize]));
                    parent[node as usize] = dummy;
                    parent[other as usize] = dummy;
                    *known = dummy;
                }
            }
        }
        Forest::new(&messages, &message, &parent)
    }
}

/// Step 3: dummies go, their children take their place; those at the top stay while they hold several together.
fn promote(message: &[u32], parent: &mut [u32]) {
    // The node that stands in a dummy's place: the nearest message above it, or the dummy at the top.
    let mut place: Vec<u32> = vec![NONE; parent.len()];
    let mut path = Vec::new();
    for node in 0..parent.len() as u32 {
        let mut at = node;
        while place[at as usize] == NONE {
            if message[at as usize] != NONE || parent[at as usize] == NONE {
                place[at as usize] = at;
                break;
            }
            path.push(at);
            at = parent[at as usize];
        }
        let found = place[at as usize];
        for passed in path.drain(..) {
            place[passed as usize] = found;
        }
    }
    let mut held = vec![0u32; parent.len()];
    for node in 0..parent.len() {
        if parent[node] != NONE && message[node] != NONE {
            parent[node] = place[parent[node] as usize];
            held[parent[node] as usize] += 1;
        }
    }
    for node in 0..parent.len() {
        let above = parent[node];
        let lone = |above: u32| above != NONE && message[above as usize] == NONE && held[above as usize] == 1;
        if message[node] == NONE || lone(above) {
            parent[node] = NONE;
        }
    }
}

/// The children of each node, ascending.
struct Children {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    fn new(parent: &[u32]) -> Self {
        Children::in_order(parent, 0..parent.len() as u32)
    }

    /// Children in the order of `nodes`, which holds each node once or not at all.
    fn in_order(parent: &[u32], nodes: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0u32; parent.len() + 1];
        for node in nodes.clone() {
            if parent[node as usize] != NONE {
                starts[parent[node as usize] as usize + 1] += 1;
            }
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut list = vec![NONE; starts[parent.len()] as usize];
        let mut next = starts.clone();
        for node in nodes {
            if parent[node as usize] != NONE {
                let slot = &mut next[parent[node as usize] as usize];
                list[*slot as usize] = node;
                *slot += 1;
            }
        }
        Children { starts, list }
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.list[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

/// Threads by subject alone: the first message of each is the parent of the others.
fn ordered_subject(messages: Vec<Message>) -> Forest {
    let count = messages.len() as u32;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by_key(|m| (messages[*m as usize].subject, messages[*m as usize].date, *m));
    let mut parent = vec![NONE; messages.len()];
    let mut first = NONE;
    for m in order {
        if first != NONE && messages[first as usize].subject == messages[m as usize].subject {
            parent[m as usize] = first;
        } else {
            first = m;
        }
    }
    let message: Vec<u32> = (0..count).collect();
    Forest::new(&messages, &message, &parent)
}

/// Threads, every set of siblings in the order of their sent dates (step 6).
pub(in super::super) struct Forest {
    /// For each node the position of its message; [`NONE`] for a dummy.
    position: Vec<u32>,
    roots: Vec<u32>,
    children: Children,
}

impl Forest {
    /// Nodes are messages, by their index, or dummies; dummies are parents only, and without children they are left out.
    fn new(messages: &[Message], message: &[u32], parent: &[u32]) -> Forest {
        let key = |m: u32| (messages[m as usize].date, m);
        let mut keys: Vec<Option<(i64, u32)>> = message.iter().map(|m| (*m != NONE).then(|| key(*m))).collect();
        // A dummy under a dummy is nobody's wish, yet may come of merging: the lower ones are made after those they hold.
        for node in 0..message.len() {
            let (above, own) = (parent[node], keys[node]);
            if above != NONE
                && message[above as usize] == NONE
                && let Some(own) = own
            {
                let slot = &mut keys[above as usize];
                *slot = Some(slot.map_or(own, |known| known.min(own)));
            }
        }
        let mut order: Vec<u32> = (0..message.len() as u32).filter(|n| keys[*n as usize].is_some()).collect();
        order.sort_unstable_by_key(|n| (keys[*n as usize], *n));
        let children = Children::in_order(parent, order.iter().copied());
        let roots = order.into_iter().filter(|n| parent[*n as usize] == NONE).collect();
        let at = |m: &u32| messages.get(*m as usize).map_or(NONE, |m| m.position);
        Forest { position: message.iter().map(at).collect(), roots, children }
    }

    /// `* THREAD (…)(…)`; `number` makes of a position what the client wants to read.
    pub(in super::super) async fn tell(&self, out: &mut Output, number: impl Fn(u32) -> u32) -> Result<(), Ended> {
        out.put(b"* THREAD");
        if !self.roots.is_empty() {
            out.put(b" ");
        }
        // What is still to be written: threads, and the ends of those that branch.
        let mut todo: Vec<Option<u32>> = self.roots.iter().rev().copied().map(Some).collect();
        while let Some(step) = todo.pop() {
            out.room().await?;
            let Some(mut node) = step else {
                out.put(b")");
                continue;
            };
            out.put(b"(");
            loop {
                let position = self.position[node as usize];
                if position != NONE {
                    out.text(format_args!("{}", number(position)));
                }
                match self.children.of(node) {
                    [] => {
                        out.put(b")");
                        break;
                    }
                    [only] => {
                        if position != NONE {
                            out.put(b" ");
                        }
                        node = *only;
                    }
                    several => {
                        if position != NONE {
                            out.put(b" ");
                        }
                        todo.push(None);
                        todo.extend(several.iter().rev().copied().map(Some));
                        break;
                    }
                }
                out.room().await?;
            }
        }
        out.put(b"\r\n");
        Ok(())
    }
}

/// Threads of messages that anybody made, for `fuzz/`. A line is a message: its id (0: none), its subject, what it refers to.
///
/// # Panics
/// When a message is told twice or not at all.
pub(in super::super) fn check(input: &[u8]) {
    let mut links = Links::default();
    for line in input.split(|b| *b == b'\n') {
        let [id, subject, references @ ..] = line else { continue };
        let message = Message {
            position: links.messages.len() as u32,
            date: (id ^ subject).into(),
            subject: (subject >> 1).into(),
            reply: subject & 1 == 1,
        };
        let references: Vec<u64> = references.iter().take(MAX_REFERENCES).map(|b| u64::from(*b)).collect();
        links.add(message, (*id != 0).then(|| u64::from(*id)), &references);
    }
    let count = links.messages.len();
    let by_subject = ordered_subject(links.messages.clone());
    for forest in [links.threads(), by_subject] {
        let mut told = vec![0; count];
        let mut todo = forest.roots.clone();
        while let Some(node) = todo.pop() {
            let position = forest.position[node as usize];
            if position != NONE {
                told[position as usize] += 1;
            }
            todo.extend(forest.children.of(node));
        }
        assert!(told.iter().all(|times| *times == 1), "each message once: {told:?}");
    }
}

#[cfg(test)]
mod tests;
