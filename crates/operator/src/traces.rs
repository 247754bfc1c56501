//! Functional traces (TRACE): who did what to which mailbox, when, and what was answered. Never content, never a subject.
//!
//! One JSON object a line in `DATA/traces/AAAA-MM-JJ.jsonl` (UTC days, mode 0600), written by a thread of its own so that no
//! session waits for it. The same event goes to the log without the names of people; at the level `debug` only, when it is what a
//! mail program does all day and succeeded.
//!
//! Invariants: a trace names people, so it never goes to the log; a trace that cannot be written is counted and logged, and
//! never stops the mail.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use trust::clock::Clock;

use crate::monitoring::Meter;

/// Traces waiting to be written; beyond it they are dropped and counted: a dead disk must not stop the mail.
const WAITING: usize = 10_000;
/// Traces waiting for which the thread is woken before its time: waking it for each would cost a session more than recording it.
const MANY: usize = 512;
/// Traces reach the file at most this late.
const FLUSH: Duration = Duration::from_millis(500);

/// Octets of traces gathered before they are written without waiting for [`FLUSH`].
const PENDING: usize = 64 * 1024;

/// Who did it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A professional, by national identifier.
    Person(String),
    /// A structure's application, by the structure's identifier.
    Application(String),
    /// Another operator, by the DN of its certificate.
    Operator(String),
    /// The administrator, from the command line.
    Administrator(String),
    /// This server by itself.
    Server,
    /// Somebody who did not prove who they are.
    Unknown,
}

/// What was done.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A mailbox was opened over IMAP.
    OpenImap,
    /// A session was ended because the right to it did.
    Close,
    /// A mailbox was opened for submission.
    OpenSubmission,
    /// An operator presented itself on the operator interface.
    OperatorPresents,
    /// A message was submitted.
    Submit,
    /// A message came from another operator.
    Receive,
    /// A message was relayed to another operator, or not.
    Relay,
    /// A notice of non-delivery, delay or delivery was made.
    Notice,
    /// A message was put into a folder by a client.
    Append,
    /// Messages were copied or moved.
    Copy,
    /// Messages were deleted.
    Expunge,
    /// A folder was made, renamed, deleted.
    Folder,
    /// What somebody may do in a folder was changed.
    Share,
    /// A mailbox was made or deleted, or a right given or ended.
    Administer,
}

impl Action {
    /// What a mail program does all day in a mailbox that it has open: where it succeeds, the log does not need it.
    fn is_daily(self) -> bool {
        matches!(self, Action::Append | Action::Copy | Action::Expunge)
    }

    /// As traces write it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Action::OpenImap => "open_imap",
            Action::Close => "close",
            Action::OpenSubmission => "open_submission",
            Action::OperatorPresents => "operator_presents",
            Action::Submit => "submit",
            Action::Receive => "receive",
            Action::Relay => "relay",
            Action::Notice => "notice",
            Action::Append => "append",
            Action::Copy => "copy",
            Action::Expunge => "expunge",
            Action::Folder => "folder",
            Action::Share => "share",
            Action::Administer => "administer",
        }
    }
}

/// One trace.
#[derive(Debug, Clone, Serialize)]
pub struct Trace {
    /// Who.
    pub who: Who,
    /// What.
    pub action: Action,
    /// Whether it was done.
    pub done: bool,
    /// The mailbox it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// As what: titulaire, délégataire…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<&'static str>,
    /// The other addresses concerned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Message-ID, or our queue number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Octets of the message, or number of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// What was answered, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Where from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Connection number, as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The enhanced code of the answer, for numbers.
    #[serde(skip)]
    pub status: Option<smtp::Enhanced>,
}

impl Trace {
    /// A trace with nothing but who, what and whether.
    pub fn new(who: Who, action: Action, done: bool) -> Self {
        Trace {
            who,
            action,
            done,
            mailbox: None,
            capacity: None,
            with: Vec::new(),
            message: None,
            quantity: None,
            answer: None,
            peer: None,
            connection: None,
            status: None,
        }
    }

    /// To which mailbox.
    pub fn mailbox(mut self, address: impl ToString) -> Self {
        self.mailbox = Some(address.to_string());
        self
    }

    /// What was answered.
    pub fn answer(mut self, answer: impl ToString) -> Self {
        self.answer = Some(answer.to_string());
        self
    }

    /// What was answered over SMTP.
    pub fn reply(mut self, reply: &smtp::Reply) -> Self {
        self.status = reply.enhanced();
        self.answer(reply)
    }

    /// How many octets or messages.
    pub fn quantity(mut self, quantity: u64) -> Self {
        self.quantity = Some(quantity);
        self
    }
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    trace: &'a Trace,
}

/// Traces on their way to the thread that writes.
#[derive(Default)]
struct Waiting {
    traces: Vec<(OffsetDateTime, Trace)>,
    /// The thread is to end once it has written these.
    over: bool,
}

/// The way to the thread that writes, which ends with it.
#[derive(Default)]
struct Way {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

impl Way {
    /// A list and a mark stay consistent whatever panics.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room.
    fn send(&self, at: OffsetDateTime, trace: Trace) -> bool {
        let mut waiting = self.lock();
        if waiting.over || waiting.traces.len() >= WAITING {
            return false;
        }
        waiting.traces.push((at, trace));
        if waiting.traces.len() == MANY {
            self.wake.notify_one();
        }
        true
    }

    fn end(&self) {
        self.lock().over = true;
        self.wake.notify_one();
    }

    /// What came, when many did or [`FLUSH`] is over; and whether it is the last.
    fn receive(&self) -> (Vec<(OffsetDateTime, Trace)>, bool) {
        let wait = |waiting: &mut Waiting| !waiting.over && waiting.traces.len() < MANY;
        let (mut waiting, _) =
            self.wake.wait_timeout_while(self.lock(), FLUSH, wait).unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.traces), waiting.over)
    }
}

/// Ends the thread when the last tracer is gone.
struct Sender(Arc<Way>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Writes traces. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    sender: Option<Arc<Sender>>,
    clock: Arc<dyn Clock>,
    lost: Arc<AtomicU64>,
    meter: Option<Arc<Meter>>,
}

impl Tracer {
    /// Opens the trace folder and starts the thread that writes. Join the handle after the last `Tracer` is dropped.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn start(folder: &Path, keep_days: u64, clock: Arc<dyn Clock>) -> std::io::Result<(Self, JoinHandle<()>)> {
        std::fs::create_dir_all(folder)?;
        let way = Arc::<Way>::default();
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { folder: folder.to_owned(), keep_days, open: None, lost: lost.clone() };
        let thread = std::thread::Builder::new().name("traces".into()).spawn({
            let way = way.clone();
            move || writer.run(&way)
        })?;
        Ok((Tracer { sender: Some(Arc::new(Sender(way))), clock, lost, meter: None }, thread))
    }

    /// One that writes nothing.
    pub fn silent(clock: Arc<dyn Clock>) -> Self {
        Tracer { sender: None, clock, lost: Arc::default(), meter: None }
    }

    /// Also counts what is traced.
    pub fn counting(self, meter: Arc<Meter>) -> Self {
        Tracer { meter: Some(meter), ..self }
    }

    /// Records a trace. Never waits.
    pub fn record(&self, trace: Trace) {
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(target: "trace", action = ?trace.action, done = trace.done, connection = trace.connection, quantity = trace.quantity, "trace")
            };
        }
        if trace.done && trace.action.is_daily() {
            log!(debug);
        } else {
            log!(info);
        }
        if let Some(meter) = &self.meter {
            meter.trace(&trace);
        }
        let Some(sender) = &self.sender else { return };
        let now = OffsetDateTime::from(self.clock.now());
        if !sender.0.send(now, trace) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the thread that writes, once it has written what was recorded, whoever still holds a tracer. Never waits.
    pub fn stop(&self) {
        if let Some(sender) = &self.sender {
            sender.0.end();
        }
    }

    /// How many traces could not be written since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

struct Writer {
    folder: PathBuf,
    keep_days: u64,
    open: Option<Day>,
    lost: Arc<AtomicU64>,
}

/// The file of a day. Lines go to it whole and several at once: the command line appends to the same file, and whoever reads
/// along sees no half of one.
struct Day {
    date: time::Date,
    file: File,
    pending: Vec<u8>,
    lines: u64,
}

impl Day {
    fn open(folder: &Path, date: time::Date) -> std::io::Result<Day> {
        let path = folder.join(format!("{date}.jsonl"));
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let mut pending = Vec::new();
        // A crash or a full disk may have left half a line: what comes now must not be glued to it.
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                pending.push(b'\n');
            }
        }
        Ok(Day { date, file, pending, lines: 0 })
    }
}

impl Writer {
    fn run(mut self, way: &Way) {
        loop {
            let (traces, last) = way.receive();
            for (at, trace) in traces {
                if let Err(e) = self.write(at, &trace) {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("a trace could not be written: {e}");
                }
            }
            // Not later than [`FLUSH`] after the first of them, under a steady load as well.
            self.flush();
            if last {
                return;
            }
        }
    }

    fn flush(&mut self) {
        let Some(day) = &mut self.open else { return };
        if let Err(e) = day.file.write_all(&day.pending) {
            self.lost.fetch_add(day.lines, Ordering::Relaxed);
            tracing::error!(traces = day.lines, "traces could not be written: {e}");
            self.open = None;
            return;
        }
        day.pending.clear();
        day.lines = 0;
    }

    fn write(&mut self, at: OffsetDateTime, trace: &Trace) -> std::io::Result<()> {
        let date = at.date();
        if self.open.as_ref().is_none_or(|day| day.date != date) {
            self.flush();
            self.open = None;
            self.open = Some(Day::open(&self.folder, date)?);
            self.forget_old(date);
        }
        let day = self.open.as_mut().expect("opened just above");
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let begin = day.pending.len();
        if let Err(e) = serde_json::to_writer(&mut day.pending, &Line { at, trace }) {
            day.pending.truncate(begin);
            return Err(e.into());
        }
        day.pending.push(b'\n');
        day.lines += 1;
        if day.pending.len() >= PENDING {
            self.flush();
        }
        Ok(())
    }

    fn forget_old(&self, today: time::Date) {
        let format = time::macros::format_description!("[year]-[month]-[day]");
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let day =
                name.to_str().and_then(|n| n.strip_suffix(".jsonl")).and_then(|n| time::Date::parse(n, &format).ok());
            if day.is_some_and(|day| (today - day).whole_days() > self.keep_days as i64)
                && let Err(e) = std::fs::remove_file(file.path())
            {
                tracing::warn!("an old trace file could not be removed: {e}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_by_day_kept_so_long_and_no_longer() {
        // TRACE
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("2020-01-01.jsonl"), "").expect("writable");
        let clock: Arc<dyn Clock> = Arc::new(trust::clock::SystemClock);
        let (tracer, thread) = Tracer::start(folder.path(), 183, clock.clone()).expect("starts");
        tracer.record(
            Trace::new(Who::Person("899700000017".into()), Action::Submit, true).mailbox("a@b.mssante.fr").quantity(12),
        );
        drop(tracer);
        thread.join().expect("no panic");
        assert!(!folder.path().join("2020-01-01.jsonl").exists());
        let today = OffsetDateTime::from(clock.now()).date();
        let text = std::fs::read_to_string(folder.path().join(format!("{today}.jsonl"))).expect("written");
        let line: serde_json::Value = serde_json::from_str(text.trim()).expect("JSON");
        assert_eq!(line["who"]["person"], "899700000017");
        assert_eq!(line["action"], "submit");
        assert_eq!(line["mailbox"], "a@b.mssante.fr");
        assert_eq!(line["quantity"], 12);
    }

    /// Notes the level of each trace that is logged.
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

    impl tracing::Subscriber for Levels {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "trace"
        }
        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().expect("no panic").push(*event.metadata().level());
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn what_succeeds_all_day_is_not_in_the_log() {
        let levels = Levels::default();
        tracing::subscriber::with_default(levels.clone(), || {
            let tracer = Tracer::silent(Arc::new(trust::clock::SystemClock));
            for (action, done) in
                [(Action::Append, true), (Action::Append, false), (Action::Submit, true), (Action::OpenImap, true)]
            {
                tracer.record(Trace::new(Who::Server, action, done));
            }
        });
        use tracing::Level;
        assert_eq!(*levels.0.lock().expect("no panic"), [Level::DEBUG, Level::INFO, Level::INFO, Level::INFO]);
    }

    #[test]
    fn lines_are_whole_after_a_crash_and_beside_another_writer() {
        // TRACE
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(trust::clock::SystemClock);
        let today = OffsetDateTime::from(clock.now()).date();
        let path = folder.path().join(format!("{today}.jsonl"));
        std::fs::write(&path, "{\"at\":\"2026").expect("writable");
        let writers: Vec<_> =
            (0..2).map(|_| Tracer::start(folder.path(), 183, clock.clone()).expect("starts")).collect();
        for _ in 0..500 {
            for (tracer, _) in &writers {
                tracer.record(Trace::new(Who::Server, Action::Relay, true).answer("x".repeat(300)));
            }
        }
        for (tracer, thread) in writers {
            drop(tracer);
            thread.join().expect("no panic");
        }
        let text = std::fs::read_to_string(&path).expect("written");
        let whole = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
        let broken = text.lines().filter(|line| !line.is_empty()).count() - whole;
        assert_eq!((whole, broken), (1000, 1), "only what the crash left is broken");
    }
}
