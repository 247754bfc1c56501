//! The words of the documents of a new segment, with where they stand.

use std::collections::HashMap;
use std::io;

use super::blocks::{BlockWriter, Result};
use super::codec::Output;
use super::positions::MAX_POSITIONS;
use super::tokens::{BOUNDARY, SPACE, TokensWriter};

/// Stands for the empty word between two blanks, which is no word of the column.
const NONE: u32 = u32::MAX;

/// Gathers the words of documents.
#[derive(Default)]
pub(super) struct Gathering<'t> {
    numbers: HashMap<&'t [u8], u32>,
    /// The words, by number, and the document each was met in last.
    words: Vec<(&'t [u8], u32)>,
    /// Each word of each document once, with the document.
    documents: Vec<(u32, u32)>,
    /// The word at each position.
    standing: Vec<u32>,
    /// How many positions each document has.
    lengths: Vec<u32>,
}

impl<'t> Gathering<'t> {
    /// The words of a text and where they are; one text for each document, in order.
    pub(super) fn text(&mut self, document: u32, text: &'t str) {
        let text = text.strip_suffix('\n').unwrap_or(text).as_bytes();
        let (first, mut from, mut spaces) = (self.standing.len(), 0, false);
        for at in memchr::memchr2_iter(b' ', b'\n', text).chain([text.len()]) {
            let word = if at > from { self.word(document, &text[from..at]) } else { NONE };
            self.standing.push(word);
            from = at + 1;
            if text.get(at) == Some(&b' ') {
                spaces = true;
            } else {
                let boundary = self.word(document, BOUNDARY);
                self.standing.push(boundary);
            }
        }
        if spaces {
            self.word(document, SPACE);
        }
        // Of one text in memory, of a bounded length.
        self.lengths.push((self.standing.len() - first) as u32);
    }

    /// A word of a document, wherever it is; documents come in ascending order. Answers the word's number.
    pub(super) fn word(&mut self, document: u32, word: &'t [u8]) -> u32 {
        // Words are of documents in memory: their numbers fit.
        let next = self.words.len() as u32;
        let number = *self.numbers.entry(word).or_insert(next);
        match self.words.get_mut(number as usize) {
            Some((_, last)) if *last == document => return number,
            Some((_, last)) => *last = document,
            None => self.words.push((word, document)),
        }
        self.documents.push((number, document));
        number
    }

    /// Writes them; `positioned`: with where they are.
    pub(super) fn write(
        self,
        total: usize,
        positioned: bool,
        file: &mut BlockWriter,
        memory: &mut Output,
    ) -> Result<()> {
        if self.standing.len() > MAX_POSITIONS as usize {
            // The caller was to give less at once.
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        drop(self.numbers);
        let documents = Grouped::of(self.documents.iter().copied(), self.words.len());
        drop(self.documents);
        // At most MAX_POSITIONS, as was seen.
        let standing = self.standing.iter().zip(0..).filter(|(word, _)| **word != NONE);
        let positions = Grouped::of(standing.map(|(word, at)| (*word, at)), self.words.len());
        drop(self.standing);
        let mut words: Vec<(&[u8], u32)> = (0..).zip(self.words).map(|(number, (word, _))| (word, number)).collect();
        words.sort_unstable();
        let mut writer = TokensWriter::new(total, positioned);
        for (word, number) in words {
            writer.push(word, documents.of_word(number), file)?;
            for position in positions.of_word(number) {
                writer.stands(*position, file)?;
            }
        }
        writer.finish(self.lengths.into_iter(), file, memory)
    }
}

/// Where words are, word by word.
struct Grouped {
    /// Where those of each word end, and where the first begins.
    ends: Vec<u32>,
    all: Vec<u32>,
}

impl Grouped {
    /// Of words by number, each with a place where it is.
    fn of(standing: impl Iterator<Item = (u32, u32)> + Clone, words: usize) -> Self {
        let mut ends = vec![0u32; words + 1];
        standing.clone().for_each(|(word, _)| ends[word as usize + 1] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        let mut all = vec![0; sum as usize];
        // Where each begins, moved to its end as it is filled.
        let mut next = ends.clone();
        for (word, at) in standing {
            let slot = &mut next[word as usize];
            all[*slot as usize] = at;
            *slot += 1;
        }
        Grouped { ends, all }
    }

    fn of_word(&self, number: u32) -> &[u32] {
        let n = number as usize;
        &self.all[self.ends[n] as usize..self.ends[n + 1] as usize]
    }
}
