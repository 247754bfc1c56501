//! Pages under construction: what is drawn where, before anything is written, since each page tells how many there are.

use super::line::{Line, Piece, Run};
use crate::error::RenderError;

/// A4, in points.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;
/// Margins; the head and the foot of pages stand in the upper and lower ones.
pub(super) const SIDE: f32 = 48.0;
pub(super) const TOP: f32 = 62.0;
pub(super) const BOTTOM: f32 = 52.0;
/// Width and height of what is drawn.
pub(super) const INNER_WIDTH: f32 = WIDTH - 2.0 * SIDE;
pub(super) const INNER_HEIGHT: f32 = HEIGHT - TOP - BOTTOM;

/// Most pages: what takes longer to print than any honest document.
const MAX_PAGES: usize = 1000;
/// Most marks on all pages: a page of dense table has some thousand. Bounds the memory of a document made of empty cells.
const MAX_MARKS: usize = 2_000_000;

/// Rules that are looked at for one that goes on: those of a row of the widest table.
const MOST_RULES: usize = 300;

/// Ink of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Black,
    /// Titles.
    Blue,
    /// Heads and feet of pages.
    Grey,
    /// Frames.
    Line,
    /// Ground of headings.
    Soft,
}

#[derive(Debug)]
pub(super) enum Mark {
    /// Letters, where they stand.
    Text {
        x: f32,
        y: f32,
        run: Run,
        ink: Ink,
    },
    /// A filled rectangle: rules are thin ones.
    Box {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        ink: Ink,
    },
    Picture {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        rank: usize,
    },
}

/// The pages.
#[derive(Debug)]
pub(super) struct Paper {
    pub pages: Vec<Vec<Mark>>,
    /// Where the next thing goes, from the top of the page.
    pub y: f32,
    marks: usize,
    /// Rules of this page that may go on: their places among its marks, since something was painted over.
    rules: Vec<usize>,
}

impl Paper {
    pub(super) fn new() -> Self {
        Self { pages: vec![Vec::new()], y: TOP, marks: 0, rules: Vec::new() }
    }

    /// What is left of this page.
    pub(super) fn room(&self) -> f32 {
        HEIGHT - BOTTOM - self.y
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.y <= TOP
    }

    pub(super) fn turn(&mut self) -> Result<(), RenderError> {
        if self.pages.len() >= MAX_PAGES {
            return Err(RenderError::Limit);
        }
        self.pages.push(Vec::new());
        self.rules.clear();
        self.y = TOP;
        Ok(())
    }

    /// Turns the page when less than this is left.
    pub(super) fn ensure(&mut self, height: f32) -> Result<(), RenderError> {
        if height > self.room() && !self.is_fresh() { self.turn() } else { Ok(()) }
    }

    pub(super) fn space(&mut self, height: f32) {
        if !self.is_fresh() {
            self.y += height;
        }
    }

    pub(super) fn mark(&mut self, mark: Mark) -> Result<(), RenderError> {
        self.marks += 1;
        if self.marks > MAX_MARKS {
            return Err(RenderError::Limit);
        }
        // There is always a page: one is made at the start.
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
        Ok(())
    }

    /// A filled rectangle. A rule that goes on where another of its kind ends makes that one longer: a table's frame is some long rules,
    /// not a dozen short ones for each row, which were half of the file and of the time to write it.
    pub(super) fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, ink: Ink) -> Result<(), RenderError> {
        if ink != Ink::Line {
            // What lies under it must not come out above.
            self.rules.clear();
            return self.mark(Mark::Box { x, y, width, height, ink });
        }
        let page = self.pages.last_mut().map_or(&mut [][..], Vec::as_mut_slice);
        for place in self.rules.iter().rev() {
            let Some(Mark::Box { x: left, y: top, width: wide, height: high, .. }) = page.get_mut(*place) else {
                continue;
            };
            let near = |a: f32, b: f32| (a - b).abs() < 0.01;
            if near(*left, x) && near(*wide, width) && near(*top + *high, y) {
                *high = y + height - *top;
                return Ok(());
            }
            if near(*top, y) && near(*high, height) && near(*left + *wide, x) {
                *wide = x + width - *left;
                return Ok(());
            }
        }
        self.rules.push(page.len());
        // Columns and the last row's rules: more are never near.
        if self.rules.len() > 2 * MOST_RULES {
            self.rules.drain(..MOST_RULES);
        }
        self.mark(Mark::Box { x, y, width, height, ink })
    }

    /// A line of text with its top at `y`.
    pub(super) fn put(&mut self, line: Line, x: f32, y: f32, ink: Ink) -> Result<(), RenderError> {
        for (at, piece) in line.pieces {
            match piece {
                Piece::Run(run) => self.mark(Mark::Text { x: x + at, y: y + line.ascent - run.rise, run, ink })?,
                Piece::Picture(rank, width, height) => {
                    self.mark(Mark::Picture { x: x + at, y: y + line.ascent - height, width, height, rank })?;
                }
            }
        }
        Ok(())
    }

    /// Lines one under the other, on as many pages as they need.
    pub(super) fn flow(&mut self, lines: Vec<Line>, x: f32, ink: Ink) -> Result<(), RenderError> {
        for line in lines {
            let height = line.height;
            self.ensure(height)?;
            self.put(line, x, self.y, ink)?;
            self.y += height;
        }
        Ok(())
    }
}
