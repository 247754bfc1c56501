//! A segment: some documents, column by column, in one file that never changes.

use std::path::{Path, PathBuf};

use mail::sought::Place;

use super::bits::Bits;
use super::blocks::{BlockReader, BlockWriter, Blocks, Broken, Id, Result};
use super::codec::{Input, Output};
use super::texts::{Texts, TextsWriter};
use super::tokens::{Gathering, Tokens};
use crate::document::{Document, ENVELOPE, Head};
use crate::matching::{Needle, envelope_field};

/// So many documents that may have a text and are not known to are read, rather than the words gone through to the end.
const FEW: usize = 24;

/// A segment that can be searched.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    /// The body each document was made of.
    pub(super) bodies: Vec<u64>,
    /// The documents that are whole.
    pub(super) whole: Bits,
    /// The segments it was merged from: what is left of them after a crash counts no more.
    pub(super) replaces: Vec<Id>,
    pub(super) columns: Columns,
    pub(super) blocks: Blocks,
}

/// The columns of a segment.
#[derive(Debug)]
pub(super) struct Columns {
    /// The fields that ENVELOPE has.
    pub(super) envelope: [Texts; ENVELOPE.len()],
    /// The names of the fields of each message, as words.
    pub(super) names: Tokens,
    pub(super) head_words: Tokens,
    pub(super) head: Texts,
    pub(super) body_words: Tokens,
    pub(super) body: Texts,
}

/// What a segment says of a text: documents that have it. The others among those asked for have it not, unless they are not whole.
pub(super) type Found = Bits;

/// Writes a segment of these documents, in order.
pub(super) fn write(path: &Path, key: &[u8; 32], id: Id, documents: &[(u64, Document)]) -> Result<()> {
    let mut file = BlockWriter::create(path, key, id)?;
    let mut memory = Output::default();
    begin(&mut memory, &[], documents.iter().map(|(body, d)| (*body, d.whole)));
    for field in 0..ENVELOPE.len() {
        texts(documents, |d| &d.head.addressing.0[field], &mut file, &mut memory)?;
    }
    let total = documents.len();
    // Counts of documents fit 32 bits: they are in memory.
    let numbered = || (0u32..).zip(documents.iter().map(|(_, d)| d));
    let (mut names, mut head, mut body) = (Gathering::default(), Gathering::default(), Gathering::default());
    for (n, document) in numbered() {
        Head::fields(&document.head.lines).for_each(|(name, _)| names.word(n, name.as_bytes()));
        head.text(n, &document.head.lines);
        body.text(n, &document.body);
    }
    names.write(total, &mut file, &mut memory)?;
    head.write(total, &mut file, &mut memory)?;
    texts(documents, |d| d.head.lines.strip_suffix('\n').unwrap_or(&d.head.lines), &mut file, &mut memory)?;
    body.write(total, &mut file, &mut memory)?;
    texts(documents, |d| d.body.strip_suffix('\n').unwrap_or(&d.body), &mut file, &mut memory)?;
    file.finish(&memory.octets)
}

/// The beginning of what a segment remembers.
pub(super) fn begin(memory: &mut Output, replaces: &[Id], documents: impl ExactSizeIterator<Item = (u64, bool)>) {
    memory.number(replaces.len() as u64);
    replaces.iter().for_each(|id| memory.octets.extend_from_slice(id));
    memory.number(documents.len() as u64);
    for (body, whole) in documents {
        memory.number(body);
        memory.number(u64::from(whole));
    }
}

fn texts<'d>(
    documents: &'d [(u64, Document)],
    text: impl Fn(&'d Document) -> &'d str,
    file: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TextsWriter::default();
    for (_, document) in documents {
        writer.push(text(document).as_bytes(), file)?;
    }
    writer.finish(file, memory)
}

impl Segment {
    /// Opens a segment.
    pub(super) fn open(path: &Path, key: &[u8; 32], id: Id) -> Result<Self> {
        let (blocks, memory) = Blocks::open(path, key, id)?;
        let mut memory = Input::new(&memory);
        Self::read(path, id, blocks, &mut memory).ok_or(Broken::Damaged)
    }

    fn read(path: &Path, id: Id, blocks: Blocks, memory: &mut Input<'_>) -> Option<Self> {
        let replaces = (0..memory.count()?).map(|_| memory.array()).collect::<Option<Vec<Id>>>()?;
        let total = memory.count()?;
        let (mut bodies, mut whole) = (Vec::with_capacity(total), Bits::none(total));
        for n in 0..total {
            bodies.push(memory.number()?);
            if memory.number()? == 1 {
                whole.set(u32::try_from(n).ok()?);
            }
        }
        let mut envelope: [Texts; ENVELOPE.len()] = Default::default();
        for column in &mut envelope {
            *column = Texts::read(memory)?;
        }
        let columns = Columns {
            envelope,
            names: Tokens::read(memory)?,
            head_words: Tokens::read(memory)?,
            head: Texts::read(memory)?,
            body_words: Tokens::read(memory)?,
            body: Texts::read(memory)?,
        };
        memory.is_empty().then(|| Segment { path: path.to_owned(), id, bodies, whole, replaces, columns, blocks })
    }

    /// How many documents it has.
    pub(super) fn total(&self) -> usize {
        self.bodies.len()
    }

    /// Which of the documents asked for have the text.
    pub(super) fn seek(&self, needle: &Needle, asked: &Bits) -> Result<Found> {
        let mut file = self.blocks.reader()?;
        let total = self.total();
        let columns = &self.columns;
        match &needle.place {
            Place::Body | Place::Text if needle.is_empty() => Ok(asked.clone()),
            Place::Field(name) => match envelope_field(name) {
                Some(field) if !needle.is_empty() => {
                    let mut found = Bits::none(total);
                    let quick = |texts: &[u8]| needle.finder.find(texts);
                    columns.envelope[field].search(&mut file, asked, quick, |_| true, &mut found)?;
                    Ok(found)
                }
                _ => self.field(&mut file, needle, name, asked),
            },
            Place::Body => self.text(&mut file, needle, &columns.body_words, &columns.body, asked),
            Place::Text => {
                let mut found = self.text(&mut file, needle, &columns.head_words, &columns.head, asked)?;
                let mut left = asked.clone();
                left.and_not(&found);
                if !left.is_empty() {
                    found.or(&self.text(&mut file, needle, &columns.body_words, &columns.body, &left)?);
                }
                Ok(found)
            }
        }
    }

    fn text(
        &self,
        file: &mut BlockReader<'_>,
        needle: &Needle,
        words: &Tokens,
        texts: &Texts,
        asked: &Bits,
    ) -> Result<Found> {
        let told = words.search(file, needle.text(), asked, self.total(), FEW)?;
        let mut found = told.proven;
        if !told.possible.is_empty() {
            texts.search(file, &told.possible, |texts| needle.finder.find(texts), |_| true, &mut found)?;
        }
        Ok(found)
    }

    /// In a field that ENVELOPE has not, or whether a field is there.
    fn field(&self, file: &mut BlockReader<'_>, needle: &Needle, name: &str, asked: &Bits) -> Result<Found> {
        // What is no name of a field is in no message; a space or a line feed would mean something else among words.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Bits::none(self.total()));
        }
        let mut named = self.columns.names.exactly(file, name.as_bytes(), asked, self.total())?;
        named.and(asked);
        if needle.is_empty() || named.is_empty() {
            return Ok(named);
        }
        let told = self.columns.head_words.search(file, needle.text(), &named, self.total(), 0)?;
        let mut possible = told.possible;
        possible.or(&told.proven);
        let mut found = Bits::none(self.total());
        let satisfies = |lines: &[u8]| std::str::from_utf8(lines).is_ok_and(|lines| needle.is_in_field(name, lines));
        self.columns.head.search(file, &possible, |texts| needle.finder.find(texts), satisfies, &mut found)?;
        Ok(found)
    }

    /// Hands over the documents that are asked for and not whole.
    pub(super) fn not_whole(&self, asked: &Bits) -> Bits {
        let mut left = asked.clone();
        left.and_not(&self.whole);
        left
    }
}
