//! mbox: messages one after the other, each behind a line `From sender date` (RFC 4155), lines of the message that begin so
//! quoted with `>` (mboxrd; mboxo is read alike).
//!
//! `Status`, `X-Status` and `X-Keywords` fields tell flags; they and the other notes of mail programs (`X-UID`, `X-IMAP`,
//! `X-IMAPbase`, `Content-Length`) are dropped, since they are no part of the message.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mail::date::parse_rfc5322;
use time::OffsetDateTime;

use super::letter::{Key, Letter, Post};
use super::text::{with_crlf, with_lf};
use super::tree::file_name;
use super::{Given, MAX_MESSAGE, Result, Source, TransferError};

/// Notes of mail programs.
const NOTES: [&str; 7] = ["status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "content-length"];

/// Octets of a line read at once: bounds the memory a file without line ends takes.
const MAX_LINE: u64 = 1024 * 1024;

/// An mbox that is read.
pub struct Mbox<R = BufReader<File>> {
    path: String,
    folder: String,
    file: R,
    /// The separator line read ahead.
    separator: Option<Vec<u8>>,
    number: u64,
}

impl Mbox {
    /// Opens a file; its messages go to `folder`.
    ///
    /// # Errors
    /// [`TransferError::Source`] when it is no mbox, [`TransferError::File`].
    pub fn open(path: &Path, folder: &str) -> Result<Self> {
        let text = |e: std::io::Error| TransferError::File(path.display().to_string(), e);
        let path_text = std::fs::canonicalize(path).map_err(text)?.display().to_string();
        Self::read(BufReader::new(File::open(path).map_err(text)?), path_text, folder)
    }
}

impl<R: BufRead> Mbox<R> {
    /// Reads what is told apart from others by the name `path`; its messages go to `folder`.
    ///
    /// # Errors
    /// As [`Mbox::open`].
    pub fn read(mut file: R, path: String, folder: &str) -> Result<Self> {
        let mut first = Vec::new();
        let text = |e: std::io::Error| TransferError::File(path.clone(), e);
        (&mut file).take(MAX_LINE).read_until(b'\n', &mut first).map_err(text)?;
        if !first.is_empty() && !first.starts_with(b"From ") {
            return Err(TransferError::Source(format!("{path} is no mbox: it does not begin with \"From \"")));
        }
        let separator = (!first.is_empty()).then_some(first);
        Ok(Mbox { path, folder: folder.into(), file, separator, number: 0 })
    }

    /// The lines of one message, unquoted; `None` when it is larger than any mailbox takes.
    fn message(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut fits = true;
        let (mut after_empty, mut continued) = (false, false);
        loop {
            let mut line = Vec::new();
            if (&mut self.file).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if after_empty && line.starts_with(b"From ") {
                self.separator = Some(line);
                break;
            }
            after_empty = !continued && matches!(&*line, b"\n" | b"\r\n");
            let quotes = line.iter().take_while(|b| **b == b'>').count();
            let quoted = !continued && quotes > 0 && line[quotes..].starts_with(b"From ");
            continued = !line.ends_with(b"\n");
            let line = if quoted { &line[1..] } else { &line[..] };
            fits &= message.len() as u64 + line.len() as u64 <= MAX_MESSAGE;
            if fits {
                message.extend_from_slice(line);
            }
        }
        // The empty line before the next separator is not the message's.
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            if message.ends_with(end) {
                message.truncate(message.len() - end.len() / 2);
                break;
            }
        }
        Ok(fits.then_some(message))
    }
}

impl<R: BufRead + Send> Source for Mbox<R> {
    fn expected(&self) -> Option<u64> {
        None
    }

    fn next(&mut self, known: &dyn Fn(&Key) -> bool) -> Result<Option<Given>> {
        let Some(separator) = self.separator.take() else { return Ok(None) };
        self.number += 1;
        let place = format!("{}, message {}", self.path, self.number);
        let message = self.message().map_err(|e| TransferError::File(place.clone(), e))?;
        let Some(message) = message else {
            return Ok(Some(Given::Skipped(place, "larger than any mailbox takes".into())));
        };
        // The number alone would name another message when the file changed meanwhile.
        let digest = openssl::sha::sha256(&message);
        let digest: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let key = Key::of(&self.path, &self.folder, &format!("{}.{digest}", self.number));
        if known(&key) {
            return Ok(Some(Given::Known));
        }
        let (message, flags) = without_notes(&with_crlf(&message));
        if message.is_empty() {
            return Ok(Some(Given::Skipped(place, "an empty message".into())));
        }
        let date = separator_date(&separator).unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp());
        let letter = Letter { folder: self.folder.clone(), flags, date, key, size: message.len() as u64 };
        Ok(Some(Given::Post(Box::new(Post { letter, octets: message.into() }))))
    }
}

/// The message without what mail programs noted in its header, and the flags that told.
fn without_notes(message: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut out = Vec::with_capacity(message.len());
    let mut flags: Vec<String> = Vec::new();
    let mut rest = message;
    let mut dropping = false;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        if line == b"\r\n" {
            break;
        }
        rest = after;
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let text = String::from_utf8_lossy(line);
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            let name = name.trim().to_ascii_lowercase();
            dropping = NOTES.contains(&&*name);
            match &*name {
                "status" | "x-status" => flags.extend(value.chars().filter_map(told).map(str::to_owned)),
                "x-keywords" => flags.extend(value.split_ascii_whitespace().map(str::to_owned)),
                _ => {}
            }
        }
        if !dropping {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(rest);
    flags.sort_unstable();
    flags.dedup();
    (out, flags)
}

/// The flag of a letter of `Status` and `X-Status`.
fn told(letter: char) -> Option<&'static str> {
    match letter {
        'R' => Some("\\Seen"),
        'A' => Some("\\Answered"),
        'F' => Some("\\Flagged"),
        'T' => Some("\\Draft"),
        'D' => Some("\\Deleted"),
        _ => None,
    }
}

/// `From sender Sat Nov 21 12:00:00 2026`, perhaps with a zone before or after the year; without one, UTC.
fn separator_date(line: &[u8]) -> Option<i64> {
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let clock = words.iter().position(|w| w.len() >= 5 && w.as_bytes()[2] == b':')?;
    let (month, day) = (words.get(clock.checked_sub(2)?)?, words.get(clock - 1)?);
    let year = words[clock + 1..].iter().find(|w| w.len() == 4 && w.bytes().all(|b| b.is_ascii_digit()))?;
    let zone = words[clock + 1..].iter().find(|w| w.len() == 5 && (w.starts_with('+') || w.starts_with('-')));
    let text = format!("{day} {month} {year} {} {}", words[clock], zone.unwrap_or(&"+0000"));
    Some(parse_rfc5322(&text)?.unix)
}

/// One mbox for each folder, in a folder of its own.
pub struct MboxWriter {
    root: PathBuf,
    /// The files' names and the folders they are of.
    names: std::collections::HashMap<String, String>,
    /// The file written last: letters come folder by folder.
    current: Option<(String, BufWriter<File>)>,
}

impl MboxWriter {
    /// Begins in a folder that is made, or is empty.
    ///
    /// # Errors
    /// [`TransferError::Source`] when something is there, [`TransferError::File`].
    pub fn open(root: &Path) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let text = |e: std::io::Error| TransferError::File(root.display().to_string(), e);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(text)?;
        if std::fs::read_dir(root).map_err(text)?.next().is_some() {
            return Err(TransferError::Source(format!(
                "{} is not empty: an mbox is written once and whole, give another folder",
                root.display()
            )));
        }
        Ok(MboxWriter { root: root.into(), names: Default::default(), current: None })
    }

    /// Adds a message.
    ///
    /// # Errors
    /// [`TransferError::File`].
    pub fn write(&mut self, post: &Post) -> Result<()> {
        let name = &post.letter.folder;
        if self.current.as_ref().is_none_or(|(current, _)| current != name) {
            self.finish()?;
            // A folder's name as a file's: one level.
            let taken = |file: &str| self.names.get(file).is_some_and(|of| of != name);
            let file = file_name(&name.replace('/', "__"), name, taken);
            let path = self.root.join(format!("{file}.mbox"));
            self.names.insert(file, name.clone());
            let file = File::options().create(true).append(true).mode(0o600).open(&path);
            let file = file.map_err(|e| TransferError::File(path.display().to_string(), e))?;
            self.current = Some((name.clone(), BufWriter::new(file)));
        }
        let Some((_, file)) = &mut self.current else { return Ok(()) };
        append(file, post).map_err(|e| TransferError::File(name.clone(), e))
    }

    /// Everything is on its way to the disk.
    ///
    /// # Errors
    /// [`TransferError::File`].
    pub fn finish(&mut self) -> Result<()> {
        match self.current.take() {
            Some((name, file)) => {
                let file = file.into_inner().map_err(|e| TransferError::File(name.clone(), e.into_error()))?;
                file.sync_all().map_err(|e| TransferError::File(name, e))
            }
            None => Ok(()),
        }
    }
}

fn append(file: &mut impl Write, post: &Post) -> std::io::Result<()> {
    let date = OffsetDateTime::from_unix_timestamp(post.letter.date).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = time::macros::format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    let date = date.format(&format).map_err(std::io::Error::other)?;
    writeln!(file, "From MAILER-DAEMON {date}")?;
    let letters = |letters: &[(&str, char)]| -> String {
        letters.iter().filter(|(flag, _)| post.letter.flags.iter().any(|f| f == flag)).map(|(_, l)| *l).collect()
    };
    let keywords: Vec<&str> = post.letter.flags.iter().filter(|f| !f.starts_with('\\')).map(|f| &**f).collect();
    writeln!(file, "Status: {}O", letters(&[("\\Seen", 'R')]))?;
    let marks = letters(&[("\\Answered", 'A'), ("\\Flagged", 'F'), ("\\Draft", 'T'), ("\\Deleted", 'D')]);
    if !marks.is_empty() {
        writeln!(file, "X-Status: {marks}")?;
    }
    if !keywords.is_empty() {
        writeln!(file, "X-Keywords: {}", keywords.join(" "))?;
    }
    for line in with_lf(&post.octets).split_inclusive(|b| *b == b'\n') {
        let quotes = line.iter().take_while(|b| **b == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            file.write_all(b">")?;
        }
        file.write_all(line)?;
        if !line.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &Path) -> Vec<Post> {
        let mut source = Mbox::open(path, "Archive").expect("an mbox");
        let mut posts = Vec::new();
        while let Some(given) = source.next(&|_| false).expect("readable") {
            match given {
                Given::Post(post) => posts.push(*post),
                other => panic!("{other:?}"),
            }
        }
        posts
    }

    #[test]
    fn an_mbox_of_others_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.mbox");
        let text = "From a@b Sat Nov 21 12:00:00 2026\nSubject: un\nStatus: RO\nX-Status: AF\nX-Keywords: Urgent\nX-UID: 7\n\n\
                    >From here on\nbody\nFrom the middle\n\nFrom a@b Sun Nov 22 12:00:00 2026 +0100\nSubject: deux\n\nx\n\n";
        std::fs::write(&path, text).expect("written");
        let posts = all(&path);
        assert_eq!(posts.len(), 2);
        assert_eq!(&*posts[0].octets, b"Subject: un\r\n\r\nFrom here on\r\nbody\r\nFrom the middle\r\n");
        assert_eq!(posts[0].letter.flags, ["Urgent", "\\Answered", "\\Flagged", "\\Seen"]);
        assert_eq!(posts[0].letter.date, 1_795_262_400);
        assert_eq!(&*posts[1].octets, b"Subject: deux\r\n\r\nx\r\n");
        assert_eq!(posts[1].letter.date, 1_795_262_400 + 23 * 3600);
        std::fs::write(&path, "Subject: no mbox\n").expect("written");
        assert!(Mbox::open(&path, "Archive").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let octets = b"Subject: a\r\n\r\nFrom x\r\n>From y\r\n\r\nFrom z\r\n\r\n\r\nlast\r\n";
        let letter = Letter {
            folder: "Archive".into(),
            flags: vec!["Urgent".into(), "\\Draft".into(), "\\Seen".into()],
            date: 1_700_000_000,
            key: Key::of("s", "f", "1"),
            size: octets.len() as u64,
        };
        let post = Post { letter, octets: octets.to_vec().into() };
        let mut writer = MboxWriter::open(&dir.path().join("out")).expect("begun");
        writer.write(&post).expect("written");
        writer.write(&post).expect("written");
        writer.finish().expect("finished");
        let posts = all(&dir.path().join("out/Archive.mbox"));
        assert_eq!(posts.len(), 2);
        for back in posts {
            assert_eq!(back.octets, post.octets);
            assert_eq!(back.letter.flags, post.letter.flags);
            assert_eq!(back.letter.date, post.letter.date);
        }
        assert!(MboxWriter::open(&dir.path().join("out")).is_err(), "not twice");
    }
}
