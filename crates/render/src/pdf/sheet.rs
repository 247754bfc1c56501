//! A [`Sheet`] as PDF/A-1b.

use super::line::single;
use super::paper::{INNER_WIDTH, Ink, Paper, SIDE};
use super::{FACT, LABEL, Layout, TEXT, TITLE, write};
use crate::error::RenderError;
use crate::model::{Align, Block, Body, Cell, Inline, Style, Table};
use crate::read::clean;
use crate::sheet::{Piece, Sheet};

/// Most columns of a table.
const MAX_COLUMNS: usize = crate::read::MAX_COLUMNS;

/// The file.
pub(crate) fn file(sheet: &Sheet) -> Result<Vec<u8>, RenderError> {
    let body = Body::default();
    let mut layout = Layout { paper: Paper::new(), body: &body, missing: 0 };
    let bold = Style { bold: true, ..Style::default() };
    let title = Inline::Text(clean(&sheet.title), bold);
    let lines = layout.setter(INNER_WIDTH, TITLE).lines(&[title]);
    layout.paper.flow(lines, SIDE, Ink::Blue)?;
    layout.paper.y += 6.0;
    // Blocks live as long as the layout that measures them.
    for piece in &sheet.pieces {
        match piece {
            Piece::Heading(level, text) => layout.title(&clean(text), *level)?,
            Piece::Strong(text) => layout.words(text, bold)?,
            Piece::Paragraph(text) => layout.words(text, Style::default())?,
            Piece::Facts(facts) => layout.facts(facts)?,
            Piece::Table { caption, head, rows } => {
                let table = Table {
                    caption: vec![Inline::Text(clean(caption), Style { italic: true, ..Style::default() })],
                    head: vec![head.iter().take(MAX_COLUMNS).map(|text| cell(text, true)).collect()],
                    body: rows
                        .iter()
                        .map(|row| row.iter().take(MAX_COLUMNS).map(|text| cell(text, false)).collect())
                        .collect(),
                };
                layout.table(&table, TEXT)?;
            }
        }
    }
    layout.confess()?;
    let about = write::About {
        title: sheet.title.clone(),
        subject: sheet.subject.clone(),
        foot: sheet.foot.clone(),
        authors: vec![clean(&sheet.author)],
        date: Some(sheet.date),
    };
    write::file(&about, &body.pictures, layout.paper)
}

impl Layout<'_> {
    fn words(&mut self, text: &str, style: Style) -> Result<(), RenderError> {
        let lines = self.setter(INNER_WIDTH, TEXT).lines(&inlines(text, style));
        self.paper.flow(lines, SIDE, Ink::Black)?;
        self.paper.space(TEXT * 0.3);
        Ok(())
    }

    fn facts(&mut self, facts: &[(String, String)]) -> Result<(), RenderError> {
        let bold = Style { bold: true, ..Style::default() };
        for (name, value) in facts {
            let label = single(&format!("{} :", clean(name)), bold, FACT, LABEL, &mut self.missing);
            let lines = self.setter(INNER_WIDTH - LABEL - 16.0, FACT).lines(&inlines(value, Style::default()));
            let height: f32 = lines.iter().map(|line| line.height).sum();
            self.paper.ensure(height)?;
            self.paper.fill(SIDE, self.paper.y, INNER_WIDTH, height, Ink::Soft)?;
            self.paper.put(label, SIDE + 8.0, self.paper.y, Ink::Black)?;
            self.paper.flow(lines, SIDE + LABEL + 8.0, Ink::Black)?;
        }
        self.paper.space(8.0);
        Ok(())
    }
}

/// Text, with its line ends.
fn inlines(text: &str, style: Style) -> Vec<Inline> {
    let mut out = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push(Inline::Break);
        }
        out.push(Inline::Text(clean(line), style));
    }
    out
}

fn cell(text: &str, heading: bool) -> Cell {
    let style = Style { bold: heading, ..Style::default() };
    Cell { heading, columns: 1, rows: 1, align: Align::Left, blocks: vec![Block::Paragraph(inlines(text, style))] }
}
