//! The answer: on standard output, for people or as JSON. Nothing of this command is printed but through here.
//!
//! Invariants: every text is cleaned ([`super::safe`]) before it is coloured; whoever reads may leave; notes and progress go to standard
//! error.

use std::io::{IsTerminal, Write};

use lps::explain::{Explain, Language};
use serde_json::Value;

use super::error::{self, CommandError, Stop};
use super::safe;

/// How a text looks on a terminal with colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Bold.
    Strong,
    /// Less than the rest.
    Faint,
    /// Done, trusted.
    Good,
    /// Failed, to be looked at.
    Bad,
    /// A title or an identifier to take up.
    Accent,
}

impl Style {
    /// The SGR parameters.
    fn code(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Strong => Some("1"),
            Style::Faint => Some("2"),
            Style::Good => Some("32"),
            Style::Bad => Some("31"),
            Style::Accent => Some("36"),
        }
    }
}

/// A text and its look.
#[derive(Debug, Clone)]
pub struct Cell(pub Style, pub String);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell(Style::Plain, text.into())
    }
}

/// Where answers go.
#[derive(Debug)]
pub struct Out {
    /// Whether they are JSON.
    pub json: bool,
    /// The language of messages.
    pub language: Language,
    colour: bool,
    /// Columns of the terminal; none when it is a pipe or a file, where nothing is cut.
    columns: Option<usize>,
}

/// Between two columns of a table.
const GAP: &str = "  ";
/// The least a column that is cut keeps.
const LEAST: usize = 12;

impl Out {
    /// For this process.
    pub fn new(json: bool, language: Language) -> Out {
        let terminal = std::io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Out {
            json,
            language,
            colour: terminal && !set("NO_COLOR") && !dumb,
            columns: if terminal { columns } else { None },
        }
    }

    /// One of two texts.
    pub fn pick<'a>(&self, french: &'a str, english: &'a str) -> &'a str {
        self.language.pick(french, english)
    }

    fn write(&self, text: &str) -> Result<(), Stop> {
        let mut output = std::io::stdout().lock();
        output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(gone)
    }

    fn styled(&self, style: Style, clean: &str) -> String {
        match style.code() {
            Some(code) if self.colour && !clean.is_empty() => format!("\u{1b}[{code}m{clean}\u{1b}[0m"),
            _ => clean.to_owned(),
        }
    }

    /// A line for people.
    pub fn line(&self, cells: impl IntoIterator<Item = impl Into<Cell>>) -> Result<(), Stop> {
        let mut line = String::new();
        for cell in cells {
            let Cell(style, text) = cell.into();
            line.push_str(&self.styled(style, &safe::line(&text)));
        }
        self.write(&format!("{line}\n"))
    }

    /// A plain line for people.
    pub fn say(&self, text: impl AsRef<str>) -> Result<(), Stop> {
        self.line([text.as_ref()])
    }

    /// Several lines for people: the body of a message.
    pub fn text(&self, text: &str) -> Result<(), Stop> {
        let text = safe::text(text);
        self.write(text.trim_end_matches('\n'))?;
        self.write("\n")
    }

    /// A title and its value, aligned with the others of that width.
    pub fn field(&self, title: &str, width: usize, value: impl Into<Cell>) -> Result<(), Stop> {
        let blanks = " ".repeat(width.saturating_sub(safe::width(title)));
        self.line([Cell(Style::Faint, format!("{title}{blanks}")), GAP.into(), value.into()])
    }

    /// Rows under headers. On a terminal the columns named in `cut` give way, the widest first, until a row fits.
    pub fn table(&self, headers: &[&str], rows: &[Vec<Cell>], cut: &[usize]) -> Result<(), Stop> {
        let clean_rows: Vec<Vec<(Style, String)>> =
            rows.iter().map(|row| row.iter().map(|Cell(style, text)| (*style, safe::line(text))).collect()).collect();
        let mut widths: Vec<usize> = headers.iter().map(|header| safe::width(header)).collect();
        for row in &clean_rows {
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = (*width).max(safe::width(text));
            }
        }
        if let Some(columns) = self.columns {
            shrink(&mut widths, cut, columns.saturating_sub(GAP.len() * headers.len().saturating_sub(1)));
        }
        let header: Vec<_> = headers.iter().map(|header| (Style::Faint, (*header).to_owned())).collect();
        let mut lines = String::new();
        for row in std::iter::once(&header).chain(&clean_rows) {
            let mut line = String::new();
            let last = row.iter().rposition(|(_, text)| !text.is_empty()).map_or(0, |last| last + 1);
            for (number, ((style, text), width)) in row.iter().zip(&widths).take(last).enumerate() {
                let text = if self.columns.is_some() { safe::cut(text, *width) } else { text.clone() };
                line.push_str(&self.styled(*style, &text));
                if number + 1 < last {
                    line.push_str(&" ".repeat(width.saturating_sub(safe::width(&text))));
                    line.push_str(GAP);
                }
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        self.write(&lines)
    }

    /// The answer as one JSON document.
    pub fn document(&self, value: &Value) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(value).expect("a JSON value is always text");
        self.write(&format!("{}\n", safe::json(&text)))
    }

    /// One JSON line of a stream.
    pub fn event(&self, value: &Value) -> Result<(), Stop> {
        self.write(&format!("{}\n", safe::json(&value.to_string())))
    }

    /// Octets as they are, for what is meant for a file or another program.
    pub fn raw(&self, octets: &[u8]) -> Result<(), Stop> {
        let mut output = std::io::stdout().lock();
        output.write_all(octets).and_then(|()| output.flush()).map_err(gone)
    }

    /// Asks who sits there; none when nobody does (standard input is no terminal).
    pub fn ask(&self, question: &str) -> Result<Option<String>, Stop> {
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let _ = write!(std::io::stderr(), "{}", safe::text(question));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(CommandError::Stream)?;
        Ok(Some(answer))
    }

    /// Whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// A line beside the answer, on standard error.
    pub fn note(&self, text: &str) {
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stderr(), "{}", safe::line(text));
    }

    /// An error: as `{"error": …}` on standard output with `--json`, else what, what to do and the code, on standard error.
    pub fn error(&self, error: &dyn Explain) {
        if self.json {
            // Nobody may be there to read it; the exit code stays.
            let _ = self.event(&serde_json::json!({ "error": error::json(error, self.language) }));
            return;
        }
        let message = safe::line(&error.message(self.language));
        let remedy = safe::line(&error.remedy(self.language));
        let _ = writeln!(std::io::stderr(), "vaguemestre: {message} [{}]\n  {remedy}", error.code());
    }
}

/// Standard output that does not take: its reader left, or the disk is full.
fn gone(error: std::io::Error) -> Stop {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Stop::ReaderGone } else { CommandError::Stream(error).into() }
}

/// Takes columns from the widest of those that may be cut, until all fit.
fn shrink(widths: &mut [usize], cut: &[usize], columns: usize) {
    while widths.iter().sum::<usize>() > columns {
        let widest = cut.iter().copied().filter(|at| widths.get(*at).is_some_and(|width| *width > LEAST));
        let Some(widest) = widest.max_by_key(|at| widths[*at]) else { return };
        widths[widest] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_column_gives_way() {
        let mut widths = [4, 40, 20];
        shrink(&mut widths, &[1, 2], 40);
        assert_eq!(widths, [4, 18, 18]);
        let mut widths = [4, 40, 20];
        shrink(&mut widths, &[1], 10);
        assert_eq!(widths, [4, LEAST, 20], "never to nothing");
    }
}
