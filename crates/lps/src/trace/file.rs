//! Traces kept as files: one JSON object a line in `FOLDER/AAAA-MM-JJ.jsonl` (days in UTC, mode 0600 in a folder of mode 0700).
//! ECO.4.1.1, ECO.4.1.2.
//!
//! Invariants:
//! * a line is written whole by one call under the file's lock, so that several programs may share a folder; what a crash or a full
//!   disk left of a line is ended before the next one begins;
//! * a line is in the file (not yet on the disk) as soon as the thread that writes runs, so that it outlives the program; it is on the disk
//!   within [`SYNC`], and at the latest when the [`TraceFolder`] is dropped or flushed;
//! * whoever records never waits for the disk; what cannot be kept is counted ([`TraceFolder::lost`]);
//! * files older than what is to be kept are removed when one opens and every new day, and no other file ever is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};
use trust::clock::SharedClock;

use super::redact::redact;
use super::{Action, MAX_ANSWER, Trace, Tracer};
use crate::explain::{Explain, Fault, Told};

/// How long traces are kept when nothing else is said: Référentiel #2 recommends six months (ECO.4.1.1); the longest six.
pub const SIX_MONTHS: u64 = 184;
/// Traces reach the disk at most this late.
pub const SYNC: Duration = Duration::from_secs(1);
/// Traces waiting for the thread that writes; beyond it they are lost and counted, for a dead disk must not stop a consultation.
const WAITING: usize = 4096;
/// Longest request kept, in characters: a set of UIDs can be as long as a folder.
const MAX_REQUEST: usize = 500;
/// Longest author, address or Message-ID kept, in characters: RFC 5322 lines.
const MAX_NAME: usize = 998;
/// How long [`TraceFolder::flush`] waits for a disk that does not answer.
const FLUSH_AT_MOST: Duration = Duration::from_secs(5);

/// Why traces cannot be kept, read or exported.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The folder or a file of it.
    #[error("the traces in {folder} cannot be used: {why}", folder = .folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// Where an export is written.
    #[error("the export cannot be written: {0}")]
    Output(std::io::Error),
}

impl Explain for TraceError {
    fn told(&self) -> Told {
        match self {
            TraceError::Folder { folder, why } => Told::new(
                "trace.folder",
                Fault::Host,
                format!("les traces de {} sont inutilisables : {why}", folder.display()),
                (
                    "Vérifiez que le dossier existe, vous appartient et n'est pas plein, ou changez [traces] folder.",
                    "See that the folder exists, is yours and is not full, or change [traces] folder.",
                ),
            ),
            TraceError::Output(why) => Told::new(
                "trace.output",
                Fault::Host,
                format!("l'export ne peut être écrit : {why}"),
                ("Vérifiez l'espace et les droits.", "See to the space left and the rights."),
            ),
        }
    }
}

/// A line of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    at: String,
    author: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    mailbox: Option<String>,
    action: String,
    request: String,
    answer: String,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    message_id: Option<String>,
}

impl Line {
    pub(super) fn of(trace: &Trace) -> Line {
        let name = |text: &String| redact(text, MAX_NAME);
        Line {
            at: trace.at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default(),
            author: name(&trace.author),
            mailbox: trace.mailbox.as_ref().map(name),
            action: trace.action.code().to_owned(),
            request: redact(&trace.request, MAX_REQUEST),
            answer: redact(&trace.answer, MAX_ANSWER),
            done: trace.done,
            message_id: trace.message_id.as_ref().map(name),
        }
    }

    /// The trace, unless a later version wrote what this one does not know.
    pub(super) fn trace(self) -> Option<Trace> {
        Some(Trace {
            at: OffsetDateTime::parse(&self.at, &Rfc3339).ok()?,
            author: self.author,
            mailbox: self.mailbox,
            action: Action::from_code(&self.action)?,
            request: self.request,
            answer: self.answer,
            done: self.done,
            message_id: self.message_id,
        })
    }
}

enum Message {
    Record(Trace),
    /// Everything before is on the disk when this is answered.
    Flush(SyncSender<()>),
}

/// A folder of traces that can be written to. Dropping it writes what is left.
pub struct TraceFolder {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
}

impl TraceFolder {
    /// Opens the folder, made when absent, and forgets what is older than `keep_days` days before today.
    ///
    /// # Errors
    /// [`TraceError::Folder`] when it cannot be made or written to.
    pub fn open(folder: &Path, keep_days: u64, clock: SharedClock) -> Result<TraceFolder, TraceError> {
        let failed = |why| TraceError::Folder { folder: folder.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer =
            Writer { folder: folder.to_owned(), keep_days, open: None, lost: lost.clone(), unsynced: None };
        // Tells now what would otherwise be told by nobody.
        let today = OffsetDateTime::from(clock.now()).date();
        writer.day(today).map_err(failed)?;
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("lps-traces".into());
        let thread = thread.spawn(move || writer.run(&receiver)).map_err(failed)?;
        Ok(TraceFolder { sender: Some(sender), thread: Some(thread), lost })
    }

    /// How many traces could not be kept since it was opened: for the host program to report.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was recorded is on the disk, five seconds at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Flush(done)).is_ok()
        {
            // Not answered in time: the disk is dead, and there is nothing better to do.
            let _ = wait.recv_timeout(FLUSH_AT_MOST);
        }
    }
}

impl std::fmt::Debug for TraceFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceFolder").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

impl Tracer for TraceFolder {
    fn record(&self, trace: Trace) {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.try_send(Message::Record(trace)).is_ok());
        if !sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for TraceFolder {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there would be nobody to tell.
            let _ = thread.join();
        }
    }
}

struct Writer {
    folder: PathBuf,
    keep_days: u64,
    open: Option<(Date, File)>,
    lost: Arc<AtomicU64>,
    /// Since when something written is not on the disk.
    unsynced: Option<Instant>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = match self.unsynced {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => receiver.recv_timeout(SYNC.saturating_sub(since.elapsed())),
            };
            match message {
                Ok(Message::Record(trace)) => {
                    if let Err(error) = self.write(&trace) {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                        tracing::error!("a trace could not be written: {error}");
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.sync();
                    // Whoever asked may have stopped waiting.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if self.unsynced.is_some_and(|since| since.elapsed() >= SYNC) {
                self.sync();
            }
        }
    }

    fn write(&mut self, trace: &Trace) -> std::io::Result<()> {
        let day = trace.at.to_offset(time::UtcOffset::UTC).date();
        let mut line = serde_json::to_vec(&Line::of(trace))?;
        line.push(b'\n');
        self.day(day)?;
        let (_, file) = self.open.as_mut().expect("opened just above");
        file.lock()?;
        let written = append(file, line);
        file.unlock()?;
        written?;
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Some((_, file)) = &self.open
            && let Err(error) = file.sync_data()
        {
            tracing::error!("traces could not be brought to the disk: {error}");
        }
    }

    /// Opens the file of a day, unless it is open.
    fn day(&mut self, day: Date) -> std::io::Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| *open == day) {
            return Ok(());
        }
        self.sync();
        self.open = None;
        let path = self.folder.join(format!("{day}.jsonl"));
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        // Made by somebody with other habits, it names patients' doctors to nobody else from now on.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        self.open = Some((day, file));
        self.forget_old(day);
        Ok(())
    }

    fn forget_old(&self, today: Date) {
        let Ok(files) = days(&self.folder) else { return };
        for (day, path) in files {
            if (today - day).whole_days() > i64::try_from(self.keep_days).unwrap_or(i64::MAX)
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!("an old trace file could not be removed: {error}");
            }
        }
    }
}

/// Adds a line, after ending the one that a crash may have left.
fn append(file: &mut File, line: Vec<u8>) -> std::io::Result<()> {
    let mut octets = line;
    let end = file.seek(SeekFrom::End(0))?;
    if end > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            octets.insert(0, b'\n');
        }
    }
    file.write_all(&octets)
}

/// The files of a folder by day, oldest first. What has another name is none of ours.
pub(super) fn days(folder: &Path) -> std::io::Result<Vec<(Date, PathBuf)>> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        if let Some(day) = day.and_then(|day| Date::parse(day, &format).ok()) {
            found.push((day, file.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Language;
    use crate::trace::query::{Filter, read};
    use trust::clock::{Clock, SystemClock};

    fn trace(action: Action, answer: &str) -> Trace {
        Trace {
            at: OffsetDateTime::from(SystemClock.now()),
            author: "899700000017".into(),
            mailbox: Some("marie.martin@alpha.formation.mssante.fr".into()),
            action,
            request: "MAIL to 1 recipient, 4821 octets".into(),
            answer: answer.into(),
            done: true,
            message_id: Some("<1@alpha.formation.mssante.fr>".into()),
        }
    }

    #[test]
    fn what_is_recorded_is_read_again_and_kept_to_oneself() {
        // ECO-TRACE
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("a/b");
        let writer = TraceFolder::open(&inside, SIX_MONTHS, SystemClock::shared()).expect("opens");
        let one = trace(Action::Send, "250 2.0.0 accepted");
        writer.record(one.clone());
        writer.flush();
        let found = read(&inside, &Filter::default()).expect("read").map(|t| t.expect("read")).collect::<Vec<_>>();
        assert_eq!(found, [one]);
        assert_eq!(std::fs::metadata(&inside).expect("there").permissions().mode() & 0o777, 0o700);
        let (_, file) = days(&inside).expect("read").remove(0);
        assert_eq!(std::fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);
        drop(writer);
    }

    #[test]
    fn six_months_and_no_longer_and_nothing_else_is_touched() {
        // ECO.4.1.1
        let folder = tempfile::tempdir().expect("a folder");
        let today = OffsetDateTime::from(SystemClock.now()).date();
        let (kept, gone) = (today - time::Duration::days(184), today - time::Duration::days(185));
        for name in [format!("{kept}.jsonl"), format!("{gone}.jsonl"), "2001-01-01.json".into(), "notes.jsonl".into()] {
            std::fs::write(folder.path().join(name), "").expect("writable");
        }
        drop(TraceFolder::open(folder.path(), SIX_MONTHS, SystemClock::shared()).expect("opens"));
        let left = |name: &str| folder.path().join(name).exists();
        assert!(left(&format!("{kept}.jsonl")) && left("2001-01-01.json") && left("notes.jsonl"));
        assert!(!left(&format!("{gone}.jsonl")));
    }

    #[test]
    fn lines_are_whole_after_a_crash_and_beside_another_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let today = OffsetDateTime::from(SystemClock.now()).date();
        std::fs::write(folder.path().join(format!("{today}.jsonl")), "{\"at\":\"2026").expect("writable");
        let open = || TraceFolder::open(folder.path(), SIX_MONTHS, SystemClock::shared()).expect("opens");
        let writers = [open(), open()];
        for _ in 0..300 {
            for writer in &writers {
                writer.record(trace(Action::Read, &"é".repeat(150)));
            }
        }
        drop(writers);
        let text = std::fs::read_to_string(folder.path().join(format!("{today}.jsonl"))).expect("written");
        let whole = text.lines().filter(|line| serde_json::from_str::<Line>(line).is_ok()).count();
        assert_eq!((whole, text.lines().count()), (600, 601), "only what the crash left is broken");
    }

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = TraceFolder::open(folder.path(), SIX_MONTHS, SystemClock::shared()).expect("opens");
        let elsewhere = Trace { at: OffsetDateTime::UNIX_EPOCH, ..trace(Action::Read, "") };
        // A file that is a folder: no line goes there.
        std::fs::create_dir(folder.path().join("1970-01-01.jsonl")).expect("made");
        writer.record(elsewhere);
        writer.flush();
        assert_eq!(writer.lost(), 1);
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("writable");
        let refused = TraceFolder::open(&file, SIX_MONTHS, SystemClock::shared()).expect_err("not a folder");
        assert_eq!(refused.code(), "trace.folder");
        assert!(refused.message(Language::French).contains("traces"));
    }
}
