//! What "contains" means (RFC 3501 §6.4.4), said once.
//!
//! A text sought is folded and then found as a substring:
//! * [`Place::Field`] of a field that ENVELOPE has (Subject, From, To, Cc, Bcc, Message-ID, In-Reply-To): in ENVELOPE's reading
//!   of it, addresses as `Name <local@domain>`; of any other, in the value of any field of that name;
//! * [`Place::Body`]: in the text of a part, or in a field of a part's or of an embedded message's header;
//! * [`Place::Text`]: there, or in a field of the message's header, its name included.
//!
//! A text that folds to nothing is in every body and every text; as a field's, it asks whether the field is there.

use std::ops::Range;

use mail::mime::Structure;
use mail::sought::{Place, Sought};
use memchr::memmem::Finder;

use crate::document::{Document, ENVELOPE, Head};
use crate::extract::{Extractor, Sink};
use crate::fold::fold;

/// A text sought, ready to be found.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    pub(crate) place: Place,
    pub(crate) finder: Finder<'static>,
}

impl Needle {
    pub(crate) fn new(sought: &Sought) -> Self {
        let place = match &sought.place {
            Place::Field(name) => Place::Field(name.to_ascii_lowercase()),
            place => place.clone(),
        };
        Needle { place, finder: Finder::new(fold(&sought.text).as_bytes()).into_owned() }
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.finder.needle()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    /// Whether more than the header must be known.
    pub(crate) fn wants_body(&self) -> bool {
        !self.is_empty() && !matches!(self.place, Place::Field(_))
    }

    pub(crate) fn is_in(&self, folded: &str) -> bool {
        self.finder.find(folded.as_bytes()).is_some()
    }

    /// Whether the header has the field of that name with the text in it; for fields that ENVELOPE has not.
    pub(crate) fn is_in_field(&self, name: &str, lines: &str) -> bool {
        Head::fields(lines).any(|(n, value)| n == name && self.is_in(value))
    }

    /// What the header alone tells; `None`: the body must be looked at.
    pub(crate) fn judge_head(&self, head: &Head) -> Option<bool> {
        match &self.place {
            Place::Field(name) => Some(match envelope_field(name) {
                Some(field) if !self.is_empty() => self.is_in(&head.addressing.0[field]),
                _ => self.is_in_field(name, &head.lines),
            }),
            Place::Body | Place::Text if self.is_empty() => Some(true),
            Place::Body => None,
            Place::Text => self.is_in(&head.lines).then_some(true),
        }
    }
}

/// The number of a field in [`ENVELOPE`].
pub(crate) fn envelope_field(name: &str) -> Option<usize> {
    ENVELOPE.iter().position(|n| *n == name)
}

/// Whether a document has the text sought; `None` when it is not whole and what it holds does not tell.
pub fn matches(document: &Document, sought: &Sought) -> Option<bool> {
    let needle = Needle::new(sought);
    match needle.judge_head(&document.head) {
        Some(known) => Some(known),
        None if needle.is_in(&document.body) => Some(true),
        None if document.whole => Some(false),
        None => None,
    }
}

/// Whether a header has the text sought in the field named ([`Place::Field`]); `None` for other places.
pub fn in_head(head: &Head, sought: &Sought) -> Option<bool> {
    matches!(sought.place, Place::Field(_)).then(|| Needle::new(sought).judge_head(head)).flatten()
}

/// Looks for texts in a message whose octets the caller reads, without limit; asks for no more octets than it needs.
#[derive(Debug)]
pub struct Scan {
    extractor: Extractor,
    search: Search,
}

impl Scan {
    /// Begins.
    pub fn new(structure: &Structure, sought: &[Sought]) -> Self {
        let needles: Vec<Needle> = sought.iter().map(Needle::new).collect();
        let longest = needles.iter().map(|n| n.text().len()).max().unwrap_or(0);
        let mut search = Search { found: vec![None; needles.len()], needles, window: String::new(), longest };
        let extractor = Extractor::new(structure, &mut search);
        Scan { extractor, search }
    }

    /// The octets of the message to be given next, at most [`PIECE`](crate::PIECE); `None` when all is known.
    pub fn wanted(&self) -> Option<Range<u64>> {
        self.extractor.wanted()
    }

    /// Takes the octets asked for; fewer when the message ends there.
    pub fn push(&mut self, octets: &[u8]) {
        self.extractor.push(octets, &mut self.search);
    }

    /// For each text sought, in order, whether the message has it.
    pub fn finish(self) -> Vec<bool> {
        self.search.found.into_iter().map(|found| found == Some(true)).collect()
    }

    /// The same for a message in memory.
    pub fn all(message: &[u8], sought: &[Sought]) -> Vec<bool> {
        let mut scan = Scan::new(&Structure::of(message), sought);
        while let Some(wanted) = scan.wanted() {
            scan.push(crate::document::slice(message, wanted));
        }
        scan.finish()
    }
}

/// Finds texts that may lie across the pieces fed.
#[derive(Debug)]
struct Search {
    needles: Vec<Needle>,
    found: Vec<Option<bool>>,
    /// The end of what was fed, as long as the longest text less one octet, and what is fed now.
    window: String,
    longest: usize,
}

impl Sink for Search {
    fn head(&mut self, head: Head) {
        for (needle, found) in self.needles.iter().zip(&mut self.found) {
            *found = needle.judge_head(&head);
        }
    }

    fn text(&mut self, folded: &str) {
        let old = self.window.len();
        self.window.push_str(folded);
        for (needle, found) in self.needles.iter().zip(&mut self.found) {
            if found.is_none() {
                // What was fed before was searched then: one long text must not make the short ones be looked for again.
                let from = (old + 1).saturating_sub(needle.text().len());
                *found = needle.finder.find(&self.window.as_bytes()[from..]).map(|_| true);
            }
        }
        let mut cut = (self.window.len() + 1).saturating_sub(self.longest.max(1));
        while !self.window.is_char_boundary(cut) {
            cut -= 1;
        }
        self.window.drain(..cut);
    }

    fn satisfied(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
