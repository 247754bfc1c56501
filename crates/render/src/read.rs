//! From the tree of a CDA to what is shown: sections and their narrative (CDA R2 §4.3.5, StrucDoc).
//!
//! Tolerant: an element that StrucDoc does not know is passed through, its text kept, so that nothing the author wrote is lost. All
//! letters go through [`clean`]; what would move the cursor, reorder the line or hide is gone.

use std::collections::{HashMap, HashSet};

use mssante::cda::CdaHeader;
use mssante::xml::{child, children, path};
use roxmltree::Node;

use crate::embedded::{self, Media};
use crate::error::RenderError;
use crate::line::{one_line, tidy};
use crate::model::{Align, Block, Body, Cell, Inline, Marks, Section, Style, Table};
use crate::picture;

/// Widest table, in columns: wider is unreadable on any page.
pub(crate) const MAX_COLUMNS: usize = 64;
/// Most cells of all tables: a year of daily biology has some ten thousand.
const MAX_CELLS: usize = 50_000;
/// Most octets of narrative text: a thousand printed pages.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Most pictures, and most octets of all of them.
const MAX_PICTURES: usize = 100;
const MAX_PICTURE_OCTETS: usize = 24 * 1024 * 1024;
/// Most dots of all pictures: what bounds the time to decode them.
const MAX_PICTURE_DOTS: u64 = 64 * 1024 * 1024;
/// Deepest section shown as a heading of its own level.
const MAX_LEVEL: u8 = 6;
/// Deepest nesting followed; the XML reader bounds it at 200, and this keeps the stack of any thread safe.
const MAX_DEPTH: usize = 100;

/// A document ready to be drawn.
#[derive(Debug)]
pub(crate) struct Shown {
    pub header: CdaHeader,
    pub content: Content,
}

/// What a document holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// A PDF, octet for octet.
    Pdf(Vec<u8>),
    /// Anything that is drawn here.
    Body(Body),
}

/// Reads a document.
pub(crate) fn document(root: Node<'_, '_>) -> Result<Shown, RenderError> {
    let header = CdaHeader::of(root)?;
    let component = child(root, "component").ok_or(RenderError::Empty)?;
    let content = if let Some(text) = path(component, &["nonXMLBody", "text"]) {
        match embedded::file(text)? {
            (Media::Pdf, bytes) => Content::Pdf(bytes),
            (Media::Text, bytes) => Content::Body(plain(&bytes)?),
            (media, bytes) => Content::Body(alone(media, bytes, &header)?),
        }
    } else {
        let body = child(component, "structuredBody").ok_or(RenderError::Empty)?;
        Content::Body(Reader::new(body)?.body(body)?)
    };
    Ok(Shown { header, content })
}

/// A text file: its lines as they are.
fn plain(bytes: &[u8]) -> Result<Body, RenderError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RenderError::NotAnnounced)?;
    if text.len() > MAX_TEXT {
        return Err(RenderError::Limit);
    }
    let blocks = text
        .split("\n\n")
        .map(|paragraph| {
            let mut line = Vec::new();
            for (rank, text) in paragraph.trim_matches(['\r', '\n']).lines().enumerate() {
                if rank > 0 {
                    line.push(Inline::Break);
                }
                let text = clean(text);
                // Columns made of blanks stay columns.
                line.push(Inline::Text(text.trim_end().replace("  ", "\u{A0} "), Style::default()));
            }
            Block::Paragraph(line)
        })
        .collect();
    Ok(Body { sections: vec![Section { title: None, level: 1, blocks }], ..Body::default() })
}

/// An image that is the whole document.
fn alone(media: Media, bytes: Vec<u8>, header: &CdaHeader) -> Result<Body, RenderError> {
    let picture = picture::of(media, bytes, crate::facts::title(header).to_owned())?;
    let blocks = vec![Block::Paragraph(vec![Inline::Picture(0)])];
    Ok(Body { sections: vec![Section { title: None, level: 1, blocks }], pictures: vec![picture], ..Body::default() })
}

/// Letters only: control characters become blanks; marks that reorder or hide are taken out.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| {
            !matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
        })
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

struct Reader<'a, 'i> {
    /// Elements by identifier: targets of links, footnotes, pictures.
    by_id: HashMap<&'a str, Node<'a, 'i>>,
    /// Identifiers that a link leads to, with the anchor's rank.
    anchors: HashMap<&'a str, usize>,
    /// Anchors already set: an identifier given twice leads to the first.
    set: HashSet<usize>,
    /// Rank of the footnote of that element.
    notes: HashMap<roxmltree::NodeId, usize>,
    /// Rank of the picture of that element; none when it cannot be shown.
    shown: HashMap<roxmltree::NodeId, Option<usize>>,
    body: Body,
    text: usize,
    cells: usize,
    /// Inside how many cells: StrucDoc has no table in a table, and one that comes is shown line by line. A table's columns are measured
    /// before they are drawn; nested, that would double at each level.
    in_cells: usize,
    picture_octets: usize,
    picture_dots: u64,
}

/// Blocks under construction, the last line open.
#[derive(Default)]
struct Flow {
    blocks: Vec<Block>,
    line: Vec<Inline>,
}

impl Flow {
    fn end_line(&mut self) {
        let line = tidy(std::mem::take(&mut self.line));
        if !line.is_empty() {
            self.blocks.push(Block::Paragraph(line));
        }
    }

    fn into_blocks(mut self) -> Vec<Block> {
        self.end_line();
        self.blocks
    }
}

impl<'a, 'i> Reader<'a, 'i> {
    fn new(body: Node<'a, 'i>) -> Result<Self, RenderError> {
        let mut reader = Self {
            by_id: HashMap::new(),
            anchors: HashMap::new(),
            set: HashSet::new(),
            notes: HashMap::new(),
            shown: HashMap::new(),
            body: Body::default(),
            text: 0,
            cells: 0,
            in_cells: 0,
            picture_octets: 0,
            picture_dots: 0,
        };
        for node in body.descendants().filter(Node::is_element) {
            if let Some(id) = node.attribute("ID") {
                reader.by_id.entry(id).or_insert(node);
            }
            match node.tag_name().name() {
                "linkHtml" => {
                    if let Some(target) = node.attribute("href").and_then(|href| href.strip_prefix('#')) {
                        let next = reader.anchors.len();
                        reader.anchors.entry(target).or_insert(next);
                    }
                }
                "footnote" => {
                    let next = reader.notes.len();
                    reader.notes.insert(node.id(), next);
                }
                _ => {}
            }
        }
        reader.anchors.retain(|target, _| reader.by_id.contains_key(target));
        Ok(reader)
    }

    fn body(mut self, body: Node<'a, 'i>) -> Result<Body, RenderError> {
        self.body.notes = vec![Vec::new(); self.notes.len()];
        self.sections(body, 1, 0)?;
        let empty = |section: &Section| section.title.is_none() && section.blocks.is_empty();
        if self.body.sections.iter().all(empty) {
            return Err(RenderError::Empty);
        }
        Ok(self.body)
    }

    /// The sections directly in a body or in a section.
    fn sections(&mut self, parent: Node<'a, 'i>, level: u8, depth: usize) -> Result<(), RenderError> {
        if depth > MAX_DEPTH {
            return Err(RenderError::Limit);
        }
        for component in children(parent, "component") {
            for section in children(component, "section") {
                let title = child(section, "title").map(|title| self.letters(title, 0)).transpose()?;
                let title = title.map(|letters| one_line(&letters));
                let mut flow = Flow::default();
                self.anchor(section, &mut flow);
                for text in children(section, "text") {
                    self.anchor(text, &mut flow);
                    self.walk(text, &mut flow, Style::default(), 0)?;
                }
                let blocks = flow.into_blocks();
                self.body.sections.push(Section { title: title.filter(|t| !t.is_empty()), level, blocks });
                self.sections(section, (level + 1).min(MAX_LEVEL), depth + 1)?;
            }
        }
        Ok(())
    }

    /// All letters of an element.
    fn letters(&mut self, node: Node<'a, 'i>, depth: usize) -> Result<String, RenderError> {
        if depth > MAX_DEPTH {
            return Err(RenderError::Limit);
        }
        let mut text = String::new();
        for inner in node.children() {
            if let Some(letters) = inner.text().filter(|_| inner.is_text()) {
                self.count(letters)?;
                text.push_str(&clean(letters));
            } else if inner.is_element() {
                text.push_str(&self.letters(inner, depth + 1)?);
            }
        }
        Ok(text)
    }

    fn count(&mut self, text: &str) -> Result<(), RenderError> {
        self.text += text.len();
        if self.text > MAX_TEXT { Err(RenderError::Limit) } else { Ok(()) }
    }

    fn anchor(&mut self, node: Node<'a, 'i>, flow: &mut Flow) {
        let rank = node.attribute("ID").and_then(|id| self.anchors.get(id)).copied();
        if let Some(rank) = rank.filter(|rank| self.set.insert(*rank)) {
            flow.line.push(Inline::Anchor(rank));
        }
    }

    /// What is inside an element, after what the flow holds.
    fn walk(&mut self, parent: Node<'a, 'i>, flow: &mut Flow, style: Style, depth: usize) -> Result<(), RenderError> {
        if depth > MAX_DEPTH {
            return Err(RenderError::Limit);
        }
        for node in parent.children() {
            if let Some(text) = node.text().filter(|_| node.is_text()) {
                self.count(text)?;
                flow.line.push(Inline::Text(clean(text), style));
            } else if node.is_element() {
                self.element(node, flow, style, depth + 1)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, node: Node<'a, 'i>, flow: &mut Flow, style: Style, depth: usize) -> Result<(), RenderError> {
        let name = node.tag_name().name();
        if !matches!(name, "list" | "table" | "paragraph") {
            self.anchor(node, flow);
        }
        match name {
            "br" => flow.line.push(Inline::Break),
            "sub" => self.walk(node, flow, Style { sub: true, ..style }, depth)?,
            "sup" => self.walk(node, flow, Style { sup: true, ..style }, depth)?,
            "content" => self.walk(node, flow, styled(node, style), depth)?,
            "paragraph" => {
                flow.end_line();
                self.anchor(node, flow);
                self.walk(node, flow, styled(node, style), depth)?;
                flow.end_line();
            }
            "caption" => {
                self.walk(node, flow, Style { bold: true, ..style }, depth)?;
                flow.end_line();
            }
            "linkHtml" => self.link(node, flow, style, depth)?,
            "footnote" => self.note(node, flow, depth)?,
            "footnoteRef" => {
                let note = node.attribute("IDREF").and_then(|id| self.by_id.get(id)).map(Node::id);
                if let Some(rank) = note.and_then(|id| self.notes.get(&id)) {
                    flow.line.push(Inline::Note(*rank));
                }
            }
            "renderMultiMedia" => self.pictures(node, flow, style, depth)?,
            "list" => {
                flow.end_line();
                self.anchor(node, flow);
                flow.end_line();
                let list = self.list(node, style, depth)?;
                flow.blocks.push(list);
            }
            "table" if self.in_cells == 0 => {
                flow.end_line();
                self.anchor(node, flow);
                flow.end_line();
                let table = self.table(node, style, depth)?;
                flow.blocks.push(table);
            }
            // No list or table of their own: their text is kept, on lines of their own.
            "table" | "item" | "tr" | "td" | "th" => {
                flow.end_line();
                self.walk(node, flow, style, depth)?;
                flow.end_line();
            }
            _ => self.walk(node, flow, style, depth)?,
        }
        Ok(())
    }

    fn link(&mut self, node: Node<'a, 'i>, flow: &mut Flow, style: Style, depth: usize) -> Result<(), RenderError> {
        let href = node.attribute("href").unwrap_or_default();
        let target = href.strip_prefix('#').and_then(|id| self.anchors.get(id)).copied();
        let mut inner = Flow::default();
        self.walk(node, &mut inner, style, depth)?;
        match target {
            Some(rank) if inner.blocks.is_empty() => flow.line.push(Inline::Link(rank, inner.line)),
            _ => {
                flow.line.append(&mut inner.line);
                flow.blocks.append(&mut inner.blocks);
                // The address of a page elsewhere is told, not followed.
                if href.starts_with("http://") || href.starts_with("https://") {
                    self.count(href)?;
                    flow.line.push(Inline::Text(format!(" ({})", one_line(&clean(href))), style));
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, node: Node<'a, 'i>, flow: &mut Flow, depth: usize) -> Result<(), RenderError> {
        // Every footnote of the body was numbered before.
        if let Some(rank) = self.notes.get(&node.id()).copied() {
            let mut inner = Flow::default();
            self.walk(node, &mut inner, Style::default(), depth)?;
            self.body.notes[rank] = inner.into_blocks();
            flow.line.push(Inline::Note(rank));
        }
        Ok(())
    }

    fn pictures(&mut self, node: Node<'a, 'i>, flow: &mut Flow, style: Style, depth: usize) -> Result<(), RenderError> {
        let caption = child(node, "caption").map(|c| self.letters(c, depth)).transpose()?.unwrap_or_default();
        let caption = one_line(&caption);
        for id in node.attribute("referencedObject").unwrap_or_default().split_ascii_whitespace() {
            match self.picture(id, &caption)? {
                Some(rank) => flow.line.push(Inline::Picture(rank)),
                None => {
                    let italic = Style { italic: true, ..style };
                    flow.line
                        .push(Inline::Text(" [image non affichable : voir le document d'origine] ".to_owned(), italic));
                }
            }
        }
        if !caption.is_empty() {
            flow.line.push(Inline::Text(format!(" {caption} "), Style { italic: true, ..style }));
        }
        Ok(())
    }

    /// The picture that an identifier names, taken out once.
    fn picture(&mut self, id: &str, caption: &str) -> Result<Option<usize>, RenderError> {
        let Some(node) = self.by_id.get(id).copied() else { return Ok(None) };
        // A region of interest lies on the observation inside it.
        let observation = if node.tag_name().name() == "observationMedia" {
            Some(node)
        } else {
            node.descendants().find(|n| n.tag_name().name() == "observationMedia")
        };
        let Some(value) = observation.and_then(|o| child(o, "value")) else { return Ok(None) };
        if let Some(known) = self.shown.get(&value.id()) {
            return Ok(*known);
        }
        let taken = embedded::file(value).and_then(|(media, bytes)| picture::of(media, bytes, caption.to_owned()));
        let rank = match taken {
            Ok(picture) => {
                self.picture_octets += picture.bytes.len();
                self.picture_dots += u64::from(picture.width) * u64::from(picture.height);
                self.body.pictures.push(picture);
                if self.body.pictures.len() > MAX_PICTURES
                    || self.picture_octets > MAX_PICTURE_OCTETS
                    || self.picture_dots > MAX_PICTURE_DOTS
                {
                    return Err(RenderError::Limit);
                }
                Some(self.body.pictures.len() - 1)
            }
            Err(_) => None,
        };
        self.shown.insert(value.id(), rank);
        Ok(rank)
    }

    fn list(&mut self, node: Node<'a, 'i>, style: Style, depth: usize) -> Result<Block, RenderError> {
        let style = styled(node, style);
        let caption = self.caption(node, style, depth)?;
        let mut items = Vec::new();
        for item in children(node, "item") {
            let mut flow = Flow::default();
            self.anchor(item, &mut flow);
            self.walk(item, &mut flow, styled(item, style), depth)?;
            items.push(flow.into_blocks());
        }
        let ordered = node.attribute("listType") == Some("ordered");
        let mut marks = if ordered { Marks::Arabic } else { Marks::Disc };
        for token in tokens(node) {
            marks = match token {
                "Arabic" => Marks::Arabic,
                "LittleRoman" => Marks::LittleRoman,
                "BigRoman" => Marks::BigRoman,
                "LittleAlpha" => Marks::LittleAlpha,
                "BigAlpha" => Marks::BigAlpha,
                "Disc" => Marks::Disc,
                "Circle" => Marks::Circle,
                "Square" => Marks::Square,
                _ => marks,
            };
        }
        Ok(Block::List { caption, marks, items })
    }

    fn caption(&mut self, node: Node<'a, 'i>, style: Style, depth: usize) -> Result<Vec<Inline>, RenderError> {
        let mut flow = Flow::default();
        for caption in children(node, "caption") {
            self.walk(caption, &mut flow, Style { bold: true, ..style }, depth)?;
        }
        Ok(tidy(flow.line))
    }

    fn table(&mut self, node: Node<'a, 'i>, style: Style, depth: usize) -> Result<Block, RenderError> {
        let style = styled(node, style);
        let mut table = Table { caption: self.caption(node, style, depth)?, ..Table::default() };
        let (mut foot, mut body) = (Vec::new(), Vec::new());
        for group in node.children().filter(Node::is_element) {
            match group.tag_name().name() {
                "thead" => self.rows(group, style, depth, &mut table.head)?,
                "tfoot" => self.rows(group, style, depth, &mut foot)?,
                "tbody" => self.rows(group, style, depth, &mut body)?,
                // Rows outside any group.
                "tr" => {
                    let row = self.row(group, style, depth)?;
                    body.push(row);
                }
                "caption" | "col" | "colgroup" => {}
                // Text where none may be: a row of its own rather than lost.
                _ => {
                    let cell = self.cell(group, Flow::default(), style, depth)?;
                    body.push(vec![Cell { columns: MAX_COLUMNS, ..cell }]);
                }
            }
        }
        // What spans beyond its group ends with it (HTML says the same).
        for group in [&mut table.head, &mut body, &mut foot] {
            let rows = group.len();
            for (rank, row) in group.iter_mut().enumerate() {
                row.iter_mut().for_each(|cell| cell.rows = cell.rows.min(rows - rank));
            }
        }
        body.append(&mut foot);
        table.body = body;
        Ok(Block::Table(table))
    }

    fn rows(
        &mut self,
        group: Node<'a, 'i>,
        style: Style,
        depth: usize,
        into: &mut Vec<Vec<Cell>>,
    ) -> Result<(), RenderError> {
        let style = styled(group, style);
        for row in children(group, "tr") {
            let row = self.row(row, style, depth)?;
            into.push(row);
        }
        Ok(())
    }

    fn row(&mut self, row: Node<'a, 'i>, style: Style, depth: usize) -> Result<Vec<Cell>, RenderError> {
        let style = styled(row, style);
        // The anchor of a row stands in its first cell.
        let mut lead = Flow::default();
        self.anchor(row, &mut lead);
        let mut cells = Vec::new();
        for cell in row.children().filter(Node::is_element) {
            let cell = self.cell(cell, std::mem::take(&mut lead), style, depth)?;
            cells.push(cell);
        }
        Ok(cells)
    }

    fn cell(&mut self, node: Node<'a, 'i>, mut flow: Flow, style: Style, depth: usize) -> Result<Cell, RenderError> {
        self.cells += 1;
        if self.cells > MAX_CELLS {
            return Err(RenderError::Limit);
        }
        self.anchor(node, &mut flow);
        self.in_cells += 1;
        self.walk(node, &mut flow, styled(node, style), depth + 1)?;
        self.in_cells -= 1;
        let number = |name: &str| node.attribute(name).and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or(1).max(1);
        Ok(Cell {
            heading: node.tag_name().name() == "th",
            columns: number("colspan").min(MAX_COLUMNS),
            rows: number("rowspan").min(MAX_CELLS),
            align: match node.attribute("align") {
                Some("center") => Align::Center,
                Some("right") => Align::Right,
                _ => Align::Left,
            },
            blocks: flow.into_blocks(),
        })
    }
}

fn tokens<'a>(node: Node<'a, '_>) -> impl Iterator<Item = &'a str> {
    node.attribute("styleCode").unwrap_or_default().split_ascii_whitespace()
}

/// The style of an element: its style codes and revision marks on its parent's.
fn styled(node: Node<'_, '_>, mut style: Style) -> Style {
    for token in tokens(node) {
        match token {
            "Bold" => style.bold = true,
            "Italics" | "Emphasis" => style.italic = true,
            "Underline" => style.underline = true,
            _ => {}
        }
    }
    match node.attribute("revised") {
        Some("delete") => style.struck = true,
        Some("insert") => style.underline = true,
        _ => {}
    }
    style
}
