//! Lines of a page: letters measured and broken at blanks.

use super::faces::{self, FaceId, Letter};
use crate::model::{Inline, Picture, Style, is_blank};

/// Height of a line in parts of the size of its letters.
const LEADING: f32 = 1.36;
/// Where letters stand, below the top of their line, in parts of their size.
const ASCENT: f32 = 1.05;
/// Size of superscripts and subscripts, and how far they move.
const SMALL: f32 = 0.68;
const RISE: f32 = 0.36;
const FALL: f32 = 0.14;
/// Points of one dot of a picture: 96 to the inch, as on screens.
const DOT: f32 = 0.75;

/// Letters of one face and size.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub face: FaceId,
    pub size: f32,
    pub text: String,
    pub width: f32,
    /// Above the line when positive.
    pub rise: f32,
    pub underline: bool,
    pub struck: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Run(Run),
    /// Rank of the picture, width, height.
    Picture(usize, f32, f32),
}

/// A line, its pieces at their distance from its left end.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub pieces: Vec<(f32, Piece)>,
    pub width: f32,
    pub height: f32,
    /// Where the letters stand, below the top.
    pub ascent: f32,
}

/// Breaks text into lines.
pub(super) struct Setter<'a> {
    /// Width of the lines.
    pub width: f32,
    /// Highest picture.
    pub height: f32,
    /// Size of letters.
    pub size: f32,
    pub pictures: &'a [Picture],
    /// Letters that no face has, so far.
    pub missing: &'a mut usize,
}

impl Setter<'_> {
    /// The lines of a paragraph.
    pub(super) fn lines(&mut self, line: &[Inline]) -> Vec<Line> {
        if is_blank(line) {
            return Vec::new();
        }
        let mut lines = Lines { done: Vec::new(), open: Line::default(), size: self.size };
        self.set(line, &mut lines);
        lines.end();
        lines.done
    }

    fn set(&mut self, line: &[Inline], lines: &mut Lines) {
        for inline in line {
            match inline {
                Inline::Text(text, style) => self.text(text, *style, lines),
                Inline::Break => lines.end(),
                Inline::Anchor(_) => {}
                Inline::Link(_, inner) => self.set(inner, lines),
                Inline::Note(rank) => {
                    let style = Style { sup: true, ..Style::default() };
                    self.text(&format!("[{}]", rank + 1), style, lines);
                }
                Inline::Picture(rank) => self.picture(*rank, lines),
            }
        }
    }

    fn text(&mut self, text: &str, style: Style, lines: &mut Lines) {
        let size = if style.sub || style.sup { self.size * SMALL } else { self.size };
        let letters = faces::letters(text, FaceId::of(style), self.missing);
        for word in letters.split_inclusive(|l| l.letter == ' ') {
            let (word, blank) = match word {
                [word @ .., last] if last.letter == ' ' => (word, Some(*last)),
                word => (word, None),
            };
            let width = |letters: &[Letter]| letters.iter().map(|l| l.advance * size).sum::<f32>();
            let wide = width(word);
            if lines.open.width + wide > self.width && lines.open.width > 0.0 {
                lines.end();
            }
            if wide <= self.width {
                lines.add(word, size, style);
            } else {
                // A word wider than the line is cut where it must be.
                for letter in word {
                    if lines.open.width + letter.advance * size > self.width && lines.open.width > 0.0 {
                        lines.end();
                    }
                    lines.add(std::slice::from_ref(letter), size, style);
                }
            }
            // A blank never begins a line that was broken for its word.
            if let Some(blank) = blank.filter(|_| lines.open.width > 0.0) {
                lines.add(&[blank], size, style);
            }
        }
    }

    fn picture(&mut self, rank: usize, lines: &mut Lines) {
        let picture = &self.pictures[rank];
        // At most 8192 dots: exact in an f32.
        let (width, height) = (picture.width as f32 * DOT, picture.height as f32 * DOT);
        let scale = (self.width / width).min(self.height / height).min(1.0);
        let (width, height) = (width * scale, height * scale);
        if lines.open.width + width > self.width && lines.open.width > 0.0 {
            lines.end();
        }
        let at = lines.open.width;
        lines.open.pieces.push((at, Piece::Picture(rank, width, height)));
        lines.open.width += width;
        lines.open.height = lines.open.height.max(height + 4.0);
        lines.open.ascent = lines.open.ascent.max(height + 2.0);
    }
}

struct Lines {
    done: Vec<Line>,
    open: Line,
    size: f32,
}

impl Lines {
    fn end(&mut self) {
        let mut line = std::mem::take(&mut self.open);
        line.height = line.height.max(self.size * LEADING);
        line.ascent = line.ascent.max(self.size * ASCENT);
        self.done.push(line);
    }

    fn add(&mut self, letters: &[Letter], size: f32, style: Style) {
        let rise = match (style.sup, style.sub) {
            (true, _) => size / SMALL * RISE,
            (_, true) => size / SMALL * -FALL,
            _ => 0.0,
        };
        for letter in letters {
            let advance = letter.advance * size;
            let same = |run: &Run| {
                run.face == letter.face
                    && run.size.to_bits() == size.to_bits()
                    && run.rise.to_bits() == rise.to_bits()
                    && (run.underline, run.struck) == (style.underline, style.struck)
            };
            match self.open.pieces.last_mut() {
                Some((_, Piece::Run(run))) if same(run) => {
                    run.text.push(letter.letter);
                    run.width += advance;
                }
                _ => self.open.pieces.push((
                    self.open.width,
                    Piece::Run(Run {
                        face: letter.face,
                        size,
                        text: letter.letter.to_string(),
                        width: advance,
                        rise,
                        underline: style.underline,
                        struck: style.struck,
                    }),
                )),
            }
            self.open.width += advance;
        }
    }
}

/// A line of one style that is cut with `…` when it is too long.
pub(super) fn single(text: &str, style: Style, size: f32, width: f32, missing: &mut usize) -> Line {
    let mut letters = faces::letters(text, FaceId::of(style), missing);
    let measure = |letters: &[Letter]| letters.iter().map(|l| l.advance * size).sum::<f32>();
    if measure(&letters) > width {
        let mark = faces::letters("…", FaceId::of(style), missing);
        let mut room = width - measure(&mark);
        let fits = letters.iter().take_while(|letter| {
            room -= letter.advance * size;
            room >= 0.0
        });
        let count = fits.count();
        letters.truncate(count);
        letters.extend(mark);
    }
    let mut lines = Lines { done: Vec::new(), open: Line::default(), size };
    lines.add(&letters, size, style);
    lines.end();
    lines.done.pop().unwrap_or_default()
}
