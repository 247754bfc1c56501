//! Texts with spaces, found by the positions of their pieces.
//!
//! The first piece is the end of a word, the last the beginning of one, those between are words; an empty first or last piece
//! asks that a space be there, that is: no boundary. The documents of the words give the candidates; when there are some, the
//! places where the phrase may begin are kept as a set of positions, begun with the piece whose words are the rarest.
//!
//! Time: that of the words gone through and of the positions of those found. Memory: a bit for each position of the column, at
//! most [`MAX_POSITIONS`](super::positions::MAX_POSITIONS), three times.

use super::blocks::{BlockReader, Broken, Result};
use super::positions::{Span, SpanReader};
use super::tokens::{BOUNDARY, Having, Tokens};
use mail::bits::Bits;

/// The words that have a piece of the text.
struct Piece {
    /// Which piece it is.
    rank: u32,
    spans: Vec<Span>,
}

impl Tokens {
    /// Which of the documents asked for have the text, which has a space and is more than one.
    pub(super) fn phrase(&self, file: &mut BlockReader<'_>, text: &[u8], asked: &Bits, total: usize) -> Result<Bits> {
        let texts: Vec<&[u8]> = text.split(|b| *b == b' ').collect();
        // A text sought is bounded far below.
        let last = u32::try_from(texts.len()).map_err(|_| Broken::Damaged)? - 1;
        let sought = (0u32..).zip(&texts).filter(|(_, text)| !text.is_empty());
        let mut sought: Vec<(u32, &[u8], Having)> = sought
            .map(|(rank, text)| match rank {
                0 => (rank, *text, Having::AtEnd),
                rank if rank == last => (rank, *text, Having::AtBeginning),
                _ => (rank, *text, Having::Exactly),
            })
            .collect();
        // Of what ends with a text all words are gone through: perhaps nothing is left to be asked then.
        sought.sort_by_key(|(.., having)| *having == Having::AtEnd);
        let mut documents = asked.clone();
        let mut pieces = Vec::new();
        for (rank, text, having) in sought {
            let mut spans = Vec::new();
            documents.and(&self.words(file, having, text, asked, total, Some(&mut spans))?);
            if documents.is_empty() {
                return Ok(documents);
            }
            pieces.push(Piece { rank, spans });
        }
        pieces.sort_by_key(|piece| piece.spans.iter().map(|span| u64::from(span.length)).sum::<u64>());
        let mut ends =
            Ends { before: texts[0].is_empty(), after: texts[last as usize].is_empty(), last, boundaries: None };
        if ends.before || ends.after {
            ends.boundaries = Some(self.boundaries(file, asked, total)?);
        }
        self.follow(file, &pieces, &ends, &documents, total)
    }

    /// Where boundaries are.
    fn boundaries(&self, file: &mut BlockReader<'_>, asked: &Bits, total: usize) -> Result<Bits> {
        let mut spans = Vec::new();
        self.words(file, Having::Exactly, BOUNDARY, asked, total, Some(&mut spans))?;
        let mut boundaries = Bits::none(self.positions.count() as usize);
        let mut reader = SpanReader::default();
        for span in spans {
            reader.each(&self.positions, span, file, |position| {
                boundaries.set(position);
                Ok(())
            })?;
        }
        Ok(boundaries)
    }

    /// Those of the documents in which the pieces, at least one, follow each other.
    fn follow(
        &self,
        file: &mut BlockReader<'_>,
        pieces: &[Piece],
        ends: &Ends,
        documents: &Bits,
        total: usize,
    ) -> Result<Bits> {
        let mut reader = SpanReader::default();
        let places = self.positions.places();
        let mut found = Bits::none(total);
        // Where the text may begin, as far as the pieces seen tell.
        let mut begins: Option<Bits> = None;
        for (i, piece) in pieces.iter().enumerate() {
            let mut next = (i + 1 < pieces.len()).then(|| Bits::none(self.positions.count() as usize));
            for span in &piece.spans {
                reader.each(&self.positions, *span, file, |position| {
                    let Some(begin) = position.checked_sub(piece.rank) else { return Ok(()) };
                    if begins.as_ref().is_none_or(|begins| begins.has(begin)) {
                        match &mut next {
                            Some(next) => next.set(begin),
                            None if ends.allow(begin) => found.set(places.document(position)),
                            None => {}
                        }
                    }
                    Ok(())
                })?;
            }
            begins = next;
        }
        found.and(documents);
        Ok(found)
    }
}

/// What is asked of the places where a text begins and ends.
struct Ends {
    /// The text begins with a space.
    before: bool,
    /// It ends with one.
    after: bool,
    /// The last piece's rank.
    last: u32,
    boundaries: Option<Bits>,
}

impl Ends {
    /// Whether a text that begins there has the spaces it begins and ends with. Each document ends with a boundary.
    fn allow(&self, begin: u32) -> bool {
        self.boundaries.as_ref().is_none_or(|boundaries| {
            // Beyond the last position there is no space either: the last is a boundary.
            !(self.before && boundaries.has(begin) || self.after && boundaries.has(begin + self.last))
        })
    }
}
