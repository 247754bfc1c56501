//! Reading traces again, by period, BAL and action, and exporting them as JSON lines or CSV. ECO.4.1.1
//!
//! A line that is not understood (torn by a crash, written by a later version) is passed over. Memory is one line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::file::{Line, TraceError, days};
use super::{Action, Trace};

/// A longer line was not written by us.
const LONGEST_LINE: u64 = 64 * 1024;

/// Which traces.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// From then on.
    pub from: Option<OffsetDateTime>,
    /// Until then, excluded.
    pub until: Option<OffsetDateTime>,
    /// Of that BAL; case does not matter.
    pub mailbox: Option<String>,
    /// Of those actions; all when empty.
    pub actions: Vec<Action>,
    /// Only what failed.
    pub failed: bool,
}

impl Filter {
    fn takes(&self, trace: &Trace) -> bool {
        self.from.is_none_or(|from| trace.at >= from)
            && self.until.is_none_or(|until| trace.at < until)
            && self
                .mailbox
                .as_ref()
                .is_none_or(|wanted| trace.mailbox.as_ref().is_some_and(|mailbox| mailbox.eq_ignore_ascii_case(wanted)))
            && (self.actions.is_empty() || self.actions.contains(&trace.action))
            && !(self.failed && trace.done)
    }
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as in the files.
    JsonLines,
    /// RFC 4180 with a header line, UTF-8. What a spreadsheet would take for a formula begins with an apostrophe.
    Csv,
}

/// The traces of a folder, oldest day first, in the order they were recorded. A folder that is not there holds none.
///
/// # Errors
/// [`TraceError::Folder`], here or at the file that cannot be read.
pub fn read<'a>(
    folder: &Path,
    filter: &'a Filter,
) -> Result<impl Iterator<Item = Result<Trace, TraceError>> + use<'a>, TraceError> {
    let files = match days(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(why) => return Err(TraceError::Folder { folder: folder.to_owned(), why }),
    };
    let wanted = files.into_iter().filter(|(day, _)| {
        filter.from.is_none_or(|from| *day >= from.to_offset(time::UtcOffset::UTC).date())
            && filter.until.is_none_or(|until| *day <= until.to_offset(time::UtcOffset::UTC).date())
    });
    let folder = folder.to_owned();
    Ok(wanted.flat_map(move |(_, path)| Lines::open(&path, &folder)).filter(|trace| match trace {
        Ok(trace) => filter.takes(trace),
        Err(_) => true,
    }))
}

/// Writes the traces of a folder; how many.
///
/// # Errors
/// [`TraceError`].
pub fn export(folder: &Path, filter: &Filter, format: Format, output: &mut dyn Write) -> Result<u64, TraceError> {
    if format == Format::Csv {
        output.write_all(b"at,author,mailbox,action,request,answer,done,message_id\r\n").map_err(TraceError::Output)?;
    }
    let mut count = 0;
    for trace in read(folder, filter)? {
        let line = match format {
            Format::JsonLines => json(&trace?) + "\n",
            Format::Csv => csv(&trace?),
        };
        output.write_all(line.as_bytes()).map_err(TraceError::Output)?;
        count += 1;
    }
    output.flush().map_err(TraceError::Output)?;
    Ok(count)
}

/// A trace as one JSON object, without a line's end.
#[must_use]
pub fn json(trace: &Trace) -> String {
    serde_json::to_string(&Line::of(trace)).expect("text and a boolean are always JSON")
}

fn csv(trace: &Trace) -> String {
    let at = trace.at.format(&Rfc3339).unwrap_or_default();
    let done = if trace.done { "true" } else { "false" };
    let cells = [
        at.as_str(),
        &trace.author,
        trace.mailbox.as_deref().unwrap_or_default(),
        trace.action.code(),
        &trace.request,
        &trace.answer,
        done,
        trace.message_id.as_deref().unwrap_or_default(),
    ];
    cells.map(cell).join(",") + "\r\n"
}

/// A cell, quoted where it must be. A server's answer is not to be run by a spreadsheet.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n', '\'']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The traces of one file.
struct Lines {
    file: Option<BufReader<File>>,
    failed: Option<TraceError>,
    folder: PathBuf,
}

impl Lines {
    fn open(path: &Path, folder: &Path) -> Lines {
        let folder = folder.to_owned();
        match File::open(path) {
            Ok(file) => Lines { file: Some(BufReader::new(file)), failed: None, folder },
            Err(why) => Lines { file: None, failed: Some(TraceError::Folder { folder: folder.clone(), why }), folder },
        }
    }

    /// The next line, cut to [`LONGEST_LINE`]; its tail then comes as a line that is not understood either.
    fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut line = Vec::new();
        let read = file.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        Ok((read > 0).then_some(line))
    }
}

impl Iterator for Lines {
    type Item = Result<Trace, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        loop {
            match self.line() {
                Ok(None) => return None,
                Ok(Some(line)) => {
                    if let Some(trace) = serde_json::from_slice::<Line>(&line).ok().and_then(Line::trace) {
                        return Some(Ok(trace));
                    }
                }
                Err(why) => {
                    self.file = None;
                    return Some(Err(TraceError::Folder { folder: self.folder.clone(), why }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{TraceFolder, Tracer};
    use time::macros::datetime;
    use trust::clock::SystemClock;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = TraceFolder::open(folder.path(), 10_000, SystemClock::shared()).expect("opens");
        let one = |at, mailbox: &str, action, answer: &str, done| Trace {
            at,
            author: "899700000017".into(),
            mailbox: Some(mailbox.into()),
            action,
            request: "UID EXPUNGE INBOX 12:14".into(),
            answer: answer.into(),
            done,
            message_id: None,
        };
        writer.record(one(datetime!(2026-11-20 08:00 UTC), "a@x.mssante.fr", Action::Send, "250 ok", true));
        writer.record(one(
            datetime!(2026-11-21 08:00 UTC),
            "b@x.mssante.fr",
            Action::Delete,
            "=cmd|' /C calc'!A0",
            false,
        ));
        writer.record(one(datetime!(2026-11-21 09:00 UTC), "a@x.mssante.fr", Action::Delete, "OK, \"done\"", true));
        drop(writer);
        folder
    }

    fn answers(folder: &Path, filter: Filter) -> Vec<String> {
        read(folder, &filter).expect("read").map(|trace| trace.expect("read").answer).collect()
    }

    #[test]
    fn by_period_mailbox_action_and_outcome() {
        let folder = folder();
        let all = answers(folder.path(), Filter::default());
        assert_eq!(all, ["250 ok", "=cmd|' /C calc'!A0", "OK, \"done\""]);
        let day = Filter { from: Some(datetime!(2026-11-21 08:30 UTC)), ..Filter::default() };
        assert_eq!(answers(folder.path(), day), ["OK, \"done\""]);
        let before = Filter { until: Some(datetime!(2026-11-21 08:00 UTC)), ..Filter::default() };
        assert_eq!(answers(folder.path(), before), ["250 ok"]);
        let mailbox = Filter { mailbox: Some("A@X.mssante.fr".into()), ..Filter::default() };
        assert_eq!(answers(folder.path(), mailbox), ["250 ok", "OK, \"done\""]);
        let deleted = Filter { actions: vec![Action::Delete], ..Filter::default() };
        assert_eq!(answers(folder.path(), deleted).len(), 2);
        let failed = Filter { failed: true, ..Filter::default() };
        assert_eq!(answers(folder.path(), failed), ["=cmd|' /C calc'!A0"]);
        assert!(answers(&folder.path().join("none"), Filter::default()).is_empty());
    }

    #[test]
    fn exports() {
        let folder = folder();
        let mut csv = Vec::new();
        assert_eq!(export(folder.path(), &Filter::default(), Format::Csv, &mut csv).expect("written"), 3);
        let csv = String::from_utf8(csv).expect("UTF-8");
        assert!(csv.starts_with("at,author,mailbox,action,request,answer,done,message_id\r\n"));
        assert!(csv.contains(",\"'=cmd|' /C calc'!A0\",false,\r\n"), "{csv}");
        assert!(csv.contains(",\"OK, \"\"done\"\"\",true,\r\n"), "{csv}");
        let mut lines = Vec::new();
        export(folder.path(), &Filter::default(), Format::JsonLines, &mut lines).expect("written");
        assert_eq!(lines.iter().filter(|octet| **octet == b'\n').count(), 3);
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let folder = folder();
        let long = "x".repeat(200_000);
        let text = format!("{{\"at\":\"20\n\nnull\n{long}\n{{\"action\":\"fly\"}}\n");
        std::fs::write(folder.path().join("2026-11-22.jsonl"), text).expect("written");
        assert_eq!(answers(folder.path(), Filter::default()).len(), 3);
    }
}
