//! A document as one page of HTML that stands alone.
//!
//! The page is written element by element from the model: nothing of the document's mark-up passes through. Its policy
//! (`Content-Security-Policy`) allows one style sheet, by its hash, and images held in the page: whatever mistake were made above,
//! a browser would run nothing and ask nobody.

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::facts;
use crate::model::{Align, Block, Body, Cell, Inline, Marks, Picture, Style, Table};
use crate::read::{Content, Shown};

/// The only style sheet: readable on a screen by day and by night, and on paper.
const STYLE: &str = include_str!("page.css");

/// Hash of the style sheet, as the policy names it.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(openssl::sha::sha256(STYLE.as_bytes())));

/// Most octets of one picture put in the page once more when it is shown again: the page stays linear in the document.
const MAX_REPEATED: usize = 4 * 1024;

pub(crate) fn page(shown: &Shown) -> String {
    let title = facts::title(&shown.header);
    let mut page = Page { out: String::with_capacity(16 * 1024), shown: Vec::new() };
    page.out.push_str("<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.out.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'sha256-",
    );
    page.out.push_str(&STYLE_HASH);
    page.out.push_str("'; base-uri 'none'; form-action 'none'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    page.text(title);
    page.out.push_str("</title>\n<style>");
    page.out.push_str(STYLE);
    page.out.push_str("</style>\n</head>\n<body>\n<header>\n<h1>");
    page.text(title);
    page.out.push_str("</h1>\n<dl>\n");
    for fact in facts::of(&shown.header) {
        page.out.push_str("<div><dt>");
        page.text(fact.label);
        page.out.push_str("</dt><dd>");
        page.text(&fact.value);
        page.out.push_str("</dd></div>\n");
    }
    page.out.push_str("</dl>\n</header>\n<main>\n");
    match &shown.content {
        Content::Pdf(bytes) => {
            let _ = writeln!(
                page.out,
                "<p class=\"pdf\">Le contenu de ce document est un PDF de {} octets.</p>",
                bytes.len()
            );
        }
        Content::Body(body) => page.body(body),
    }
    page.out.push_str("</main>\n</body>\n</html>\n");
    page.out
}

struct Page {
    out: String,
    /// For each picture, whether it is in the page already.
    shown: Vec<bool>,
}

impl Page {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                c if c.is_control() => self.out.push(' '),
                c => self.out.push(c),
            }
        }
    }

    fn body(&mut self, body: &Body) {
        self.shown = vec![false; body.pictures.len()];
        for section in &body.sections {
            let level = (section.level + 1).min(6);
            self.out.push_str("<section>\n");
            if let Some(title) = &section.title {
                let _ = write!(self.out, "<h{level}>");
                self.text(title);
                let _ = writeln!(self.out, "</h{level}>");
            }
            self.blocks(&section.blocks, body);
            self.out.push_str("</section>\n");
        }
        if !body.notes.is_empty() {
            self.out.push_str("<section class=\"notes\">\n<h2>Notes</h2>\n<ol>\n");
            for (rank, note) in body.notes.iter().enumerate() {
                let _ = write!(self.out, "<li id=\"note-{}\">", rank + 1);
                self.blocks(note, body);
                self.out.push_str("</li>\n");
            }
            self.out.push_str("</ol>\n</section>\n");
        }
    }

    fn blocks(&mut self, blocks: &[Block], body: &Body) {
        for block in blocks {
            match block {
                Block::Paragraph(line) => {
                    self.out.push_str("<p>");
                    self.line(line, body);
                    self.out.push_str("</p>\n");
                }
                Block::List { caption, marks, items } => self.list(caption, *marks, items, body),
                Block::Table(table) => self.table(table, body),
            }
        }
    }

    fn list(&mut self, caption: &[Inline], marks: Marks, items: &[Vec<Block>], body: &Body) {
        if !caption.is_empty() {
            self.out.push_str("<p class=\"caption\">");
            self.line(caption, body);
            self.out.push_str("</p>\n");
        }
        let (element, class) = match marks {
            Marks::Disc => ("ul", "disc"),
            Marks::Circle => ("ul", "circle"),
            Marks::Square => ("ul", "square"),
            Marks::Arabic => ("ol", "arabic"),
            Marks::LittleRoman => ("ol", "little-roman"),
            Marks::BigRoman => ("ol", "big-roman"),
            Marks::LittleAlpha => ("ol", "little-alpha"),
            Marks::BigAlpha => ("ol", "big-alpha"),
        };
        let _ = writeln!(self.out, "<{element} class=\"{class}\">");
        for item in items {
            self.out.push_str("<li>");
            self.blocks(item, body);
            self.out.push_str("</li>\n");
        }
        let _ = writeln!(self.out, "</{element}>");
    }

    fn table(&mut self, table: &Table, body: &Body) {
        self.out.push_str("<div class=\"table\"><table>\n");
        if !table.caption.is_empty() {
            self.out.push_str("<caption>");
            self.line(&table.caption, body);
            self.out.push_str("</caption>\n");
        }
        let columns = table.columns();
        for (element, rows) in [("thead", &table.head), ("tbody", &table.body)] {
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(self.out, "<{element}>");
            for row in rows {
                self.out.push_str("<tr>");
                row.iter().for_each(|cell| self.cell(cell, columns, body));
                self.out.push_str("</tr>\n");
            }
            let _ = writeln!(self.out, "</{element}>");
        }
        self.out.push_str("</table></div>\n");
    }

    fn cell(&mut self, cell: &Cell, columns: usize, body: &Body) {
        let element = if cell.heading { "th" } else { "td" };
        let _ = write!(self.out, "<{element}");
        if cell.columns > 1 {
            let _ = write!(self.out, " colspan=\"{}\"", cell.columns.min(columns));
        }
        if cell.rows > 1 {
            let _ = write!(self.out, " rowspan=\"{}\"", cell.rows);
        }
        match cell.align {
            Align::Left => {}
            Align::Center => self.out.push_str(" class=\"center\""),
            Align::Right => self.out.push_str(" class=\"right\""),
        }
        self.out.push('>');
        match cell.blocks.as_slice() {
            [Block::Paragraph(line)] => self.line(line, body),
            blocks => self.blocks(blocks, body),
        }
        let _ = write!(self.out, "</{element}>");
    }

    fn line(&mut self, line: &[Inline], body: &Body) {
        for inline in line {
            match inline {
                Inline::Text(text, style) => self.styled(text, *style),
                Inline::Break => self.out.push_str("<br>"),
                Inline::Anchor(rank) => {
                    let _ = write!(self.out, "<span id=\"a-{rank}\"></span>");
                }
                Inline::Link(rank, inner) => {
                    let _ = write!(self.out, "<a href=\"#a-{rank}\">");
                    self.line(inner, body);
                    self.out.push_str("</a>");
                }
                Inline::Note(rank) => {
                    let number = rank + 1;
                    let _ = write!(self.out, "<sup><a href=\"#note-{number}\">[{number}]</a></sup>");
                }
                Inline::Picture(rank) => self.picture(*rank, &body.pictures[*rank]),
            }
        }
    }

    fn styled(&mut self, text: &str, style: Style) {
        let marks = [
            (style.bold, "b"),
            (style.italic, "i"),
            (style.underline, "u"),
            (style.struck, "s"),
            (style.sub, "sub"),
            (style.sup, "sup"),
        ];
        for (_, element) in marks.iter().filter(|(on, _)| *on) {
            let _ = write!(self.out, "<{element}>");
        }
        self.text(text);
        for (_, element) in marks.iter().rev().filter(|(on, _)| *on) {
            let _ = write!(self.out, "</{element}>");
        }
    }

    fn picture(&mut self, rank: usize, picture: &Picture) {
        if self.shown[rank] && picture.bytes.len() > MAX_REPEATED {
            self.out.push_str("<i>[même image que plus haut]</i>");
            return;
        }
        self.shown[rank] = true;
        let media = if picture.jpeg { "image/jpeg" } else { "image/png" };
        let _ = write!(self.out, "<img src=\"data:{media};base64,");
        STANDARD.encode_string(&picture.bytes, &mut self.out);
        self.out.push_str("\" alt=\"");
        self.text(if picture.caption.is_empty() { "Image du document" } else { &picture.caption });
        self.out.push_str("\">");
    }
}
