//! Reading an extraction: a text, or the archive that holds it, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::time::{Duration, SystemTime};

use zip::ZipArchive;

use super::Progress;
use super::columns::{Columns, MAX_LINE};
use super::error::ExtractionError;
use super::index::{Builder, Facts};

/// Most octets of text: the real one has some 150 MB. What an archive unpacks to is cut there too.
pub const MAX_TEXT: u64 = 1024 * 1024 * 1024;
/// Most files in the archive: the real one has one.
const MAX_FILES: usize = 100;
/// How often the progress is told, in lines.
const TELL_EVERY: u64 = 10_000;

/// Reads the file and writes its index at `index`; `facts` says where the file comes from. Blocking, some seconds.
pub(super) fn take_in(
    file: &Path,
    index: &Path,
    mut facts: Facts,
    before: Option<&Facts>,
    now: SystemTime,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Facts, ExtractionError> {
    let failed = |error| ExtractionError::File { path: file.to_owned(), error };
    let mut open = File::open(file).map_err(failed)?;
    let modified = open.metadata().and_then(|m| m.modified()).unwrap_or(now);
    let mut magic = Vec::new();
    (&mut open).take(4).read_to_end(&mut magic).map_err(failed)?;
    open.rewind().map_err(failed)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let builder = if magic == *b"PK\x03\x04" {
        let mut archive = ZipArchive::new(open)?;
        if archive.len() > MAX_FILES {
            return Err(ExtractionError::Archive("too many files in it"));
        }
        let text = (0..archive.len()).find(|at| {
            archive
                .name_for_index(*at)
                .and_then(Result::ok)
                .is_some_and(|name| name.to_ascii_lowercase().ends_with(".txt"))
        });
        let entry = archive.by_index(text.ok_or(ExtractionError::Archive("no text in it"))?)?;
        let seen = entry.name().ok().and_then(|name| date_of_name(&name)).unwrap_or(modified);
        read(entry, seen, &mut facts, progress, &failed)?
    } else {
        let seen = date_of_name(&name).unwrap_or(modified);
        read(open, seen, &mut facts, progress, &failed)?
    };
    let good = facts.lines - facts.refused;
    if good <= facts.refused {
        return Err(ExtractionError::Broken { lines: facts.lines, refused: facts.refused });
    }
    if let Some(before) = before.map(|before| before.lines - before.refused.min(before.lines))
        && good < before / 2
    {
        return Err(ExtractionError::Shrunk { lines: good, before });
    }
    progress(Progress::Writing { entries: builder.len() as u64 });
    builder.finish(index, facts)
}

fn read(
    source: impl Read,
    seen: SystemTime,
    facts: &mut Facts,
    progress: &(dyn Fn(Progress) + Send + Sync),
    failed: &dyn Fn(std::io::Error) -> ExtractionError,
) -> Result<Builder, ExtractionError> {
    facts.seen = seen.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut lines = Lines { source: BufReader::with_capacity(1 << 18, source.take(MAX_TEXT + 1)), octets: 0 };
    let mut line = Vec::new();
    if !lines.next(&mut line).map_err(failed)? {
        return Err(ExtractionError::Header("Type de BAL"));
    }
    let columns = Columns::read(&String::from_utf8_lossy(&line))?;
    let mut builder = Builder::new(seen);
    while lines.next(&mut line).map_err(failed)? {
        if lines.octets > MAX_TEXT {
            return Err(ExtractionError::TooLarge(MAX_TEXT));
        }
        if line.is_empty() {
            continue;
        }
        facts.lines += 1;
        match std::str::from_utf8(&line).ok().and_then(|text| columns.line(text)) {
            Some(line) => builder.add(line),
            None => facts.refused += 1,
        }
        if facts.lines.is_multiple_of(TELL_EVERY) {
            progress(Progress::Read { lines: facts.lines });
        }
    }
    Ok(builder)
}

/// Lines without their end, cut at [`MAX_LINE`]: a cut line has not its columns and is refused.
struct Lines<R> {
    source: BufReader<R>,
    octets: u64,
}

impl<R: Read> Lines<R> {
    /// The next line; false at the end.
    fn next(&mut self, line: &mut Vec<u8>) -> std::io::Result<bool> {
        line.clear();
        let mut any = false;
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|b| *b == b'\n');
            let own = &buffer[..end.unwrap_or(buffer.len())];
            let room = MAX_LINE.saturating_sub(line.len());
            line.extend_from_slice(&own[..own.len().min(room)]);
            let used = own.len() + usize::from(end.is_some());
            self.octets += used as u64;
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(any)
    }
}

/// `Extraction_Correspondance_MSSante_<AAAAMMJJhhmm>.txt`: when it was made.
fn date_of_name(name: &str) -> Option<SystemTime> {
    let stem = name.rsplit('/').next()?.rsplit_once('.')?.0;
    let digits = stem.rsplit('_').next().filter(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()))?;
    let number = |from: usize, to: usize| digits[from..to].parse::<u16>().ok();
    let month = time::Month::try_from(u8::try_from(number(4, 6)?).ok()?).ok()?;
    let date = time::Date::from_calendar_date(i32::from(number(0, 4)?), month, number(6, 8)?.try_into().ok()?).ok()?;
    let time = time::Time::from_hms(number(8, 10)?.try_into().ok()?, number(10, 12)?.try_into().ok()?, 0).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_name() {
        let of = |name: &str| {
            date_of_name(name).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs())
        };
        assert_eq!(of("x/Extraction_Correspondance_MSSante_202608260545.txt"), Some(1_787_723_100));
        assert_eq!((of("Extraction_202613260545.txt"), of("annuaire.txt"), of("")), (None, None, None));
    }

    #[test]
    fn lines_are_cut_not_gathered() {
        let long = format!("a\r\n{}\nb", "x".repeat(MAX_LINE * 3));
        let mut lines = Lines { source: BufReader::with_capacity(100, long.as_bytes()), octets: 0 };
        let mut line = Vec::new();
        let mut sizes = Vec::new();
        while lines.next(&mut line).expect("memory") {
            sizes.push(line.len());
        }
        assert_eq!((sizes, lines.octets), (vec![1, MAX_LINE, 1], long.len() as u64));
    }
}
