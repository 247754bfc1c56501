//! The words of a column in order, with their documents and positions: for merging.

use super::blocks::{BlockReader, Broken, Result};
use super::codec::Input;
use super::positions::{Span, SpanReader};
use super::tokens::{Block, Tokens, differences};
use mail::bits::Bits;

/// Goes through the words of a column.
pub(super) struct Words<'b> {
    tokens: &'b Tokens,
    blocks: std::slice::Iter<'b, Block>,
    total: usize,
    words: Vec<u8>,
    postings: Vec<u8>,
    spans: Vec<u8>,
    word: std::ops::Range<usize>,
    /// Where the next word's documents and span are said.
    posting: usize,
    next_span: usize,
    span: Span,
    reader: SpanReader,
}

impl<'b> Words<'b> {
    pub(super) fn of(tokens: &'b Tokens, total: usize) -> Self {
        Words {
            tokens,
            blocks: tokens.blocks.iter(),
            total,
            words: Vec::new(),
            postings: Vec::new(),
            spans: Vec::new(),
            word: 0..0,
            posting: 0,
            next_span: 0,
            span: Span { start: 0, length: 0 },
            reader: SpanReader::default(),
        }
    }

    /// Goes to the next word; its documents are put into `documents`. `false` at the end.
    pub(super) fn next(&mut self, file: &mut BlockReader<'_>, documents: &mut Vec<u32>) -> Result<bool> {
        if self.word.end + 1 >= self.words.len() {
            let Some(block) = self.blocks.next() else {
                self.word = 0..0;
                return Ok(false);
            };
            file.read(block.words, &mut self.words)?;
            file.read(block.documents, &mut self.postings)?;
            (self.word, self.posting, self.next_span) = (0..0, 0, 0);
            self.spans.clear();
            if let Some(spans) = block.spans {
                file.read(spans, &mut self.spans)?;
                let mut input = Input::new(&self.spans);
                self.span = Span { start: input.small().ok_or(Broken::Damaged)?, length: 0 };
                self.next_span = self.spans.len() - input.rest().len();
            }
        }
        let start = self.word.end + 1;
        let length = self.words.get(start..).and_then(|rest| memchr::memchr(b'\n', rest)).ok_or(Broken::Damaged)?;
        self.word = start..start + length;
        documents.clear();
        self.documents(documents).ok_or(Broken::Damaged)?;
        if !self.spans.is_empty() {
            self.spanned().ok_or(Broken::Damaged)?;
        }
        Ok(true)
    }

    fn documents(&mut self, documents: &mut Vec<u32>) -> Option<()> {
        let rest = self.postings.get(self.posting..)?;
        let mut input = Input::new(rest);
        let header = input.number()?;
        let list = input.take(usize::try_from(header >> 1).ok()?)?;
        self.posting += rest.len() - input.rest().len();
        if header & 1 == 1 {
            let mut bits = Bits::none(self.total);
            bits.or_octets(list);
            documents.extend(bits.iter());
            return Some(());
        }
        differences(list, |document| documents.push(document))
    }

    fn spanned(&mut self) -> Option<()> {
        let rest = self.spans.get(self.next_span..)?;
        let mut input = Input::new(rest);
        let start = self.span.start.checked_add(self.span.length)?;
        self.span = Span { start, length: input.small()? };
        self.next_span += rest.len() - input.rest().len();
        Some(())
    }

    pub(super) fn word(&self) -> &[u8] {
        &self.words[self.word.clone()]
    }

    /// Hands over the positions of the word.
    pub(super) fn positions(&mut self, file: &mut BlockReader<'_>, take: impl FnMut(u32) -> Result<()>) -> Result<()> {
        if self.spans.is_empty() {
            return Ok(());
        }
        self.reader.each(&self.tokens.positions, self.span, file, take)
    }
}
