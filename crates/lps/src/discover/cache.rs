//! Documents kept: in memory and, when the space has a cache folder, on disk, one file per domain.
//!
//! What is kept is what the operator sent; it is read again, with all its checks, each time it is used.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use mssante::Domain;

use super::document::MAX_DOCUMENT;
use super::fetch::Fetched;

/// Longest time without asking again, whatever the server says: an operator that moves must not lose people for long.
pub(super) const MAX_FRESH: Duration = Duration::from_secs(3600);
/// Longest use of a document that cannot be fetched again.
pub(super) const MAX_STALE: Duration = Duration::from_secs(86_400);
/// Most domains kept in memory: a program has a handful of BAL.
const MAX_DOMAINS: usize = 256;
/// The first line of a file: its format.
const MAGIC: &str = "vaguemestre autoconfiguration 1";

/// One document kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub body: Arc<[u8]>,
    fetched_at: SystemTime,
    fresh_for: Duration,
}

impl Kept {
    /// Whether it may be used without asking.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.fetched_at).is_ok_and(|age| age < self.fresh_for)
    }

    /// Whether it may be used when the operator cannot be asked.
    pub(super) fn is_usable(&self, now: SystemTime) -> bool {
        now.duration_since(self.fetched_at).is_ok_and(|age| age < MAX_STALE)
    }
}

/// The documents of a space.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    documents: Mutex<HashMap<Domain, Kept>>,
}

impl Cache {
    /// Documents kept in `folder`, if any.
    pub(crate) fn new(folder: Option<PathBuf>) -> Cache {
        Cache { folder, documents: Mutex::default() }
    }

    /// The document of a domain. Blocking: at most one small file.
    pub(super) fn get(&self, domain: &Domain) -> Option<Kept> {
        let known = self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
        known.or_else(|| read(&self.path(domain)?))
    }

    /// Keeps a document. A failure costs only another request later: it is logged. Blocking.
    pub(super) fn put(&self, domain: &Domain, fetched: &Fetched, now: SystemTime) -> Kept {
        let kept = Kept {
            body: fetched.body.clone().into(),
            fetched_at: now,
            fresh_for: fetched.max_age.unwrap_or(MAX_FRESH).min(MAX_FRESH),
        };
        if fetched.keep {
            let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
            if documents.len() >= MAX_DOMAINS {
                documents.clear();
            }
            documents.insert(domain.clone(), kept.clone());
            drop(documents);
            if let Some(path) = self.path(domain)
                && let Err(error) = write(&path, &kept)
            {
                tracing::warn!(path = %path.display(), %error, "autoconfiguration not kept on disk");
            }
        }
        kept
    }

    /// A domain has letters, digits, dots and hyphens only: it is a file name.
    fn path(&self, domain: &Domain) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{domain}.autoconfig")))
    }
}

fn read(path: &Path) -> Option<Kept> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_DOCUMENT as u64 + 200).read_to_end(&mut bytes).ok()?;
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    if line()? != MAGIC {
        return None;
    }
    let fetched_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(line()?.parse().ok()?))?;
    let fresh_for = Duration::from_secs(line()?.parse().ok()?).min(MAX_FRESH);
    Some(Kept { body: lines.next()?.into(), fetched_at, fresh_for })
}

/// Whole or not at all.
fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let since = kept.fetched_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    // Of this writer alone: several programs and tasks share the folder.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("part-{}-{number}", std::process::id()));
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(format!("{MAGIC}\n{since}\n{}\n", kept.fresh_for.as_secs()).as_bytes())?;
    file.write_all(&kept.body)?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_over_restarts_and_not_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let domain: Domain = "a.mssante.fr".parse().expect("a domain");
        // whole seconds, as the file has
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let long = Some(Duration::from_secs(1_000_000));
        let fetched = Fetched { body: b"<a>\n\n</a>".to_vec(), max_age: long, keep: true };
        Cache::new(Some(folder.path().join("x"))).put(&domain, &fetched, now);
        let again = Cache::new(Some(folder.path().join("x")));
        let kept = again.get(&domain).expect("on disk");
        assert_eq!(&kept.body[..], b"<a>\n\n</a>");
        let at = |age: u64| now + Duration::from_secs(age);
        assert!(kept.is_fresh(at(3599)) && !kept.is_fresh(at(3600)), "an hour whatever the server says");
        assert!(kept.is_usable(at(86_399)) && !kept.is_usable(at(86_400)));
        assert!(!kept.is_fresh(now - Duration::from_secs(1)), "not one from the future");
        std::fs::write(folder.path().join("x/a.mssante.fr.autoconfig"), "damaged").expect("written");
        assert!(Cache::new(Some(folder.path().join("x"))).get(&domain).is_none());
        let secret = Fetched { keep: false, ..fetched };
        let none = Cache::new(None);
        assert!(!none.put(&domain, &secret, now).body.is_empty());
        assert!(none.get(&domain).is_none(), "no-store");
    }
}
