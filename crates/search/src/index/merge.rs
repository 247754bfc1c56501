//! Several segments made one, without the documents nobody asks for any more.
//!
//! Streamed: in memory are a page or a block of words of each segment, and never their content as a whole.

use std::path::Path;

use super::bits::Bits;
use super::blocks::{BlockReader, BlockWriter, Id, Result};
use super::codec::Output;
use super::segment::{Columns, Segment, begin};
use super::texts::{Texts, TextsWriter};
use super::tokens::{Tokens, TokensWriter, Words};
use crate::document::ENVELOPE;

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
        texts(&mut sources, |c| &c.envelope[field], &mut out, &mut memory)?;
    }
    words(&mut sources, |c| &c.names, total, &mut out, &mut memory)?;
    words(&mut sources, |c| &c.head_words, total, &mut out, &mut memory)?;
    texts(&mut sources, |c| &c.head, &mut out, &mut memory)?;
    words(&mut sources, |c| &c.body_words, total, &mut out, &mut memory)?;
    texts(&mut sources, |c| &c.body, &mut out, &mut memory)?;
    out.finish(&memory.octets)
}

fn texts(
    sources: &mut [Source<'_>],
    column: impl Fn(&Columns) -> &Texts,
    out: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TextsWriter::default();
    for source in sources {
        column(&source.segment.columns).copy(&mut source.file, &source.kept, &mut writer, out)?;
    }
    writer.finish(out, memory)
}

fn words(
    sources: &mut [Source<'_>],
    column: impl Fn(&Columns) -> &Tokens,
    total: usize,
    out: &mut BlockWriter,
    memory: &mut Output,
) -> Result<()> {
    let mut writer = TokensWriter::new(total);
    let mut cursors = Vec::new();
    for source in sources.iter_mut() {
        let mut words = Words::of(column(&source.segment.columns), source.segment.total());
        let mut documents = Vec::new();
        if words.next(&mut source.file, &mut documents)? {
            cursors.push((words, documents, source));
        }
    }
    let (mut word, mut joined) = (Vec::new(), Vec::new());
    while let Some(least) = cursors.iter().map(|(words, ..)| words.word()).min() {
        word.clear();
        word.extend_from_slice(least);
        joined.clear();
        let mut i = 0;
        // Sources are in the order of their documents' new numbers, so what is joined is ascending.
        while let Some((words, documents, source)) = cursors.get_mut(i) {
            if words.word() == word {
                let kept = documents.iter().filter(|n| source.kept.has(**n));
                joined.extend(kept.filter_map(|n| source.renumbered.get(*n as usize)));
                if !words.next(&mut source.file, documents)? {
                    cursors.remove(i);
                    continue;
                }
            }
            i += 1;
        }
        if !joined.is_empty() {
            writer.push(&word, &joined, out)?;
        }
    }
    writer.finish(out, memory)
}
