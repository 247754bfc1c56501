//! A column of tokens: which documents hold which word and where, a word being all that stands between two spaces or boundaries.
//!
//! A text without a space is in a document if and only if it is in one of its words: the words are gone through, the documents
//! of those that have the text are joined, and the answer is exact although no document was read. That is why words and not
//! trigrams: what a trigram index finds must be verified in the texts, which takes as long as there are matches. Of a text
//! with spaces, the first word ends with its first piece, the last begins with its last, those between are its own, and their
//! positions follow each other (see [`phrase`](super::phrase)).
//!
//! Words lie in blocks, sorted, each between two line feeds; in a block of the same rank lie the documents of each: how many
//! octets and a bit that tells a bitmap from differences, then those. In a third lie where the positions of the first word
//! begin in the stream, and how many octets those of each are; a column of which nobody asks where words are has none.
//!
//! Two words are none of the text: [`SPACE`] stands in every document that has a space, and [`BOUNDARY`] at every boundary.

use memchr::memmem::Finder;

use super::blocks::{BlockReader, BlockWriter, Broken, Packing, Result};
use super::codec::{Input, Output};
use super::positions::{Positions, PositionsWriter, Span};
use mail::bits::Bits;

/// Octets of words after which a block is closed.
const BLOCK: usize = 64 * 1024;
/// Octets kept of a block's first word: enough to tell in which block a word is.
const KEPT: usize = 24;
/// The word that says "some space".
pub(super) const SPACE: &[u8] = b" ";
/// The word that stands where a boundary is.
pub(super) const BOUNDARY: &[u8] = b"";

/// Where words and documents are.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) blocks: Vec<Block>,
    /// Empty when nobody asks for them.
    pub(super) positions: Positions,
}

/// Some words.
#[derive(Debug)]
pub(super) struct Block {
    /// The beginning of the first.
    first: Box<[u8]>,
    /// The block of words, that of the documents of each, that of their spans.
    pub(super) words: u32,
    pub(super) documents: u32,
    pub(super) spans: Option<u32>,
}

/// Writes a column.
pub(super) struct TokensWriter {
    total: usize,
    blocks: Vec<Block>,
    words: Vec<u8>,
    postings: Output,
    spans: Output,
    positions: Option<PositionsWriter>,
    /// Where the positions of the last word begin.
    begun: u32,
}

impl TokensWriter {
    /// For `total` documents; `positioned`: with the positions of words.
    pub(super) fn new(total: usize, positioned: bool) -> Self {
        TokensWriter {
            total,
            blocks: Vec::new(),
            words: Vec::new(),
            postings: Output::default(),
            spans: Output::default(),
            positions: positioned.then(PositionsWriter::default),
            begun: 0,
        }
    }

    /// The next word in order, and its documents, ascending. Then come its positions.
    pub(super) fn push(&mut self, word: &[u8], documents: &[u32], file: &mut BlockWriter) -> Result<()> {
        self.end_word();
        if self.words.len() >= BLOCK {
            self.close(file)?;
        }
        if let Some(positions) = &mut self.positions {
            positions.begin();
            self.begun = positions.length();
            if self.words.is_empty() {
                self.spans.number(u64::from(self.begun));
            }
        }
        self.words.push(b'\n');
        self.words.extend_from_slice(word);
        let mut list = Output::default();
        let mut last = 0;
        let bitmap = self.total.div_ceil(8);
        for document in documents {
            list.number(u64::from(document - last));
            last = *document;
            if list.octets.len() > bitmap {
                break;
            }
        }
        if list.octets.len() > bitmap {
            list.octets.clear();
            list.octets.resize(bitmap, 0);
            for document in documents {
                list.octets[*document as usize / 8] |= 1 << (document % 8);
            }
            self.postings.number((bitmap as u64) << 1 | 1);
        } else {
            self.postings.number((list.octets.len() as u64) << 1);
        }
        self.postings.octets.append(&mut list.octets);
        Ok(())
    }

    /// The next position of the word pushed last.
    pub(super) fn stands(&mut self, position: u32, file: &mut BlockWriter) -> Result<()> {
        match &mut self.positions {
            Some(positions) => positions.push(position, file),
            None => Ok(()),
        }
    }

    fn end_word(&mut self) {
        if let Some(positions) = self.positions.as_ref().filter(|_| !self.words.is_empty()) {
            self.spans.number(u64::from(positions.length() - self.begun));
        }
    }

    fn close(&mut self, file: &mut BlockWriter) -> Result<()> {
        if self.words.is_empty() {
            return Ok(());
        }
        self.words.push(b'\n');
        let end = memchr::memchr(b'\n', &self.words[1..]).unwrap_or(0);
        let first = self.words[1..=end.min(KEPT)].into();
        let words = file.write(&self.words, Packing::IfWorth)?;
        let documents = file.write(&self.postings.octets, Packing::IfWorth)?;
        let spans = self.positions.as_ref().map(|_| file.write(&self.spans.octets, Packing::IfWorth)).transpose()?;
        self.blocks.push(Block { first, words, documents, spans });
        self.words.clear();
        self.postings.octets.clear();
        self.spans.octets.clear();
        Ok(())
    }

    /// Ends the column; `lengths`: how many positions each document has.
    pub(super) fn finish(
        mut self,
        lengths: impl ExactSizeIterator<Item = u32>,
        file: &mut BlockWriter,
        memory: &mut Output,
    ) -> Result<()> {
        self.end_word();
        self.close(file)?;
        memory.number(self.blocks.len() as u64);
        for block in &self.blocks {
            memory.number(u64::from(block.words));
            memory.number(u64::from(block.documents));
            memory.number(block.spans.map_or(0, |spans| u64::from(spans) + 1));
            memory.number(block.first.len() as u64);
            memory.octets.extend_from_slice(&block.first);
        }
        memory.number(u64::from(self.positions.is_some()));
        match self.positions {
            Some(positions) => positions.finish(lengths, file, memory),
            None => Ok(()),
        }
    }
}

/// How a word may have a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Having {
    /// Anywhere in it.
    Inside,
    /// At its end.
    AtEnd,
    /// At its beginning.
    AtBeginning,
    /// It is that text.
    Exactly,
}

impl Having {
    fn finder(self, text: &[u8]) -> Finder<'static> {
        let pattern: [&[u8]; 3] = match self {
            Having::Inside => [b"", text, b""],
            Having::AtEnd => [b"", text, b"\n"],
            Having::AtBeginning => [b"\n", text, b""],
            Having::Exactly => [b"\n", text, b"\n"],
        };
        Finder::new(&pattern.concat()).into_owned()
    }
}

impl Tokens {
    pub(super) fn read(memory: &mut Input<'_>, total: usize) -> Option<Self> {
        let count = memory.count()?;
        let block = |memory: &mut Input<'_>| {
            let (words, documents) = (memory.small()?, memory.small()?);
            let spans = memory.small()?.checked_sub(1);
            let first = memory.count()?;
            Some(Block { first: memory.take(first)?.into(), words, documents, spans })
        };
        let blocks: Vec<Block> = (0..count).map(|_| block(memory)).collect::<Option<_>>()?;
        let positions = match memory.number()? {
            0 => Positions::default(),
            _ => Positions::read(memory, total)?,
        };
        Some(Tokens { blocks, positions })
    }

    /// The documents that have exactly that word.
    pub(super) fn exactly(&self, file: &mut BlockReader<'_>, word: &[u8], asked: &Bits, total: usize) -> Result<Bits> {
        self.words(file, Having::Exactly, word, asked, total, None)
    }

    /// Which of the documents asked for have the text.
    pub(super) fn search(&self, file: &mut BlockReader<'_>, text: &[u8], asked: &Bits, total: usize) -> Result<Bits> {
        let mut found = if text == SPACE {
            self.exactly(file, SPACE, asked, total)?
        } else if text.contains(&b' ') {
            return self.phrase(file, text, asked, total);
        } else {
            self.words(file, Having::Inside, text, asked, total, None)?
        };
        found.and(asked);
        Ok(found)
    }

    /// The documents of the words that have a text so, and where the positions of those words are. Without `spans`, it may
    /// end when all those asked for are among the documents.
    pub(super) fn words(
        &self,
        file: &mut BlockReader<'_>,
        having: Having,
        text: &[u8],
        asked: &Bits,
        total: usize,
        mut spans: Option<&mut Vec<Span>>,
    ) -> Result<Bits> {
        let finder = having.finder(text);
        let mut found = Bits::none(total);
        let (mut words, mut raw, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for (i, block) in self.blocks.iter().enumerate() {
            let next = self.blocks.get(i + 1);
            if matches!(having, Having::AtBeginning | Having::Exactly) {
                if *block.first > *text && (having == Having::Exactly || !block.first.starts_with(text)) {
                    break;
                }
                // What is kept of a word may be its beginning only.
                if next.is_some_and(|next| !text.starts_with(&next.first) && *next.first <= *text) {
                    continue;
                }
            }
            file.read(block.words, &mut words)?;
            hits(&words, &finder, &mut ranks);
            if ranks.is_empty() {
                continue;
            }
            file.read(block.documents, &mut raw)?;
            join(&raw, &ranks, &mut found).ok_or(Broken::Damaged)?;
            match &mut spans {
                Some(spans) => {
                    file.read(block.spans.ok_or(Broken::Damaged)?, &mut raw)?;
                    spanned(&raw, &ranks, spans).ok_or(Broken::Damaged)?;
                }
                None if asked.missing_in(&found) == 0 => break,
                None => {}
            }
        }
        Ok(found)
    }
}

/// The ranks of the words of a block that have the pattern, ascending.
fn hits(words: &[u8], finder: &Finder<'_>, ranks: &mut Vec<u32>) {
    ranks.clear();
    let (mut at, mut counted, mut rank) = (0, 0, 0u32);
    while let Some(hit) = finder.find(&words[at..]) {
        let hit = at + hit;
        // A pattern may begin with the line feed before the word.
        let inside = hit + usize::from(words[hit] == b'\n');
        // Line feeds up to the word: one before the first.
        rank += memchr::memchr_iter(b'\n', &words[counted..inside]).count() as u32;
        counted = inside;
        ranks.push(rank.wrapping_sub(1));
        match memchr::memchr(b'\n', &words[inside..]) {
            // The line feed after this word is the one before the next.
            Some(end) => at = inside + end,
            None => break,
        }
    }
}

/// Adds the documents of the words of these ranks.
fn join(postings: &[u8], ranks: &[u32], found: &mut Bits) -> Option<()> {
    let mut input = Input::new(postings);
    let mut next = 0u32;
    for rank in ranks {
        while next < *rank {
            let header = input.number()?;
            input.take(usize::try_from(header >> 1).ok()?)?;
            next += 1;
        }
        let header = input.number()?;
        let list = input.take(usize::try_from(header >> 1).ok()?)?;
        next += 1;
        if header & 1 == 1 {
            found.or_octets(list);
        } else {
            differences(list, |document| found.set(document))?;
        }
    }
    Some(())
}

/// Adds the spans of the words of these ranks.
fn spanned(raw: &[u8], ranks: &[u32], spans: &mut Vec<Span>) -> Option<()> {
    let mut input = Input::new(raw);
    let mut start = input.small()?;
    let mut next = 0u32;
    for rank in ranks {
        while next < *rank {
            start = start.checked_add(input.small()?)?;
            next += 1;
        }
        let length = input.small()?;
        spans.push(Span { start, length });
        start = start.checked_add(length)?;
        next += 1;
    }
    Some(())
}

pub(super) fn differences(list: &[u8], mut take: impl FnMut(u32)) -> Option<()> {
    let mut input = Input::new(list);
    let mut last = 0u32;
    while !input.is_empty() {
        last = last.checked_add(input.small()?)?;
        take(last);
    }
    Some(())
}
