//! Several segments made one, without the documents nobody asks for any more.
//!
//! Streamed: in memory are a page or a block of words and of positions of each segment, and never their content as a whole.

use std::path::Path;

use super::blocks::{BlockReader, BlockWriter, Broken, Id, Packing, Result};
use super::codec::Output;
use super::positions::{MAX_POSITIONS, Positions};
use super::segment::{Columns, Segment, begin};
use super::texts::{Texts, TextsWriter};
use super::tokens::{Tokens, TokensWriter};
use super::words::Words;
use crate::document::ENVELOPE;
use mail::bits::Bits;

/// A segment to be merged.
struct Source<'s> {
    segment: &'s Segment,
    kept: Bits,
    /// For each document, its number in the merged segment.
    renumbered: Vec<u32>,
    file: BlockReader<'s>,
}

/// Merges into a new file.
pub(super) fn merge(
    path: &Path,
    key: &[u8; 32],
    id: Id,
    segments: &[&Segment],
    alive: &dyn Fn(u64) -> bool,
) -> Result<()> {
    let mut sources = Vec::new();
    let mut documents = Vec::new();
    for segment in segments {
        let mut kept = Bits::none(segment.total());
        let mut renumbered = vec![0; segment.total()];
        for ((n, body), number) in (0u32..).zip(&segment.bodies).zip(&mut renumbered) {
            if alive(*body) {
                kept.set(n);
                *number = documents.len() as u32;
                documents.push((*body, segment.whole.has(n)));
            }
        }
        sources.push(Source { segment, kept, renumbered, file: segment.blocks.reader()? });
    }
    let mut out = BlockWriter::create(path, key, id)?;
    let mut memory = Output::default();
    let replaces: Vec<Id> = segments.iter().map(|s| s.id).collect();
    let total = documents.len();
    begin(&mut memory, &replaces, documents.into_iter());
    for field in 0..ENVELOPE.len() {
        texts(&mut sources, |c| &c.envelope[field], Packing::Never, &mut out, &mut memory)?;
    }
    words(&mut sources, |c| &c.names, false, total, &mut out, &mut memory)?;
    words(&mut sources, |c| &c.head_words, true, total, &mut out, &mut memory)?;
    texts(&mut sources, |c| &c.head, Packing::IfWorth, &mut out, &mut memory)?;
    words(&mut sources, |c| &c.body_words, true, total, &mut out, &mut memory)?;
    out.finish(&memory.octets)
}

fn texts(
    sources: &mut [Source<'_>],
    column: impl Fn(&Columns) -> &Texts,
    packing: Packing,
    out: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TextsWriter::new(packing);
    for source in sources {
        column(&source.segment.columns).copy(&mut source.file, &source.kept, &mut writer, out)?;
    }
    writer.finish(out, memory)
}

/// Where the documents of a source begin in the merged column.
struct Moved<'s> {
    positions: &'s Positions,
    /// For each document; those that are dropped, too.
    starts: Vec<u32>,
    /// All are kept, so that all move as far.
    together: bool,
}

impl<'s> Moved<'s> {
    /// Of the next source, whose documents come at `next`.
    fn next(positions: &'s Positions, source: &Source<'_>, next: &mut u32) -> Result<Self> {
        let (mut starts, mut together) = (Vec::with_capacity(source.renumbered.len()), true);
        for n in 0..source.renumbered.len() as u32 {
            starts.push(*next);
            if source.kept.has(n) {
                let length = positions.of(n).len() as u32;
                *next = next.checked_add(length).filter(|next| *next <= MAX_POSITIONS).ok_or(Broken::Damaged)?;
            } else {
                together = false;
            }
        }
        Ok(Moved { positions, starts, together })
    }

    /// How many positions the kept documents have, one after the other.
    fn lengths(&self, kept: &Bits) -> impl Iterator<Item = u32> {
        kept.iter().map(|n| self.positions.of(n).len() as u32)
    }

    /// Copies the positions of a word, which is in these documents.
    fn copy(
        &self,
        words: &mut Words<'_>,
        documents: &[u32],
        source: &mut Source<'_>,
        writer: &mut TokensWriter,
        out: &mut BlockWriter,
    ) -> Result<()> {
        if self.together {
            let shift = self.starts.first().copied().unwrap_or(0);
            return words.positions(&mut source.file, |position| writer.stands(position + shift, out));
        }
        let mut documents = documents.iter();
        let (mut here, mut start) = (0..0, None);
        let kept = &source.kept;
        words.positions(&mut source.file, |position| {
            while !here.contains(&position) {
                let document = *documents.next().ok_or(Broken::Damaged)?;
                here = self.positions.of(document);
                start = self.starts.get(document as usize).copied().filter(|_| kept.has(document));
            }
            start.map_or(Ok(()), |start| writer.stands(start + (position - here.start), out))
        })
    }
}

fn words(
    sources: &mut [Source<'_>],
    column: impl Fn(&Columns) -> &Tokens,
    positioned: bool,
    total: usize,
    out: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TokensWriter::new(total, positioned);
    let (mut cursors, mut lengths, mut next) = (Vec::new(), Vec::new(), 0);
    for source in sources.iter_mut() {
        let tokens = column(&source.segment.columns);
        let moved = Moved::next(&tokens.positions, source, &mut next)?;
        lengths.extend(moved.lengths(&source.kept));
        let mut words = Words::of(tokens, source.segment.total());
        let mut documents = Vec::new();
        if words.next(&mut source.file, &mut documents)? {
            cursors.push(Cursor { words, documents, moved, source });
        }
    }
    let (mut word, mut joined) = (Vec::new(), Vec::new());
    while let Some(least) = cursors.iter().map(|cursor| cursor.words.word()).min() {
        word.clear();
        word.extend_from_slice(least);
        joined.clear();
        // Sources are in the order of their documents' new numbers, so what is joined is ascending.
        for cursor in cursors.iter().filter(|cursor| cursor.words.word() == word) {
            let kept = cursor.documents.iter().filter(|n| cursor.source.kept.has(**n));
            joined.extend(kept.filter_map(|n| cursor.source.renumbered.get(*n as usize)));
        }
        if !joined.is_empty() {
            writer.push(&word, &joined, out)?;
        }
        let mut i = 0;
        while let Some(Cursor { words, documents, moved, source }) = cursors.get_mut(i) {
            if words.word() == word {
                if positioned && !joined.is_empty() {
                    moved.copy(words, documents, source, &mut writer, out)?;
                }
                if !words.next(&mut source.file, documents)? {
                    cursors.remove(i);
                    continue;
                }
            }
            i += 1;
        }
    }
    writer.finish(lengths.into_iter(), out, memory)
}

/// How far a source is.
struct Cursor<'a, 's> {
    words: Words<'a>,
    documents: Vec<u32>,
    moved: Moved<'a>,
    source: &'a mut Source<'s>,
}
