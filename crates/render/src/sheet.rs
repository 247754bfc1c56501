//! What a program has to say, on paper: titles, facts, tables as PDF/A-1b, with the letters and the pages of the copies of documents. The
//! control application's report is one.

use crate::error::RenderError;

/// Most text, in octets: a report of every case with long answers has a tenth of it.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Most cells of all tables.
const MAX_CELLS: usize = 50_000;

/// A piece of it, from top to bottom. Line ends in texts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A title of that level, 1 the highest.
    Heading(u8, String),
    /// Something that must not be missed.
    Strong(String),
    /// Words.
    Paragraph(String),
    /// Names and values.
    Facts(Vec<(String, String)>),
    /// A table; its head is repeated on each page.
    Table {
        /// What it shows.
        caption: String,
        /// Titles of columns.
        head: Vec<String>,
        /// Its rows.
        rows: Vec<Vec<String>>,
    },
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// At its top, and in the metadata.
    pub title: String,
    /// At the head of pages from the second on.
    pub subject: String,
    /// At the foot of pages, beside their numbers.
    pub foot: String,
    /// Who says so.
    pub author: String,
    /// When: PDF/A wants a date.
    pub date: time::OffsetDateTime,
    /// What it says.
    pub pieces: Vec<Piece>,
}

impl Sheet {
    /// As PDF/A-1b.
    ///
    /// # Errors
    /// [`RenderError::Limit`] when it is too large; [`RenderError::PdfA`] when the file would not be archivable, an error of this crate.
    pub fn pdf(&self) -> Result<Vec<u8>, RenderError> {
        let (mut text, mut cells) = (0, 0);
        for piece in &self.pieces {
            match piece {
                Piece::Heading(_, words) | Piece::Strong(words) | Piece::Paragraph(words) => text += words.len(),
                Piece::Facts(facts) => {
                    text += facts.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                }
                Piece::Table { caption, head, rows } => {
                    let all = || head.iter().chain(rows.iter().flatten());
                    cells += all().count();
                    text += caption.len() + all().map(String::len).sum::<usize>();
                }
            }
        }
        if text > MAX_TEXT || cells > MAX_CELLS {
            return Err(RenderError::Limit);
        }
        crate::pdf::sheet::file(self)
    }
}
