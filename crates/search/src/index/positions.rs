//! Where the words of a column stand: one stream of octets, cut into blocks, in which each word has a [`Span`].
//!
//! All that stands between two blanks or boundaries has a position, whether or not it is empty, and so has each boundary: the
//! first document's from 0, the next one's after it, a boundary being the last of each. So two words are a blank apart if and
//! only if their positions follow each other, and no phrase reaches from a document into the next.
//!
//! A span holds the positions of a word, ascending: the first, then the differences, as numbers of seven bits an octet.

use super::blocks::{BlockReader, BlockWriter, Broken, Packing, Result};
use super::codec::{Input, Output};

/// Most positions of a segment's column: a phrase is sought with some bits for each, so this bounds what a search takes to a few
/// times 4 MiB. Some 250 MB of prose.
pub(super) const MAX_POSITIONS: u32 = 1 << 25;
/// Octets of a block: little to decrypt for a rare word.
const BLOCK: usize = 64 * 1024;

/// Where the positions of a word are in the stream. Positions being fewer than [`MAX_POSITIONS`], a stream is shorter than 4 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// The positions of a column.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// The blocks of the stream, all but the last of [`BLOCK`] octets.
    blocks: Vec<u32>,
    /// The first position of each document, and the first after them all.
    starts: Vec<u32>,
}

/// Writes the stream.
#[derive(Default)]
pub(super) struct PositionsWriter {
    blocks: Vec<u32>,
    stream: Output,
    /// Octets in closed blocks.
    closed: u32,
    /// The last position of this word.
    last: u32,
}

impl PositionsWriter {
    /// Begins a word.
    pub(super) fn begin(&mut self) {
        self.last = 0;
    }

    /// The next position of the word.
    pub(super) fn push(&mut self, position: u32, file: &mut BlockWriter) -> Result<()> {
        let difference = position.checked_sub(self.last).ok_or(Broken::Damaged)?;
        self.last = position;
        self.stream.number(u64::from(difference));
        if self.stream.octets.len() >= BLOCK { self.close(BLOCK, file) } else { Ok(()) }
    }

    /// Octets written.
    pub(super) fn length(&self) -> u32 {
        // Closed blocks are never shorter than a number.
        self.closed + self.stream.octets.len() as u32
    }

    fn close(&mut self, length: usize, file: &mut BlockWriter) -> Result<()> {
        self.blocks.push(file.write(&self.stream.octets[..length], Packing::IfWorth)?);
        self.stream.octets.drain(..length);
        self.closed += length as u32;
        Ok(())
    }

    /// Ends the stream; `lengths`: how many positions each document has.
    pub(super) fn finish(
        mut self,
        lengths: impl ExactSizeIterator<Item = u32>,
        file: &mut BlockWriter,
        memory: &mut Output,
    ) -> Result<()> {
        if !self.stream.octets.is_empty() {
            self.close(self.stream.octets.len(), file)?;
        }
        memory.number(self.blocks.len() as u64);
        self.blocks.iter().for_each(|block| memory.number(u64::from(*block)));
        memory.number(lengths.len() as u64);
        lengths.for_each(|length| memory.number(u64::from(length)));
        Ok(())
    }
}

impl Positions {
    pub(super) fn read(memory: &mut Input<'_>, total: usize) -> Option<Self> {
        let count = memory.count()?;
        let blocks = (0..count).map(|_| memory.small()).collect::<Option<_>>()?;
        if memory.count()? != total {
            return None;
        }
        let mut starts = Vec::with_capacity(total + 1);
        let mut next = 0u32;
        starts.push(next);
        for _ in 0..total {
            next = next.checked_add(memory.small()?).filter(|next| *next <= MAX_POSITIONS)?;
            starts.push(next);
        }
        Some(Positions { blocks, starts })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The positions of a document.
    pub(super) fn of(&self, document: u32) -> std::ops::Range<u32> {
        match self.starts.get(document as usize..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        }
    }

    /// Ready to tell of many positions in which documents they are.
    pub(super) fn places(&self) -> Places<'_> {
        let (mut pages, mut document) = (Vec::with_capacity((self.count() / PAGE) as usize + 2), 0);
        for page in 0..=self.count() / PAGE + 1 {
            while self.starts.get(document + 1).is_some_and(|end| *end <= page * PAGE) {
                document += 1;
            }
            // Documents are fewer than positions, which fit.
            pages.push(document as u32);
        }
        Places { starts: &self.starts, pages }
    }
}

/// Positions that [`Places`] keeps a document for: about as many as a message has.
const PAGE: u32 = 1024;

/// In which documents positions are.
pub(super) struct Places<'p> {
    starts: &'p [u32],
    /// The document of each [`PAGE`]-th position.
    pages: Vec<u32>,
}

impl Places<'_> {
    /// The document that a position is in; for one beyond all, any.
    pub(super) fn document(&self, position: u32) -> u32 {
        let page = (position / PAGE) as usize;
        let Some([first, last, ..]) = self.pages.get(page..) else { return 0 };
        // Between these, mostly none or one.
        let between = self.starts.get(*first as usize + 1..*last as usize + 1).unwrap_or_default();
        first + between.partition_point(|start| *start <= position) as u32
    }
}

/// Reads spans; fast when they come in the order of the stream.
#[derive(Default)]
pub(super) struct SpanReader {
    /// Which block is at hand.
    block: Option<usize>,
    raw: Vec<u8>,
}

impl SpanReader {
    /// Hands over the positions in a span, as they are stored.
    pub(super) fn each(
        &mut self,
        positions: &Positions,
        span: Span,
        file: &mut BlockReader<'_>,
        mut take: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        let (mut at, mut left) = (span.start as usize, span.length as usize);
        let mut numbers = Numbers::default();
        while left > 0 {
            let block = at / BLOCK;
            if self.block != Some(block) {
                self.block = None;
                let number = *positions.blocks.get(block).ok_or(Broken::Damaged)?;
                file.read(number, &mut self.raw)?;
                self.block = Some(block);
            }
            let from = at % BLOCK;
            let length = left.min(BLOCK - from);
            let octets = self.raw.get(from..from + length).ok_or(Broken::Damaged)?;
            numbers.push(octets, &mut take)?;
            at += length;
            left -= length;
        }
        if numbers.shift > 0 { Err(Broken::Damaged) } else { Ok(()) }
    }
}

/// Reads positions from pieces of a span.
#[derive(Default)]
struct Numbers {
    last: u32,
    /// What is read of a difference that lies across two pieces.
    begun: u32,
    shift: u32,
}

impl Numbers {
    #[inline]
    fn push(&mut self, octets: &[u8], take: &mut impl FnMut(u32) -> Result<()>) -> Result<()> {
        let (mut last, mut begun, mut shift) = (self.last, self.begun, self.shift);
        for octet in octets {
            if shift > 21 {
                // No difference between positions has more than four octets.
                return Err(Broken::Damaged);
            }
            begun |= u32::from(octet & 0x7f) << shift;
            if octet & 0x80 != 0 {
                shift += 7;
                continue;
            }
            // Sums stay below 2^32: one more than MAX_POSITIONS is refused, and a difference is below 2^28.
            last += begun;
            if last >= MAX_POSITIONS {
                return Err(Broken::Damaged);
            }
            take(last)?;
            (begun, shift) = (0, 0);
        }
        (self.last, self.begun, self.shift) = (last, begun, shift);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Blocks;
    use super::*;

    #[test]
    fn spans_over_blocks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let words: Vec<Vec<u32>> = vec![
            (0..100_000).map(|n| n * 301).collect(),
            vec![0],
            vec![MAX_POSITIONS - 1],
            vec![],
            (0..50_000).map(|n| n * n % 70_000).collect::<std::collections::BTreeSet<u32>>().into_iter().collect(),
        ];
        let lengths = [3u32, 0, 1500, 0, 0, 1, 2048, 90_000];
        let mut file = BlockWriter::create(&path, &[7; 32], [1; 16]).expect("a file");
        let (mut writer, mut spans, mut memory) = (PositionsWriter::default(), Vec::new(), Output::default());
        for word in &words {
            let start = writer.length();
            writer.begin();
            word.iter().for_each(|position| writer.push(*position, &mut file).expect("written"));
            spans.push(Span { start, length: writer.length() - start });
        }
        writer.begin();
        writer.push(5, &mut file).expect("written");
        assert!(writer.push(4, &mut file).is_err(), "positions ascend");
        writer.finish(lengths.into_iter(), &mut file, &mut memory).expect("written");
        file.finish(&memory.octets).expect("written");
        let (blocks, memory) = Blocks::open(&path, &[7; 32], [1; 16]).expect("opened");
        let positions = Positions::read(&mut Input::new(&memory), lengths.len()).expect("read");
        assert!(Positions::read(&mut Input::new(&memory), lengths.len() + 1).is_none());
        assert!(positions.blocks.len() > 2);
        let (mut file, mut reader) = (blocks.reader().expect("read"), SpanReader::default());
        for n in [4, 0, 1, 3, 2, 0] {
            let mut read = Vec::new();
            let take = |position| {
                read.push(position);
                Ok(())
            };
            reader.each(&positions, spans[n], &mut file, take).expect("read");
            assert_eq!(read, words[n]);
        }
        // Beyond the stream, and in the middle of a number.
        let cut = Span { start: 0, length: spans[0].length - 1 };
        let beyond = Span { start: spans[4].start, length: spans[4].length + 100 };
        for span in [cut, beyond] {
            assert!(reader.each(&positions, span, &mut file, |_| Ok(())).is_err());
        }
        let places = positions.places();
        for (document, length) in (0u32..).zip(lengths) {
            assert_eq!(positions.of(document).len(), length as usize);
            assert!(positions.of(document).all(|position| places.document(position) == document));
        }
        assert_eq!(positions.of(8), 0..0);
        places.document(u32::MAX);
    }

    #[test]
    fn more_positions_than_there_may_be() {
        let mut memory = Output::default();
        memory.number(0);
        memory.number(2);
        memory.number(u64::from(MAX_POSITIONS));
        memory.number(0);
        assert!(Positions::read(&mut Input::new(&memory.octets), 2).is_some());
        *memory.octets.last_mut().expect("some") = 1;
        assert!(Positions::read(&mut Input::new(&memory.octets), 2).is_none());
    }
}
