//! Tables on pages: columns as wide as what they hold, heads repeated on every page, rows whole where a page can hold them.

use super::Layout;
use super::line::Line;
use super::paper::{INNER_HEIGHT, INNER_WIDTH, Ink, SIDE};
use crate::error::RenderError;
use crate::model::{Align, Cell, Place, Style, Table, place};

/// Thickness of frames.
const RULE: f32 = 0.5;
/// What sums of heights may differ by.
const SLACK: f32 = 0.5;
/// Sizes of letters in parts of the text's and padding in points, from the most readable: a table takes the first in which no word is cut.
const SIZES: [(f32, f32); 5] = [(0.94, 4.0), (0.86, 3.0), (0.76, 2.0), (0.68, 1.5), (0.6, 1.0)];

/// How a table is set.
struct Shape {
    widths: Vec<f32>,
    size: f32,
    padding: f32,
}

/// A row ready to be drawn.
struct Row {
    cells: Vec<Set>,
    height: f32,
}

/// A cell ready to be drawn.
struct Set {
    place: Place,
    heading: bool,
    align: Align,
    /// Whether its last row is this one.
    ends: bool,
    lines: Vec<Line>,
}

impl Layout<'_> {
    pub(super) fn table(&mut self, table: &Table, size: f32) -> Result<(), RenderError> {
        if !table.caption.is_empty() {
            let lines = self.setter(INNER_WIDTH, size).lines(&table.caption);
            let height = lines.iter().map(|line| line.height).sum::<f32>();
            self.paper.ensure(height + 3.0 * size)?;
            self.paper.flow(lines, SIDE, Ink::Black)?;
        }
        let columns = table.columns();
        if columns == 0 {
            return Ok(());
        }
        let shape = self.shape(table, columns, size);
        let mut head = self.set_rows(&table.head, &shape, true);
        let mut head_height: f32 = head.iter().map(|row| row.height).sum();
        // A head that leaves no room is drawn once, as rows like others.
        let mut before = Vec::new();
        if head_height > INNER_HEIGHT / 3.0 {
            before = std::mem::take(&mut head);
            head_height = 0.0;
        }
        let first = before.first().map_or(0.0, |row| row.height).min(INNER_HEIGHT / 2.0);
        self.paper.ensure(head_height + first.max(2.0 * size))?;
        self.rule(&shape)?;
        self.repeat(&head, &shape)?;
        for row in before {
            self.row(row, &head, &shape)?;
        }
        let places = place(&table.body);
        for (rank, row) in table.body.iter().enumerate() {
            let row = self.set_row(row, &places[rank], &shape, false);
            self.row(row, &head, &shape)?;
        }
        self.rule(&shape)?;
        self.paper.space(size * 0.6);
        Ok(())
    }

    /// Widths of columns by what they hold.
    fn shape(&mut self, table: &Table, columns: usize, size: f32) -> Shape {
        // Letters scale, so measuring once is enough.
        let (mut cells, mut spanning) = (vec![(0.0f32, 0.0f32); columns], Vec::new());
        for rows in [&table.head, &table.body] {
            for (row, places) in rows.iter().zip(place(rows)) {
                for (cell, place) in row.iter().zip(places) {
                    let (narrow, wide) = self.extent(cell, size);
                    if place.columns == 1 {
                        let column = &mut cells[place.column];
                        *column = (column.0.max(narrow), column.1.max(wide));
                    } else {
                        spanning.push((place, narrow, wide));
                    }
                }
            }
        }
        let mut shape = None;
        for (part, padding) in SIZES {
            let (least, most) = extents(&cells, &spanning, part, padding, size);
            let fits = least.iter().sum::<f32>() <= INNER_WIDTH;
            shape = Some(Shape { widths: widths(least, most), size: size * part, padding });
            if fits {
                break;
            }
        }
        // There is a size at least.
        shape.unwrap_or(Shape { widths: vec![INNER_WIDTH / columns as f32; columns], size, padding: 0.0 })
    }

    /// Width of the longest word of a cell and of its longest line.
    fn extent(&mut self, cell: &Cell, size: f32) -> (f32, f32) {
        let style = heading(cell.heading);
        let widest = |lines: &[Line]| lines.iter().map(|line| line.width).fold(0.0f32, f32::max);
        let whole = widest(&self.cell_lines(cell, INNER_WIDTH, size, style));
        (self.longest_word(&cell.blocks, size, style).min(whole), whole)
    }

    fn set_rows(&mut self, rows: &[Vec<Cell>], shape: &Shape, head: bool) -> Vec<Row> {
        rows.iter().zip(place(rows)).map(|(row, places)| self.set_row(row, &places, shape, head)).collect()
    }

    fn set_row(&mut self, row: &[Cell], places: &[Place], shape: &Shape, head: bool) -> Row {
        let mut height = shape.size + 2.0 * shape.padding;
        let mut cells = Vec::with_capacity(row.len());
        for (cell, place) in row.iter().zip(places) {
            let width = span(shape, *place) - 2.0 * shape.padding;
            let lines = self.cell_lines(cell, width.max(shape.size), shape.size, heading(cell.heading));
            let set =
                Set { place: *place, heading: cell.heading || head, align: cell.align, ends: cell.rows <= 1, lines };
            height = height.max(set.lines_height() + 2.0 * shape.padding);
            cells.push(set);
        }
        Row { cells, height }
    }

    fn repeat(&mut self, head: &[Row], shape: &Shape) -> Result<(), RenderError> {
        for row in head {
            self.draw(row.cells.iter().map(Set::copy).collect(), row.height, shape)?;
        }
        Ok(())
    }

    /// A row where there is room for it; one higher than a page goes on over pages.
    fn row(&mut self, mut row: Row, head: &[Row], shape: &Shape) -> Result<(), RenderError> {
        let head_height: f32 = head.iter().map(|row| row.height).sum();
        let page = INNER_HEIGHT - head_height;
        loop {
            if row.height <= self.paper.room() + SLACK {
                return self.draw(row.cells, row.height, shape);
            }
            // Higher than a page: what fits here, when that is something to read; the rest below the head of the next page.
            if row.height > page && self.paper.room() > 6.0 * shape.size {
                let room = self.paper.room() - 2.0 * shape.padding;
                let before: usize = row.cells.iter().map(|cell| cell.lines.len()).sum();
                let rest: Vec<Set> = row.cells.iter_mut().map(|cell| cell.split(room)).collect();
                // Not even a line: all of it below.
                let taken = rest.iter().map(|cell| cell.lines.len()).sum::<usize>() < before;
                let cells = std::mem::replace(&mut row.cells, rest);
                if taken {
                    let height = self.paper.room();
                    self.draw(cells, height, shape)?;
                }
                let tallest = row.cells.iter().map(Set::lines_height).fold(0.0, f32::max);
                row.height = tallest + 2.0 * shape.padding;
            }
            self.rule(shape)?;
            self.paper.turn()?;
            self.rule(shape)?;
            self.repeat(head, shape)?;
        }
    }

    fn draw(&mut self, cells: Vec<Set>, height: f32, shape: &Shape) -> Result<(), RenderError> {
        let top = self.paper.y;
        let total: f32 = shape.widths.iter().sum();
        self.paper.fill(SIDE, top, RULE, height, Ink::Line)?;
        self.paper.fill(SIDE + total - RULE, top, RULE, height, Ink::Line)?;
        for cell in cells {
            let x = SIDE + shape.widths[..cell.place.column].iter().sum::<f32>();
            let width = span(shape, cell.place);
            if cell.heading {
                self.paper.fill(x, top, width, height, Ink::Soft)?;
            }
            self.paper.fill(x, top, RULE, height, Ink::Line)?;
            self.paper.fill(x + width - RULE, top, RULE, height, Ink::Line)?;
            self.paper.fill(x, top, width, RULE, Ink::Line)?;
            if cell.ends {
                self.paper.fill(x, top + height - RULE, width, RULE, Ink::Line)?;
            }
            let mut y = top + shape.padding;
            for line in cell.lines {
                let free = (width - 2.0 * shape.padding - line.width).max(0.0);
                let before = match cell.align {
                    Align::Left => 0.0,
                    Align::Center => free / 2.0,
                    Align::Right => free,
                };
                let height = line.height;
                self.paper.put(line, x + shape.padding + before, y, Ink::Black)?;
                y += height;
            }
        }
        self.paper.y += height;
        Ok(())
    }

    /// A rule as wide as the table.
    fn rule(&mut self, shape: &Shape) -> Result<(), RenderError> {
        let total: f32 = shape.widths.iter().sum();
        self.paper.fill(SIDE, self.paper.y - RULE / 2.0, total, RULE, Ink::Line)
    }
}

impl Set {
    fn copy(&self) -> Self {
        Self { place: self.place, heading: self.heading, align: self.align, ends: self.ends, lines: self.lines.clone() }
    }

    fn lines_height(&self) -> f32 {
        self.lines.iter().map(|line| line.height).sum()
    }

    /// Keeps the lines that fit in a height and gives the rest.
    fn split(&mut self, room: f32) -> Self {
        let mut taken = 0.0;
        let fits = self.lines.iter().take_while(|line| {
            taken += line.height;
            taken <= room
        });
        let count = fits.count();
        let rest = self.lines.split_off(count);
        Self { place: self.place, heading: self.heading, align: self.align, ends: self.ends, lines: rest }
    }
}

/// The least and the most that each column needs at a size.
fn extents(
    cells: &[(f32, f32)],
    spanning: &[(Place, f32, f32)],
    part: f32,
    padding: f32,
    size: f32,
) -> (Vec<f32>, Vec<f32>) {
    // A little more than measured: sums of widths round.
    let outer = |width: f32| width * part + 2.0 * padding + 0.2;
    let mut least: Vec<f32> = cells.iter().map(|(narrow, _)| outer(*narrow)).collect();
    let mut most: Vec<f32> = cells.iter().map(|(_, wide)| outer(*wide)).collect();
    // What spans columns widens them alike when they are too narrow together.
    for (place, narrow, wide) in spanning {
        let range = place.column..place.column + place.columns;
        for (columns, wanted) in [(&mut least, outer(*narrow)), (&mut most, outer(*wide))] {
            let lack = wanted - columns[range.clone()].iter().sum::<f32>();
            if lack > 0.0 {
                // At most MAX_COLUMNS: exact.
                let share = lack / place.columns as f32;
                columns[range.clone()].iter_mut().for_each(|width| *width += share);
            }
        }
    }
    let smallest = 2.0 * padding + size * part;
    least.iter_mut().for_each(|width| *width = width.clamp(smallest, INNER_WIDTH / 3.0));
    most.iter_mut().zip(&least).for_each(|(most, least)| *most = most.clamp(*least, INNER_WIDTH));
    (least, most)
}

/// Widths that fill the page at most.
fn widths(least: Vec<f32>, most: Vec<f32>) -> Vec<f32> {
    let (all_least, all_most) = (least.iter().sum::<f32>(), most.iter().sum::<f32>());
    if all_most <= INNER_WIDTH {
        most
    } else if all_least < INNER_WIDTH {
        let part = (INNER_WIDTH - all_least) / (all_most - all_least);
        least.iter().zip(&most).map(|(least, most)| least + (most - least) * part).collect()
    } else {
        least.iter().map(|width| width * INNER_WIDTH / all_least).collect()
    }
}

fn span(shape: &Shape, place: Place) -> f32 {
    shape.widths[place.column..place.column + place.columns].iter().sum()
}

fn heading(bold: bool) -> Style {
    Style { bold, ..Style::default() }
}
