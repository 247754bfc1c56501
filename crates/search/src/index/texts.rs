//! A column of texts: one per document, in blocks. Each text ends with a [`BOUNDARY`](crate::BOUNDARY).
//!
//! A block: how many texts, their lengths, the texts. A text never lies in two blocks.

use super::blocks::{BlockReader, BlockWriter, Broken, Packing, Result};
use super::codec::{Input, Output};
use mail::bits::Bits;

/// Octets after which a block is closed: large enough to compress well, small enough to read one text quickly.
const BLOCK: usize = 64 * 1024;

/// Where the texts of a column are.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// For each block, the number of its first document and its own.
    blocks: Vec<(u32, u32)>,
}

/// Writes a column. Several may be written to one file at a time.
pub(super) struct TextsWriter {
    packing: Packing,
    blocks: Vec<(u32, u32)>,
    first: u32,
    lengths: Vec<usize>,
    texts: Vec<u8>,
}

impl TextsWriter {
    pub(super) fn new(packing: Packing) -> Self {
        TextsWriter { packing, blocks: Vec::new(), first: 0, lengths: Vec::new(), texts: Vec::new() }
    }

    /// The text of the next document, without its boundary.
    pub(super) fn push(&mut self, text: &[u8], file: &mut BlockWriter) -> Result<()> {
        self.texts.extend_from_slice(text);
        self.texts.push(b'\n');
        self.lengths.push(text.len() + 1);
        if self.texts.len() >= BLOCK { self.close(file) } else { Ok(()) }
    }

    /// A block of another column as it is: `count` texts.
    pub(super) fn push_block(&mut self, raw: &[u8], count: u32, file: &mut BlockWriter) -> Result<()> {
        self.close(file)?;
        self.blocks.push((self.first, file.write(raw, self.packing)?));
        self.first += count;
        Ok(())
    }

    fn close(&mut self, file: &mut BlockWriter) -> Result<()> {
        if self.lengths.is_empty() {
            return Ok(());
        }
        let mut raw = Output::default();
        raw.number(self.lengths.len() as u64);
        for length in &self.lengths {
            raw.number(*length as u64);
        }
        raw.octets.append(&mut self.texts);
        self.blocks.push((self.first, file.write(&raw.octets, self.packing)?));
        self.first += self.lengths.len() as u32;
        self.lengths.clear();
        Ok(())
    }

    /// Ends the column.
    pub(super) fn finish(mut self, file: &mut BlockWriter, memory: &mut Output) -> Result<()> {
        self.close(file)?;
        memory.number(self.blocks.len() as u64);
        for (first, block) in self.blocks {
            memory.number(u64::from(first));
            memory.number(u64::from(block));
        }
        Ok(())
    }
}

/// A block read: its texts.
pub(super) struct Page<'r> {
    /// The number of the first document.
    pub(super) first: u32,
    /// Where each text ends in `texts`.
    pub(super) ends: &'r [usize],
    pub(super) texts: &'r [u8],
}

impl Page<'_> {
    /// The text of the n-th document of the page.
    fn text(&self, n: usize) -> &[u8] {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[n]]
    }
}

impl Texts {
    pub(super) fn read(memory: &mut Input<'_>) -> Option<Self> {
        let count = memory.count()?;
        let blocks = (0..count).map(|_| Some((memory.small()?, memory.small()?))).collect::<Option<Vec<_>>>()?;
        blocks.is_sorted_by(|a, b| a.0 < b.0).then_some(Texts { blocks })
    }

    /// Hands over the pages that hold some of the documents, in order, as they are stored too.
    pub(super) fn pages(
        &self,
        file: &mut BlockReader<'_>,
        documents: &Bits,
        mut take: impl FnMut(&Page<'_>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (mut raw, mut ends) = (Vec::new(), Vec::new());
        for (i, (first, block)) in self.blocks.iter().enumerate() {
            let end = self.blocks.get(i + 1).map_or(usize::MAX, |b| b.0 as usize);
            if !documents.has_some(*first as usize..end) {
                continue;
            }
            file.read(*block, &mut raw)?;
            let mut input = Input::new(&raw);
            let at = read_ends(&mut input, &mut ends).ok_or(Broken::Damaged)?;
            let texts = input.rest();
            if at != texts.len() {
                return Err(Broken::Damaged);
            }
            take(&Page { first: *first, ends: &ends, texts }, &raw)?;
        }
        Ok(())
    }

    /// Adds to `found` those of the documents whose text satisfies; `quick` finds the first place in octets where it might.
    pub(super) fn search(
        &self,
        file: &mut BlockReader<'_>,
        documents: &Bits,
        quick: impl Fn(&[u8]) -> Option<usize>,
        satisfies: impl Fn(&[u8]) -> bool,
        found: &mut Bits,
    ) -> Result<()> {
        self.pages(file, documents, |page, _| {
            // Nothing is found across a boundary: the whole page is gone through at once, a document left at its first hit.
            let (mut at, mut n) = (0, 0);
            while let Some(hit) = quick(&page.texts[at..]) {
                n += ended(&page.ends[n..], at + hit);
                let Some(end) = page.ends.get(n) else { break };
                let document = page.first + n as u32;
                if documents.has(document) && !found.has(document) && satisfies(page.text(n)) {
                    found.set(document);
                }
                at = *end;
            }
            Ok(())
        })
    }

    /// Copies the column without the documents that are not `kept`.
    pub(super) fn copy(
        &self,
        file: &mut BlockReader<'_>,
        kept: &Bits,
        into: &mut TextsWriter,
        out: &mut BlockWriter,
    ) -> Result<()> {
        self.pages(file, kept, |page, raw| {
            let documents = || (0..page.ends.len()).filter(|n| kept.has(page.first + *n as u32));
            // Small pages are joined, whole large ones pass as they are.
            if page.texts.len() >= BLOCK / 2 && documents().count() == page.ends.len() {
                return into.push_block(raw, page.ends.len() as u32, out);
            }
            for n in documents() {
                let text = page.text(n);
                into.push(text.strip_suffix(b"\n").unwrap_or(text), out)?;
            }
            Ok(())
        })
    }
}

/// Reads the lengths of a page; answers where the last text ends.
fn read_ends(input: &mut Input<'_>, ends: &mut Vec<usize>) -> Option<usize> {
    let count = input.count()?;
    ends.clear();
    ends.reserve(count);
    let mut at = 0usize;
    for _ in 0..count {
        at = at.checked_add(usize::try_from(input.number()?).ok()?)?;
        ends.push(at);
    }
    Some(at)
}

/// How many of the texts end at or before a place: none or few, mostly.
fn ended(ends: &[usize], at: usize) -> usize {
    let mut step = 1;
    while ends.get(step - 1).is_some_and(|end| *end <= at) {
        step *= 2;
    }
    let (from, to) = (step / 2, step.min(ends.len()));
    from + ends[from..to].partition_point(|end| *end <= at)
}

#[cfg(test)]
mod tests {
    use super::ended;

    #[test]
    fn texts_that_ended() {
        let ends: Vec<usize> = (1..40).map(|n| n * 3).chain([200, 200, 201]).collect();
        for from in 0..=ends.len() {
            for at in 0..210 {
                assert_eq!(ended(&ends[from..], at), ends[from..].partition_point(|end| *end <= at), "{from} {at}");
            }
        }
    }
}
