//! Where sessions are kept: `NUMBER.json` for each, `NUMBER-N.eml` for its messages that are ours, N counting its transactions from 0.
//!
//! Invariants: what [`Archive::keep`] answers for is on disk, files and folder synced, and only then shown; the list in memory is made again
//! from the folder at the start; numbers rise over restarts, whatever was lost; what is too old or too much goes, sessions without any
//! recipient first: nobody pushes evidence out by connecting and saying nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::query::Query;
use super::record::{End, Session};

/// Sessions kept: some thousand campaigns' worth of evidence is in their reports, not here.
pub const MAX_SESSIONS: usize = 4000;
/// Sessions without any recipient that are kept among them.
pub const MAX_SILENT: usize = 1500;
/// Octets of messages kept.
pub const MAX_OCTETS: u64 = 256 * 1024 * 1024;
/// How long a session is kept, in days.
pub const MAX_DAYS: i64 = 30;
/// Largest description of a session that is read back.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Numbers set aside at a time, so that none is given twice after a crash.
const BLOCK: u64 = 1000;
/// The file that tells up to which number they are set aside.
const NUMBERS: &str = "numbers";

/// The sessions of the traps.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    sessions: BTreeMap<u64, Arc<Session>>,
    next: u64,
    reserved: u64,
}

impl Archive {
    /// Opens the folder, made when missing, and reads what is there. A file that cannot be read is left alone and told of in the log.
    ///
    /// # Errors
    /// A folder that cannot be made, read or written.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Arc<Archive>> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let mut sessions = BTreeMap::new();
        let mut last = 0;
        for entry in fs::read_dir(&folder)?.flatten() {
            let name = entry.file_name();
            let Some((stem, extension)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            if extension.ends_with("part") {
                let _ = fs::remove_file(entry.path());
                continue;
            }
            let number = stem.split('-').next().and_then(|number| number.parse::<u64>().ok());
            last = last.max(number.unwrap_or(0));
            if let (Some(number), "json") = (number, extension) {
                match read(&entry.path()) {
                    Ok(mut session) => {
                        // Going on when the process ended: it does not any more.
                        session.end = session.end.or(Some(End::Stopped));
                        sessions.insert(number, Arc::new(session));
                    }
                    Err(error) => tracing::warn!(number, "a session of a trap cannot be read: {error}"),
                }
            }
        }
        let reserved = fs::read_to_string(folder.join(NUMBERS)).ok().and_then(|text| text.trim().parse().ok());
        let next = reserved.unwrap_or(0).max(last + 1);
        let state = Mutex::new(State { sessions, next, reserved: next });
        Ok(Arc::new(Archive { folder, state, changes: watch::Sender::new(0) }))
    }

    /// A number for a new session. Blocking now and then, for a moment.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn number(&self) -> io::Result<u64> {
        let mut state = self.lock();
        if state.next >= state.reserved {
            let reserved = state.next + BLOCK;
            put(&self.folder, NUMBERS, reserved.to_string().as_bytes())?;
            sync(&self.folder)?;
            state.reserved = reserved;
        }
        let number = state.next;
        state.next += 1;
        Ok(number)
    }

    /// Shows a session as it is now, without keeping it yet.
    pub fn show(&self, session: &Session) {
        self.lock().sessions.insert(session.seq, Arc::new(session.clone()));
        self.changed();
    }

    /// Keeps a session as it is now, with a message of it: on disk when this returns.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn keep(self: &Arc<Self>, session: &Session, message: Option<(usize, Vec<u8>)>) -> io::Result<()> {
        let (archive, session) = (self.clone(), session.clone());
        let kept = tokio::task::spawn_blocking(move || archive.write(session, message));
        kept.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn write(&self, session: Session, message: Option<(usize, Vec<u8>)>) -> io::Result<()> {
        if let Some((index, octets)) = message {
            put(&self.folder, &format!("{:010}-{index}.eml", session.seq), &octets)?;
        }
        put(&self.folder, &format!("{:010}.json", session.seq), &serde_json::to_vec(&session)?)?;
        sync(&self.folder)?;
        let now = session.at_ms;
        let gone = {
            let mut state = self.lock();
            state.sessions.insert(session.seq, Arc::new(session));
            surplus(&mut state.sessions, now)
        };
        for session in gone {
            for index in 0..session.transactions.len() {
                let _ = fs::remove_file(self.folder.join(format!("{:010}-{index}.eml", session.seq)));
            }
            let _ = fs::remove_file(self.folder.join(format!("{:010}.json", session.seq)));
        }
        self.changed();
        Ok(())
    }

    /// The number of the newest session; 0 when there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.lock().next.saturating_sub(1)
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those looked for, newest first.
    #[must_use]
    pub fn list(&self, query: &Query, most: usize) -> Vec<Arc<Session>> {
        let first = if query.batch.is_some() { 0 } else { query.since.saturating_add(1) };
        // The lock is held to copy pointers only: looking for words takes its time.
        let all: Vec<Arc<Session>> = self.lock().sessions.range(first..).map(|(_, s)| s.clone()).collect();
        all.into_iter().rev().filter(|session| query.takes(session)).take(most).collect()
    }

    /// One.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Arc<Session>> {
        self.lock().sessions.get(&number).cloned()
    }

    /// A message of it, by the index of its transaction; none when it was not ours or is gone. Blocking: one file is read.
    #[must_use]
    pub fn message(&self, number: u64, transaction: usize) -> Option<Vec<u8>> {
        self.get(number)?.transactions.get(transaction)?.message.as_ref().filter(|message| message.kept > 0)?;
        fs::read(self.folder.join(format!("{number:010}-{transaction}.eml"))).ok()
    }

    /// How often something changed since the start.
    #[must_use]
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Waits until something changed after that version, or the time is over; the version then.
    pub async fn changed_since(&self, version: u64, wait: Duration) -> u64 {
        let mut changes = self.changes.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = tokio::time::timeout(wait, changes.wait_for(|now| *now > version)).await;
        self.version()
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one insertion or removal: what a panic leaves is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what is too old or too much. Sessions that go on stay.
fn surplus(sessions: &mut BTreeMap<u64, Arc<Session>>, now: i64) -> Vec<Arc<Session>> {
    let octets = |session: &Session| -> u64 {
        session.transactions.iter().filter_map(|t| t.message.as_ref()).map(|message| message.kept).sum()
    };
    let is_silent = |session: &Session| session.recipients().next().is_none();
    let mut total: u64 = sessions.values().map(|session| octets(session)).sum();
    let (mut count, mut silent) = (sessions.len(), sessions.values().filter(|session| is_silent(session)).count());
    let mut gone = Vec::new();
    // Oldest first; first those without any recipient, then all.
    for silent_only in [true, false] {
        let candidates: Vec<u64> = sessions
            .values()
            .filter(|session| session.end.is_some() && (!silent_only || is_silent(session)))
            .map(|session| session.seq)
            .collect();
        for number in candidates {
            let Some(session) = sessions.get(&number) else { continue };
            let is_old = now - session.at_ms > MAX_DAYS * 86_400_000;
            let is_much =
                count > MAX_SESSIONS || (!silent_only && total > MAX_OCTETS) || (silent_only && silent > MAX_SILENT);
            if !(is_old || is_much) {
                break;
            }
            if let Some(session) = sessions.remove(&number) {
                count -= 1;
                silent -= usize::from(is_silent(&session));
                total = total.saturating_sub(octets(&session));
                gone.push(session);
            }
        }
    }
    gone
}

fn read(path: &Path) -> io::Result<Session> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Written beside, synced, then renamed: whoever sees the file sees it whole.
fn put(folder: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.part"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::session;
    use super::*;

    const DAY: i64 = 86_400_000;

    #[tokio::test]
    async fn kept_over_a_restart_with_its_message_and_numbered_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(folder.path()).expect("opens");
        let number = archive.number().expect("writable");
        let one = session(number, "a@b.test", "nominal+r1@p.test", "x");
        archive.keep(&one, Some((0, b"octets".to_vec()))).await.expect("kept");
        let lost = session(archive.number().expect("writable"), "a@b.test", "nominal+r2@p.test", "x");
        archive.show(&lost);
        assert_eq!(archive.list(&Query::default(), 10).len(), 2);
        fs::write(folder.path().join("0000000099.json"), b"{").expect("writable");
        fs::write(folder.path().join("0000000098.json.part"), b"{").expect("writable");

        // As after a crash: what was not kept is gone, and its number is not given again.
        let again = Archive::open(folder.path()).expect("opens");
        let found = again.list(&Query::of_run("R1"), 10);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].seq, found[0].end), (number, Some(End::Stopped)));
        assert_eq!(again.message(number, 0).as_deref(), Some(&b"octets"[..]));
        assert_eq!(again.message(number, 1), None);
        assert!(again.list(&Query::of_run("r2"), 10).is_empty());
        assert!(again.number().expect("writable") > lost.seq.max(99));
        assert!(!folder.path().join("0000000098.json.part").exists());
    }

    #[tokio::test]
    async fn somebody_who_waits_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(folder.path()).expect("opens");
        let version = archive.version();
        let waiting = archive.changed_since(version, Duration::from_secs(60));
        let (now, ()) = tokio::join!(waiting, async { archive.show(&session(1, "a@b.test", "nominal@p.test", "x")) });
        assert!(now > version);
        assert_eq!(archive.changed_since(now, Duration::from_millis(5)).await, now);
    }

    #[test]
    fn what_is_old_or_too_much_goes_and_silence_pushes_nothing_out() {
        let over = |seq: u64, at_ms, is_silent: bool| {
            let mut one = session(seq, "a@b.test", "nominal+r@p.test", "x");
            (one.at_ms, one.end) = (at_ms, Some(End::Quit));
            if is_silent {
                one.transactions.clear();
            }
            (seq, Arc::new(one))
        };
        let now = 100 * DAY;
        let mut sessions: BTreeMap<u64, Arc<Session>> =
            BTreeMap::from([over(1, now - 31 * DAY, false), over(2, now, false)]);
        sessions.extend((10..10 + 2 * MAX_SILENT as u64).map(|seq| over(seq, now, true)));
        let gone = surplus(&mut sessions, now);
        assert_eq!(gone.len(), 1 + MAX_SILENT);
        assert!(!sessions.contains_key(&1) && sessions.contains_key(&2) && !sessions.contains_key(&10));
        sessions.extend((20_000..20_000 + MAX_SESSIONS as u64).map(|seq| over(seq, now, false)));
        surplus(&mut sessions, now);
        assert_eq!(sessions.len(), MAX_SESSIONS);
        // Those with recipients stay before those without.
        assert!(sessions.values().all(|session| session.recipients().next().is_some()));
    }
}
