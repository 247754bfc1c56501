//! A column of tokens: which documents hold which word, a word being all that stands between two spaces or boundaries.
//!
//! A text without a space is in a document if and only if it is in one of its words: the words are gone through, the documents
//! of those that have the text are joined, and the answer is exact although no document was read. That is why words and not
//! trigrams: what a trigram index finds must be verified in the texts, which takes as long as there are matches. Of a text
//! with spaces, the words give the candidates (the first ends with its first piece, the last begins with its last).
//!
//! Words lie in blocks, sorted, each between two line feeds; in a block of the same rank lie the documents of each: how many
//! octets and a bit that tells a bitmap from differences, then those. The word `" "` stands in every document that has a space.

use std::collections::HashMap;

use memchr::memmem::Finder;

use super::bits::Bits;
use super::blocks::{BlockReader, BlockWriter, Broken, Result};
use super::codec::{Input, Output};

/// Octets of words after which a block is closed.
const BLOCK: usize = 64 * 1024;
/// The word that says "some space".
const SPACE: &[u8] = b" ";

/// Where words and documents are: for each block of words its number, and that of the documents.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    blocks: Vec<(u32, u32)>,
}

/// Gathers the words of documents.
#[derive(Default)]
pub(super) struct Gathering<'t> {
    words: HashMap<&'t [u8], Vec<u32>>,
}

impl<'t> Gathering<'t> {
    /// The words of a text of a document; documents come in ascending order.
    pub(super) fn text(&mut self, document: u32, text: &'t str) {
        for word in text.split([' ', '\n']) {
            if !word.is_empty() {
                self.word(document, word.as_bytes());
            }
        }
        if text.contains(' ') {
            self.word(document, SPACE);
        }
    }

    /// One word of a document.
    pub(super) fn word(&mut self, document: u32, word: &'t [u8]) {
        let documents = self.words.entry(word).or_default();
        if documents.last() != Some(&document) {
            documents.push(document);
        }
    }

    /// Writes them.
    pub(super) fn write(self, total: usize, file: &mut BlockWriter, memory: &mut Output) -> Result<()> {
        let mut words: Vec<(&[u8], Vec<u32>)> = self.words.into_iter().collect();
        words.sort_unstable_by_key(|(word, _)| *word);
        let mut writer = TokensWriter::new(total);
        for (word, documents) in words {
            writer.push(word, &documents, file)?;
        }
        writer.finish(file, memory)
    }
}

/// Writes a column.
pub(super) struct TokensWriter {
    total: usize,
    blocks: Vec<(u32, u32)>,
    words: Vec<u8>,
    postings: Output,
}

impl TokensWriter {
    /// For `total` documents.
    pub(super) fn new(total: usize) -> Self {
        TokensWriter { total, blocks: Vec::new(), words: Vec::new(), postings: Output::default() }
    }

    /// The next word in order, and its documents, ascending.
    pub(super) fn push(&mut self, word: &[u8], documents: &[u32], file: &mut BlockWriter) -> Result<()> {
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
        if self.words.len() >= BLOCK { self.close(file) } else { Ok(()) }
    }

    fn close(&mut self, file: &mut BlockWriter) -> Result<()> {
        if self.words.is_empty() {
            return Ok(());
        }
        self.words.push(b'\n');
        self.blocks.push((file.write(&self.words)?, file.write(&self.postings.octets)?));
        self.words.clear();
        self.postings.octets.clear();
        Ok(())
    }

    /// Ends the column.
    pub(super) fn finish(mut self, file: &mut BlockWriter, memory: &mut Output) -> Result<()> {
        self.close(file)?;
        memory.number(self.blocks.len() as u64);
        for (words, documents) in self.blocks {
            memory.number(u64::from(words));
            memory.number(u64::from(documents));
        }
        Ok(())
    }
}

/// Which words are looked for.
struct Wanted {
    finder: Finder<'static>,
}

impl Wanted {
    fn new(pattern: &[&[u8]]) -> Self {
        Wanted { finder: Finder::new(&pattern.concat()).into_owned() }
    }
}

/// What the words tell of a text, about the documents asked for.
pub(super) struct Told {
    /// They have it.
    pub(super) proven: Bits,
    /// They may have it: their texts must be looked at.
    pub(super) possible: Bits,
}

impl Tokens {
    pub(super) fn read(memory: &mut Input<'_>) -> Option<Self> {
        let count = memory.count()?;
        let blocks = (0..count).map(|_| Some((memory.small()?, memory.small()?))).collect::<Option<_>>()?;
        Some(Tokens { blocks })
    }

    /// The documents that have exactly that word.
    pub(super) fn exactly(&self, file: &mut BlockReader<'_>, word: &[u8], asked: &Bits, total: usize) -> Result<Bits> {
        let (mut found, _) = self.find(file, &[Wanted::new(&[b"\n", word, b"\n"])], asked, total, 0)?;
        Ok(found.pop().unwrap_or_else(|| Bits::none(total)))
    }

    /// Which of the documents asked for have the text, or may have it. As soon as no more than `few` are not known to have it,
    /// these may be called possible.
    pub(super) fn search(
        &self,
        file: &mut BlockReader<'_>,
        text: &[u8],
        asked: &Bits,
        total: usize,
        few: usize,
    ) -> Result<Told> {
        let mut wanted = Vec::new();
        let proven = if text == SPACE {
            wanted.push(Wanted::new(&[b"\n", SPACE, b"\n"]));
            true
        } else {
            let pieces: Vec<&[u8]> = text.split(|b| *b == b' ').collect();
            match pieces.as_slice() {
                [word] => wanted.push(Wanted::new(&[word])),
                [first, inner @ .., last] => {
                    if !first.is_empty() {
                        wanted.push(Wanted::new(&[first, b"\n"]));
                    }
                    wanted.extend(inner.iter().map(|word| Wanted::new(&[b"\n", word, b"\n"])));
                    if !last.is_empty() {
                        wanted.push(Wanted::new(&[b"\n", last]));
                    }
                }
                [] => {}
            }
            pieces.len() == 1
        };
        let (all, complete) = self.find(file, &wanted, asked, total, if proven { few } else { 0 })?;
        let mut documents = asked.clone();
        for found in all {
            documents.and(&found);
        }
        let none = Bits::none(total);
        Ok(match (proven, complete) {
            (true, true) => Told { proven: documents, possible: none },
            (true, false) => {
                let mut possible = asked.clone();
                possible.and_not(&documents);
                Told { proven: documents, possible }
            }
            (false, _) => Told { proven: none, possible: documents },
        })
    }

    /// For each pattern, the documents of the words that have it; and whether all words were gone through that could add one
    /// of those asked for. With `few`, it may stop when so many or fewer are left.
    fn find(
        &self,
        file: &mut BlockReader<'_>,
        wanted: &[Wanted],
        asked: &Bits,
        total: usize,
        few: usize,
    ) -> Result<(Vec<Bits>, bool)> {
        let mut complete = true;
        let mut found = vec![Bits::none(total); wanted.len()];
        let mut over = vec![false; wanted.len()];
        let (mut words, mut postings, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (number, documents)) in self.blocks.iter().enumerate() {
            if over.iter().all(|over| *over) {
                break;
            }
            file.read(*number, &mut words)?;
            let mut read = false;
            for ((wanted, found), over) in wanted.iter().zip(&mut found).zip(&mut over) {
                if *over {
                    continue;
                }
                hits(&words, &wanted.finder, &mut ranks);
                if ranks.is_empty() {
                    continue;
                }
                if !read {
                    file.read(*documents, &mut postings)?;
                    read = true;
                }
                join(&postings, &ranks, found).ok_or(Broken::Damaged)?;
                let left = asked.missing_in(found);
                // Reading a text costs about what a block of words with its documents does.
                *over = left == 0 || left <= few && left < self.blocks.len() - i;
                complete &= !*over || left == 0;
            }
        }
        Ok((found, complete))
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

fn differences(list: &[u8], mut take: impl FnMut(u32)) -> Option<()> {
    let mut input = Input::new(list);
    let mut last = 0u32;
    while !input.is_empty() {
        last = last.checked_add(input.small()?)?;
        take(last);
    }
    Some(())
}

/// The words of a column in order, with their documents: for merging.
pub(super) struct Words<'b> {
    blocks: std::slice::Iter<'b, (u32, u32)>,
    total: usize,
    words: Vec<u8>,
    postings: Vec<u8>,
    word: std::ops::Range<usize>,
    posting: usize,
}

impl<'b> Words<'b> {
    pub(super) fn of(tokens: &'b Tokens, total: usize) -> Self {
        Words { blocks: tokens.blocks.iter(), total, words: Vec::new(), postings: Vec::new(), word: 0..0, posting: 0 }
    }

    /// Goes to the next word; its documents are put into `documents`. `false` at the end.
    pub(super) fn next(&mut self, file: &mut BlockReader<'_>, documents: &mut Vec<u32>) -> Result<bool> {
        if self.word.end + 1 >= self.words.len() {
            let Some((words, postings)) = self.blocks.next() else {
                self.word = 0..0;
                return Ok(false);
            };
            file.read(*words, &mut self.words)?;
            file.read(*postings, &mut self.postings)?;
            (self.word, self.posting) = (0..0, 0);
        }
        let start = self.word.end + 1;
        let length = self.words.get(start..).and_then(|rest| memchr::memchr(b'\n', rest)).ok_or(Broken::Damaged)?;
        self.word = start..start + length;
        documents.clear();
        self.documents(documents).ok_or(Broken::Damaged)?;
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

    pub(super) fn word(&self) -> &[u8] {
        &self.words[self.word.clone()]
    }
}
