//! A document as plain text, for terminals. What the model holds has no control character, so nothing of a document can act on one.

use crate::facts;
use crate::model::{Align, Block, Body, Cell, Inline, Table, is_blank, place};
use crate::read::{Content, Shown};

/// Narrowest width laid out; a narrower terminal wraps by itself.
const MIN_WIDTH: usize = 24;
/// Widest width laid out: longer lines cannot be read.
const MAX_WIDTH: usize = 200;
/// Narrowest column of a table drawn as a table.
const MIN_COLUMN: usize = 6;

pub(crate) fn page(shown: &Shown, width: usize) -> String {
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let mut out = Vec::new();
    out.extend(wrap(&crate::read::clean(&facts::title(&shown.header).to_uppercase()), width));
    out.push("=".repeat(width));
    let facts = facts::of(&shown.header);
    let label = facts.iter().map(|fact| columns(fact.label)).max().unwrap_or_default() + 3;
    for fact in &facts {
        let lines = wrap(&crate::read::clean(&fact.value), width.saturating_sub(label).max(MIN_WIDTH));
        for (rank, line) in lines.into_iter().enumerate() {
            let head = if rank == 0 { format!("{} :", fact.label) } else { String::new() };
            out.push(format!("{}{line}", pad(&head, label)));
        }
    }
    out.push("=".repeat(width));
    match &shown.content {
        Content::Pdf(bytes) => {
            out.push(String::new());
            out.extend(wrap(&format!("Le contenu de ce document est un PDF de {} octets.", bytes.len()), width));
        }
        Content::Body(body) => {
            for section in &body.sections {
                out.push(String::new());
                if let Some(title) = &section.title {
                    out.extend(wrap(title, width));
                    out.push(if section.level == 1 { "-" } else { "·" }.repeat(columns(title).min(width)));
                }
                blocks(&section.blocks, body, width, &mut out);
            }
            if !body.notes.is_empty() {
                out.extend([String::new(), "Notes".to_owned(), "-----".to_owned()]);
                for (rank, note) in body.notes.iter().enumerate() {
                    indented(&format!("[{}] ", rank + 1), note, body, width, &mut out);
                }
            }
        }
    }
    let mut text = String::new();
    for line in out {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn blocks(blocks: &[Block], body: &Body, width: usize, out: &mut Vec<String>) {
    for block in blocks {
        match block {
            Block::Paragraph(line) if is_blank(line) => {}
            Block::Paragraph(line) => out.extend(wrap(&flat(line, body), width)),
            Block::List { caption, marks, items } => {
                if !caption.is_empty() {
                    out.extend(wrap(&flat(caption, body), width));
                }
                for (rank, item) in items.iter().enumerate() {
                    indented(&format!("  {} ", marks.of(rank)), item, body, width, out);
                }
            }
            Block::Table(table) => self::table(table, body, width, out),
        }
    }
}

/// Blocks beside a mark.
fn indented(mark: &str, item: &[Block], body: &Body, width: usize, out: &mut Vec<String>) {
    let indent = columns(mark);
    let mut lines = Vec::new();
    blocks(item, body, width.saturating_sub(indent).max(MIN_WIDTH), &mut lines);
    if lines.is_empty() {
        lines.push(String::new());
    }
    for (rank, line) in lines.into_iter().enumerate() {
        out.push(if rank == 0 { format!("{mark}{line}") } else { format!("{}{line}", " ".repeat(indent)) });
    }
}

fn flat(line: &[Inline], body: &Body) -> String {
    let mut text = String::new();
    for inline in line {
        match inline {
            Inline::Text(letters, style) if style.struck => text.push_str(&format!("[supprimé : {letters}]")),
            // 10⁹ must not become 109.
            Inline::Text(letters, style)
                if style.sup && letters.chars().all(|c| c.is_numeric() || matches!(c, '+' | '-' | '−')) =>
            {
                text.push('^');
                text.push_str(letters);
            }
            Inline::Text(letters, _) => text.push_str(letters),
            Inline::Break => text.push('\n'),
            Inline::Anchor(_) => {}
            Inline::Link(_, inner) => text.push_str(&flat(inner, body)),
            Inline::Note(rank) => text.push_str(&format!("[{}]", rank + 1)),
            Inline::Picture(rank) => {
                let caption = &body.pictures[*rank].caption;
                text.push_str(&if caption.is_empty() { "[image]".to_owned() } else { format!("[image : {caption}]") });
            }
        }
    }
    text
}

/// Drawn as a table when every word has room, else cell by cell under its heading.
fn table(table: &Table, body: &Body, width: usize, out: &mut Vec<String>) {
    if !table.caption.is_empty() {
        out.extend(wrap(&flat(&table.caption, body), width));
    }
    let count = table.columns();
    if count == 0 {
        return;
    }
    let cell_text = |cell: &Cell, width: usize| {
        let mut lines = Vec::new();
        blocks(&cell.blocks, body, width, &mut lines);
        lines
    };
    // What each column would like, and the longest word that it must hold, from cells of one column.
    let mut wanted = vec![MIN_COLUMN; count];
    let mut least = vec![MIN_COLUMN; count];
    for rows in [&table.head, &table.body] {
        for (row, places) in rows.iter().zip(place(rows)) {
            for (cell, place) in row.iter().zip(places).filter(|(_, place)| place.columns == 1) {
                let lines = cell_text(cell, MAX_WIDTH);
                let words = lines.iter().flat_map(|line| line.split(' ')).map(columns);
                least[place.column] = least[place.column].max(words.max().unwrap_or_default());
                let longest = lines.iter().map(|line| columns(line)).max().unwrap_or_default();
                wanted[place.column] = wanted[place.column].max(longest);
            }
        }
    }
    let room = (width + 3).saturating_sub(3 * count);
    if room < least.iter().sum() {
        return listed(table, body, width, out);
    }
    let widths = share(&least, &wanted, room);
    let rule = || "-".repeat((widths.iter().sum::<usize>() + 3 * count).saturating_sub(3));
    out.push(rule());
    for (rows, is_head) in [(&table.head, true), (&table.body, false)] {
        for (row, places) in rows.iter().zip(place(rows)) {
            let mut height = 1;
            let drawn: Vec<(usize, usize, Align, Vec<String>)> = row
                .iter()
                .zip(places)
                .map(|(cell, place)| {
                    let span: usize = widths[place.column..place.column + place.columns].iter().sum::<usize>()
                        + 3 * (place.columns - 1);
                    let mut lines = Vec::new();
                    blocks(&cell.blocks, body, span, &mut lines);
                    height = height.max(lines.len());
                    (place.column, span, cell.align, lines)
                })
                .collect();
            for at in 0..height {
                let mut line = String::new();
                let mut begun = 0;
                for (column, span, align, lines) in &drawn {
                    let start: usize = widths[..*column].iter().map(|w| w + 3).sum();
                    line.push_str(&" ".repeat(start.saturating_sub(begun)));
                    let text = lines.get(at).map_or("", String::as_str);
                    let free = span.saturating_sub(columns(text));
                    let before = match align {
                        Align::Left => 0,
                        Align::Center => free / 2,
                        Align::Right => free,
                    };
                    line.push_str(&pad(&format!("{}{text}", " ".repeat(before)), *span));
                    line.push_str(" | ");
                    begun = start.max(begun) + span.max(&columns(text)) + 3;
                }
                let line = line.trim_end();
                out.push(line.strip_suffix('|').unwrap_or(line).to_owned());
            }
        }
        if is_head && !rows.is_empty() {
            out.push(rule());
        }
    }
    out.push(rule());
}

/// Widths that fit: what is wanted when there is room, else the widest give first, down to their longest word.
fn share(least: &[usize], wanted: &[usize], room: usize) -> Vec<usize> {
    let capped = |cap: usize| least.iter().zip(wanted).map(move |(least, wanted)| (*wanted).min(cap).max(*least));
    // The highest cap under which all fit.
    let (mut low, mut high) = (0, room);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if capped(middle).sum::<usize>() <= room {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    capped(low).collect()
}

/// A table too wide for the terminal: each row as lines `heading: cell`.
fn listed(table: &Table, body: &Body, width: usize, out: &mut Vec<String>) {
    let mut headings = vec![String::new(); table.columns()];
    for (row, places) in table.head.iter().zip(place(&table.head)) {
        for (cell, place) in row.iter().zip(places) {
            let text: Vec<String> = cell.blocks.iter().map(|block| inline_text(block, body)).collect();
            headings[place.column] = text.join(" ");
        }
    }
    for (row, places) in table.body.iter().zip(place(&table.body)) {
        out.push("-".repeat(width));
        for (cell, place) in row.iter().zip(places) {
            let text: Vec<String> = cell.blocks.iter().map(|block| inline_text(block, body)).collect();
            let heading = &headings[place.column];
            let text = text.join(" ");
            out.extend(wrap(&if heading.is_empty() { text } else { format!("{heading} : {text}") }, width));
        }
    }
    out.push("-".repeat(width));
}

fn inline_text(block: &Block, body: &Body) -> String {
    match block {
        Block::Paragraph(line) => flat(line, body).replace('\n', " "),
        Block::List { items, .. } => {
            items.iter().flatten().map(|block| inline_text(block, body)).collect::<Vec<_>>().join(" ; ")
        }
        Block::Table(table) => {
            let cells = table.head.iter().chain(&table.body).flatten().flat_map(|cell| &cell.blocks);
            cells.map(|block| inline_text(block, body)).collect::<Vec<_>>().join(" ; ")
        }
    }
}

/// Columns that a text takes in a terminal: one for each letter; marks that combine take none, ideographs two.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '\u{0300}'..='\u{036F}' => 0,
            '\u{1100}'..='\u{115F}'
            | '\u{2E80}'..='\u{A4CF}'
            | '\u{AC00}'..='\u{D7A3}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{FF00}'..='\u{FF60}'
            | '\u{1F300}'..='\u{1FAFF}' => 2,
            _ => 1,
        })
        .sum()
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Lines of at most `width` columns, cut at blanks; a longer word is cut where it must be.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let (mut line, mut taken) = (String::new(), 0);
        for word in paragraph.split(' ') {
            let size = columns(word);
            if taken > 0 && taken + 1 + size > width {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            } else if taken > 0 {
                line.push(' ');
                taken += 1;
            }
            if size <= width {
                line.push_str(word);
                taken += size;
                continue;
            }
            for c in word.chars() {
                let size = columns(c.encode_utf8(&mut [0; 4]));
                if taken + size > width {
                    lines.push(std::mem::take(&mut line));
                    taken = 0;
                }
                line.push(c);
                taken += size;
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_are_shared() {
        assert_eq!(share(&[1, 1], &[5, 6], 20), [5, 6]);
        assert_eq!(share(&[1, 1, 1], &[5, 60, 70], 45), [5, 20, 20]);
        assert_eq!(share(&[1, 30, 1], &[5, 60, 70], 45), [5, 30, 10]);
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_letter(text in "[a-zéà ]{0,200}", width in 1usize..40) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| columns(line) <= width));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
