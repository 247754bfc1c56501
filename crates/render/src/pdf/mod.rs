//! A document as PDF/A-1b: the header's facts, then the narrative, on numbered pages. ECO.2.1.5
//!
//! Two passes. [`Layout`] breaks text into lines and puts them on [`Paper`]; [`write`] draws the pages, now that their number is known.
//! The writer checks the rules of PDF/A (fonts embedded, colours by profile, no transparency, metadata that agree) and refuses to give
//! a file that breaks one.

mod faces;
mod line;
mod paper;
pub(crate) mod sheet;
mod table;
mod write;

use mssante::cda::CdaHeader;

use self::faces::FaceId;
use self::line::{Line, Setter, single};
use self::paper::{INNER_HEIGHT, INNER_WIDTH, Ink, Paper, SIDE};
use crate::error::RenderError;
use crate::facts;
use crate::model::{Block, Body, Cell, Inline, Marks, Section, Style};

/// Sizes of letters, in points.
const TEXT: f32 = 10.0;
const TITLE: f32 = 16.0;
const FACT: f32 = 9.5;
const NOTE: f32 = 8.5;
/// Width of the labels of facts.
const LABEL: f32 = 104.0;
/// How far items stand in.
const INDENT: f32 = 18.0;
/// Deepest indentation: what is nested deeper stays readable.
const MAX_INDENT: f32 = INDENT * 8.0;

/// The PDF of a document.
pub(crate) fn document(header: &CdaHeader, body: &Body) -> Result<Vec<u8>, RenderError> {
    let mut layout = Layout { paper: Paper::new(), body, missing: 0 };
    layout.head(header)?;
    for section in &body.sections {
        layout.section(section)?;
    }
    layout.notes()?;
    layout.confess()?;
    write::file(&write::About::of(header), &body.pictures, layout.paper)
}

struct Layout<'a> {
    paper: Paper,
    body: &'a Body,
    missing: usize,
}

impl<'a> Layout<'a> {
    /// Says that letters are missing, when some are.
    fn confess(&mut self) -> Result<(), RenderError> {
        if self.missing == 0 {
            return Ok(());
        }
        let sentence =
            "Certains caractères n'ont pas de forme dans cette copie (\u{FFFD}) : voir le document d'origine.";
        let style = Style { italic: true, ..Style::default() };
        self.paper.space(TEXT);
        let lines = self.setter(INNER_WIDTH, NOTE).lines(&[Inline::Text(sentence.to_owned(), style)]);
        self.paper.flow(lines, SIDE, Ink::Grey)
    }

    fn setter(&mut self, width: f32, size: f32) -> Setter<'_> {
        Setter { width, height: INNER_HEIGHT / 2.0, size, pictures: &self.body.pictures, missing: &mut self.missing }
    }

    /// Title and facts, in a frame.
    fn head(&mut self, header: &CdaHeader) -> Result<(), RenderError> {
        let bold = Style { bold: true, ..Style::default() };
        let title = Inline::Text(crate::read::clean(facts::title(header)), bold);
        let lines = self.setter(INNER_WIDTH, TITLE).lines(&[title]);
        self.paper.flow(lines, SIDE, Ink::Blue)?;
        self.paper.y += 6.0;
        for fact in facts::of(header) {
            let label = single(&format!("{} :", fact.label), bold, FACT, LABEL, &mut self.missing);
            let value = Inline::Text(crate::read::clean(&fact.value), Style::default());
            let lines = self.setter(INNER_WIDTH - LABEL - 16.0, FACT).lines(&[value]);
            let height: f32 = lines.iter().map(|line| line.height).sum();
            self.paper.ensure(height)?;
            self.paper.fill(SIDE, self.paper.y, INNER_WIDTH, height, Ink::Soft)?;
            self.paper.put(label, SIDE + 8.0, self.paper.y, Ink::Black)?;
            self.paper.flow(lines, SIDE + LABEL + 8.0, Ink::Black)?;
        }
        self.paper.y += 8.0;
        Ok(())
    }

    fn section(&mut self, section: &'a Section) -> Result<(), RenderError> {
        if let Some(title) = &section.title {
            self.title(title, section.level)?;
        }
        self.blocks(&section.blocks, 0.0, TEXT)
    }

    fn title(&mut self, title: &str, level: u8) -> Result<(), RenderError> {
        let size = match level {
            1 => 12.5,
            2 => 11.0,
            _ => TEXT,
        };
        self.paper.space(8.0);
        let style = Style { bold: true, ..Style::default() };
        let lines = self.setter(INNER_WIDTH, size).lines(&[Inline::Text(title.to_owned(), style)]);
        // A title stands with two lines of what it announces.
        let height: f32 = lines.iter().map(|line| line.height).sum();
        self.paper.ensure((height + 4.0 * TEXT).min(INNER_HEIGHT))?;
        self.paper.flow(lines, SIDE, Ink::Blue)?;
        if level == 1 {
            self.paper.fill(SIDE, self.paper.y, INNER_WIDTH, 0.7, Ink::Line)?;
            self.paper.y += 3.0;
        }
        Ok(())
    }

    fn blocks(&mut self, blocks: &'a [Block], indent: f32, size: f32) -> Result<(), RenderError> {
        for block in blocks {
            match block {
                Block::Paragraph(line) => {
                    let lines = self.setter(INNER_WIDTH - indent, size).lines(line);
                    self.paper.flow(lines, SIDE + indent, Ink::Black)?;
                    self.paper.space(size * 0.3);
                }
                Block::List { caption, marks, items } => self.list(caption, *marks, items, indent, size)?,
                Block::Table(table) => self.table(table, size)?,
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        caption: &'a [Inline],
        marks: Marks,
        items: &'a [Vec<Block>],
        indent: f32,
        size: f32,
    ) -> Result<(), RenderError> {
        if !caption.is_empty() {
            let lines = self.setter(INNER_WIDTH - indent, size).lines(caption);
            self.paper.flow(lines, SIDE + indent, Ink::Black)?;
        }
        for (rank, item) in items.iter().enumerate() {
            self.marked(&marks.of(rank), item, indent, size)?;
        }
        self.paper.space(size * 0.3);
        Ok(())
    }

    /// Blocks beside a mark.
    fn marked(&mut self, mark: &str, item: &'a [Block], indent: f32, size: f32) -> Result<(), RenderError> {
        let mark = single(mark, Style::default(), size, INNER_WIDTH, &mut self.missing);
        // Long marks (roman numbers) push what follows.
        let inner = (indent + INDENT).max(indent + mark.width + 4.0).min(MAX_INDENT + INDENT);
        self.paper.ensure(mark.height)?;
        let x = SIDE + (inner - mark.width - 5.0).max(0.0);
        self.paper.put(mark, x, self.paper.y, Ink::Black)?;
        if item.is_empty() {
            self.paper.y += size * 1.36;
        }
        self.blocks(item, inner.min(MAX_INDENT), size)
    }

    fn notes(&mut self) -> Result<(), RenderError> {
        let body = self.body;
        if body.notes.is_empty() {
            return Ok(());
        }
        self.title("Notes", 1)?;
        for (rank, note) in body.notes.iter().enumerate() {
            self.marked(&format!("[{}]", rank + 1), note, INDENT / 2.0, NOTE)?;
        }
        Ok(())
    }

    /// The lines of a cell.
    fn cell_lines(&mut self, cell: &Cell, width: f32, size: f32, style: Style) -> Vec<Line> {
        let mut lines = Vec::new();
        self.block_lines(&cell.blocks, width, size, style.bold, &mut lines);
        lines
    }

    fn block_lines(&mut self, blocks: &[Block], width: f32, size: f32, bold: bool, out: &mut Vec<Line>) {
        for block in blocks {
            match block {
                Block::Paragraph(line) if bold => {
                    let line = emboldened(line);
                    out.extend(self.setter(width, size).lines(&line));
                }
                Block::Paragraph(line) => out.extend(self.setter(width, size).lines(line)),
                Block::List { caption, marks, items } => {
                    if !caption.is_empty() {
                        out.extend(self.setter(width, size).lines(caption));
                    }
                    for (rank, item) in items.iter().enumerate() {
                        let mark = single(&marks.of(rank), Style::default(), size, width, &mut self.missing);
                        let indent = (mark.width + 4.0).min(width / 3.0);
                        let mut lines = Vec::new();
                        self.block_lines(item, width - indent, size, bold, &mut lines);
                        if lines.is_empty() {
                            lines.push(Line { height: mark.height, ascent: mark.ascent, ..Line::default() });
                        }
                        for (at, mut line) in lines.into_iter().enumerate() {
                            line.pieces.iter_mut().for_each(|(x, _)| *x += indent);
                            line.width += indent;
                            if at == 0 {
                                line.pieces.extend(mark.pieces.clone());
                            }
                            out.push(line);
                        }
                    }
                }
                Block::Table(table) => {
                    for cell in table.head.iter().chain(&table.body).flatten() {
                        self.block_lines(&cell.blocks, width, size, bold, out);
                    }
                }
            }
        }
    }

    /// Width of the longest word of blocks.
    fn longest_word(&mut self, blocks: &[Block], size: f32, style: Style) -> f32 {
        let mut texts = Vec::new();
        for block in blocks {
            collect_words(block, &mut texts);
        }
        let mut longest = 0.0f32;
        for (text, own) in texts {
            let face = FaceId::of(Style { bold: own.bold || style.bold, ..own });
            let letters = faces::letters(text, face, &mut 0);
            for word in letters.split(|letter| letter.letter == ' ') {
                longest = longest.max(word.iter().map(|letter| letter.advance * size).sum());
            }
        }
        longest
    }
}

fn collect_words<'b>(block: &'b Block, into: &mut Vec<(&'b str, Style)>) {
    fn inlines<'b>(line: &'b [Inline], into: &mut Vec<(&'b str, Style)>) {
        for inline in line {
            match inline {
                Inline::Text(text, style) => into.push((text, *style)),
                Inline::Link(_, inner) => inlines(inner, into),
                _ => {}
            }
        }
    }
    match block {
        Block::Paragraph(line) => inlines(line, into),
        Block::List { caption, items, .. } => {
            inlines(caption, into);
            items.iter().flatten().for_each(|block| collect_words(block, into));
        }
        Block::Table(table) => {
            let cells = table.head.iter().chain(&table.body).flatten();
            cells.flat_map(|cell| &cell.blocks).for_each(|block| collect_words(block, into));
        }
    }
}

fn emboldened(line: &[Inline]) -> Vec<Inline> {
    line.iter()
        .map(|inline| match inline {
            Inline::Text(text, style) => Inline::Text(text.clone(), Style { bold: true, ..*style }),
            Inline::Link(rank, inner) => Inline::Link(*rank, emboldened(inner)),
            other => other.clone(),
        })
        .collect()
}
