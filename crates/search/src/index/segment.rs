//! A segment: some documents, column by column, in one file that never changes.

use std::path::{Path, PathBuf};

use mail::sought::Place;

use super::blocks::{BlockReader, BlockWriter, Blocks, Broken, Id, Packing, Result};
use super::codec::{Input, Output};
use super::gathering::Gathering;
use super::texts::{Texts, TextsWriter};
use super::tokens::Tokens;
use crate::document::{Document, ENVELOPE, Head};
use crate::matching::{Needle, envelope_field};
use mail::bits::Bits;

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
}

/// What a segment says of a text: documents that have it. The others among those asked for have it not, unless they are not whole.
pub(super) type Found = Bits;

/// Writes a segment of these documents, in order.
pub(super) fn write(path: &Path, key: &[u8; 32], id: Id, documents: &[(u64, Document)]) -> Result<()> {
    let mut file = BlockWriter::create(path, key, id)?;
    let mut memory = Output::default();
    begin(&mut memory, &[], documents.iter().map(|(body, d)| (*body, d.whole)));
    for field in 0..ENVELOPE.len() {
        texts(documents, |d| &d.head.addressing.0[field], Packing::Never, &mut file, &mut memory)?;
    }
    let total = documents.len();
    // Counts of documents fit 32 bits: they are in memory.
    let numbered = || (0u32..).zip(documents.iter().map(|(_, d)| d));
    let (mut names, mut head, mut body) = (Gathering::default(), Gathering::default(), Gathering::default());
    for (n, document) in numbered() {
        for (name, _) in Head::fields(&document.head.lines) {
            names.word(n, name.as_bytes());
        }
        head.text(n, &document.head.lines);
        body.text(n, &document.body);
    }
    names.write(total, false, &mut file, &mut memory)?;
    head.write(total, true, &mut file, &mut memory)?;
    texts(
        documents,
        |d| d.head.lines.strip_suffix('\n').unwrap_or(&d.head.lines),
        Packing::IfWorth,
        &mut file,
        &mut memory,
    )?;
    body.write(total, true, &mut file, &mut memory)?;
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
    packing: Packing,
    file: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TextsWriter::new(packing);
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
            names: Tokens::read(memory, total)?,
            head_words: Tokens::read(memory, total)?,
            head: Texts::read(memory)?,
            body_words: Tokens::read(memory, total)?,
        };
        memory.is_empty().then(|| Segment { path: path.to_owned(), id, bodies, whole, replaces, columns, blocks })
    }

    /// How many documents it has.
    pub(super) fn total(&self) -> usize {
        self.bodies.len()
    }

    /// How many positions its largest column has.
    pub(super) fn positions(&self) -> u32 {
        self.columns.head_words.positions.count().max(self.columns.body_words.positions.count())
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
            Place::Body => columns.body_words.search(&mut file, needle.text(), asked, total),
            Place::Text => {
                let mut found = columns.head_words.search(&mut file, needle.text(), asked, total)?;
                let mut left = asked.clone();
                left.and_not(&found);
                if !left.is_empty() {
                    found.or(&columns.body_words.search(&mut file, needle.text(), &left, total)?);
                }
                Ok(found)
            }
        }
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
        let possible = self.columns.head_words.search(file, needle.text(), &named, self.total())?;
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
