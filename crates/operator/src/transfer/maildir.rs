//! Maildir, as Dovecot, Courier and mbsync keep it: `cur` and `new`, flags in the file name, the date in the file's time.
//!
//! Folders are told apart as Maildir++ (`.Sent`, `.Archive.2026`) or as folders in folders (Dovecot's `LAYOUT=fs`, mbsync's `SubFolders
//! Verbatim`), whichever the tree holds. Names are in modified UTF-7, or in UTF-8. Keywords are letters explained by
//! `dovecot-keywords`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mail::FolderName;

use super::letter::{Key, Letter, Post};
use super::text::{with_crlf, with_lf};
use super::tree::{Tree, file_name};
use super::{Given, MAX_MESSAGE, Result, Source, TransferError};

/// The letters of flags in a file name, after `:2,`.
const FLAGS: [(char, &str); 5] =
    [('D', "\\Draft"), ('F', "\\Flagged"), ('R', "\\Answered"), ('S', "\\Seen"), ('T', "\\Deleted")];
/// The deepest tree looked into.
const MAX_DEPTH: usize = FolderName::MAX_DEPTH;
/// Keywords Dovecot can tell: letters a to z.
const LETTERS: usize = 26;
/// Octets of a `dovecot-keywords` taken for real: 26 names.
const MAX_KEYWORDS: u64 = 64 * 1024;

fn trouble(path: &Path, error: std::io::Error) -> TransferError {
    TransferError::File(path.display().to_string(), error)
}

/// One folder found.
struct Found {
    name: String,
    path: PathBuf,
}

/// A Maildir that is read.
pub struct Maildir {
    /// The folder's own path: part of each key.
    source: String,
    root: PathBuf,
    tree: Tree,
    folders: std::vec::IntoIter<Found>,
    current: Option<Current>,
    expected: u64,
}

struct Current {
    name: String,
    files: std::vec::IntoIter<PathBuf>,
    keywords: HashMap<char, String>,
}

impl Maildir {
    /// Looks at what there is.
    ///
    /// # Errors
    /// [`TransferError::Source`] when it is no Maildir, [`TransferError::File`].
    pub fn open(root: &Path) -> Result<Self> {
        let root = std::fs::canonicalize(root).map_err(|e| trouble(root, e))?;
        let mut folders = Vec::new();
        if is_maildir(&root) {
            folders.push(Found { name: "INBOX".into(), path: root.clone() });
        }
        walk(&root, "", 0, &mut folders)?;
        if folders.is_empty() {
            return Err(TransferError::Source(format!(
                "{} is no Maildir: neither it nor a folder in it has `cur` and `new`",
                root.display()
            )));
        }
        folders.sort_by(|a, b| (a.name != "INBOX", &a.name).cmp(&(b.name != "INBOX", &b.name)));
        let mut expected = 0;
        for folder in &folders {
            for place in ["new", "cur"] {
                expected += std::fs::read_dir(folder.path.join(place)).map_or(0, |files| files.count() as u64);
            }
        }
        let tree = Tree::open(&root).map_err(|e| trouble(&root, e))?;
        let source = root.display().to_string();
        Ok(Maildir { source, root, tree, folders: folders.into_iter(), current: None, expected })
    }

    fn begin(&mut self, found: Found) -> Result<()> {
        let mut files = Vec::new();
        for place in ["new", "cur"] {
            let path = found.path.join(place);
            for file in std::fs::read_dir(&path).map_err(|e| trouble(&path, e))? {
                let file = file.map_err(|e| trouble(&path, e))?;
                if !file.file_name().to_string_lossy().starts_with('.') {
                    let modified = file.metadata().and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
                    files.push((modified, file.path()));
                }
            }
        }
        // In the order of arrival, as UIDs will be.
        files.sort();
        let files: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
        let keywords = keywords(&self.tree, self.below(&found.path.join("dovecot-keywords")));
        self.current = Some(Current { name: found.name, files: files.into_iter(), keywords });
        Ok(())
    }

    /// The path within the tree.
    fn below<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn is_maildir(path: &Path) -> bool {
    // Links are not followed: see `tree`.
    let is_folder = |name| std::fs::symlink_metadata(path.join(name)).is_ok_and(|meta| meta.is_dir());
    is_folder("cur") && is_folder("new")
}

/// Finds folders under `path`, whose names begin with `prefix`.
fn walk(path: &Path, prefix: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    if depth >= MAX_DEPTH {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(|e| trouble(path, e))? {
        let entry = entry.map_err(|e| trouble(path, e))?;
        // Links are not followed: a tree must not lead out of itself.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Ok(file) = entry.file_name().into_string() else { continue };
        if matches!(&*file, "cur" | "new" | "tmp") {
            continue;
        }
        match file.strip_prefix('.') {
            // Maildir++: all levels in one name, at the top only.
            Some(levels) if depth == 0 && !levels.is_empty() => {
                if is_maildir(&entry.path()) {
                    let levels: Vec<String> = levels.split('.').map(decoded).collect();
                    found.push(Found { name: levels.join("/"), path: entry.path() });
                }
            }
            Some(_) => {}
            None => {
                let name = if prefix.is_empty() { decoded(&file) } else { format!("{prefix}/{}", decoded(&file)) };
                if is_maildir(&entry.path()) {
                    found.push(Found { name: name.clone(), path: entry.path() });
                }
                walk(&entry.path(), &name, depth + 1, found)?;
            }
        }
    }
    Ok(())
}

/// One level of a name: modified UTF-7, or UTF-8 as newer servers write it. A separator in it is replaced.
fn decoded(level: &str) -> String {
    imap::utf7::decode(level.as_bytes()).unwrap_or_else(|| level.to_owned()).replace('/', "_")
}

/// `0 $Forwarded` lines: the letter `a` is the first.
fn keywords(tree: &Tree, path: &Path) -> HashMap<char, String> {
    let octets = tree.read(path, MAX_KEYWORDS).ok().and_then(|(_, octets)| octets).unwrap_or_default();
    let text = String::from_utf8_lossy(&octets);
    text.lines()
        .filter_map(|line| {
            let (number, name) = line.split_once(' ')?;
            let number: usize = number.parse().ok().filter(|n| *n < LETTERS)?;
            // Below 26: a letter.
            Some((char::from(b'a' + number as u8), name.to_owned()))
        })
        .collect()
}

/// The unique part of a file name and the letters after `:2,`.
fn parts(name: &str) -> (&str, &str) {
    name.split_once(":2,").unwrap_or((name, ""))
}

impl Source for Maildir {
    fn expected(&self) -> Option<u64> {
        Some(self.expected)
    }

    fn next(&mut self, known: &dyn Fn(&Key) -> bool) -> Result<Option<Given>> {
        loop {
            let Some(current) = &mut self.current else {
                match self.folders.next() {
                    Some(found) => self.begin(found)?,
                    None => return Ok(None),
                }
                continue;
            };
            let Some(path) = current.files.next() else {
                self.current = None;
                continue;
            };
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (unique, letters) = parts(&file);
            let key = Key::of(&self.source, &current.name, unique);
            if known(&key) {
                return Ok(Some(Given::Known));
            }
            let place = path.display().to_string();
            let below = path.strip_prefix(&self.root).unwrap_or(&path);
            let (meta, octets) = match self.tree.read(below, MAX_MESSAGE) {
                Ok((meta, Some(octets))) => (meta, octets),
                Ok((_, None)) => return Ok(Some(Given::Skipped(place, "larger than any mailbox takes".into()))),
                Err(error) => return Ok(Some(Given::Skipped(place, error.to_string()))),
            };
            if octets.is_empty() {
                return Ok(Some(Given::Skipped(place, "an empty file".into())));
            }
            let system =
                FLAGS.iter().filter(|(letter, _)| letters.contains(*letter)).map(|(_, name)| (*name).to_owned());
            let own = letters.chars().filter_map(|letter| current.keywords.get(&letter).cloned());
            let octets: Bytes = with_crlf(&octets).into_owned().into();
            let letter = Letter {
                folder: current.name.clone(),
                flags: system.chain(own).collect(),
                date: seconds(meta.modified().unwrap_or(UNIX_EPOCH)),
                key,
                size: octets.len() as u64,
            };
            return Ok(Some(Given::Post(Box::new(Post { letter, octets }))));
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}

/// A Maildir++ that is written.
pub struct MaildirWriter {
    root: PathBuf,
    folders: HashMap<String, Written>,
}

struct Written {
    path: PathBuf,
    keywords: Vec<String>,
    /// Unique parts of the names that are there already.
    there: std::collections::HashSet<String>,
}

impl MaildirWriter {
    /// Begins, or goes on with, a Maildir in a folder of its own.
    ///
    /// # Errors
    /// [`TransferError::File`].
    pub fn open(root: &Path) -> Result<Self> {
        let mut writer = MaildirWriter { root: root.into(), folders: HashMap::new() };
        writer.folder("INBOX")?;
        Ok(writer)
    }

    fn folder(&mut self, name: &str) -> Result<&mut Written> {
        if !self.folders.contains_key(name) {
            let path = if name == "INBOX" {
                self.root.clone()
            } else {
                let levels: Vec<String> = name.split('/').map(|l| imap::utf7::encode(l).replace('.', "_")).collect();
                // `a.b` and `a_b` are two folders.
                let taken = |file: &str| self.folders.values().any(|f| f.path == self.root.join(format!(".{file}")));
                self.root.join(format!(".{}", file_name(&levels.join("."), name, taken)))
            };
            let mut there = std::collections::HashSet::new();
            for place in ["cur", "new", "tmp"] {
                let place = path.join(place);
                private(&place)?;
                for file in std::fs::read_dir(&place).map_err(|e| trouble(&place, e))?.flatten() {
                    there.insert(parts(&file.file_name().to_string_lossy()).0.to_owned());
                }
            }
            let tree = Tree::open(&path).map_err(|e| trouble(&path, e))?;
            let old = keywords(&tree, Path::new("dovecot-keywords"));
            let mut keywords = Vec::new();
            for letter in 'a'..='z' {
                match old.get(&letter) {
                    Some(name) => keywords.push(name.clone()),
                    None => break,
                }
            }
            self.folders.insert(name.to_owned(), Written { path, keywords, there });
        }
        self.folders.get_mut(name).ok_or_else(|| TransferError::Source("a folder went away".into()))
    }

    /// Writes a message; `false` when it was there. Whole or not at all.
    ///
    /// # Errors
    /// [`TransferError::File`].
    pub fn write(&mut self, post: &Post) -> Result<bool> {
        let folder = self.folder(&post.letter.folder)?;
        let unique: String = post.letter.key.0.iter().map(|b| format!("{b:02x}")).collect();
        let unique = format!("{}.{unique}.vaguemestre", post.letter.date.max(0));
        if folder.there.contains(&unique) {
            return Ok(false);
        }
        let mut letters: Vec<char> = Vec::new();
        let mut grown = false;
        for flag in &post.letter.flags {
            if let Some((letter, _)) = FLAGS.iter().find(|(_, name)| name == flag) {
                letters.push(*letter);
            } else if !flag.starts_with('\\') {
                let place = folder.keywords.iter().position(|known| known == flag).or_else(|| {
                    // Dovecot tells 26 keywords by letters; the others are lost in a Maildir.
                    (folder.keywords.len() < LETTERS).then(|| {
                        grown = true;
                        folder.keywords.push(flag.clone());
                        folder.keywords.len() - 1
                    })
                });
                letters.extend(place.map(|place| char::from(b'a' + place as u8)));
            }
        }
        letters.sort_unstable();
        if grown {
            let lines: String = folder.keywords.iter().enumerate().map(|(i, k)| format!("{i} {k}\n")).collect();
            let path = folder.path.join("dovecot-keywords");
            std::fs::write(&path, lines).map_err(|e| trouble(&path, e))?;
        }
        let temporary = folder.path.join("tmp").join(&unique);
        let whole = folder.path.join("cur").join(format!("{unique}:2,{}", letters.iter().collect::<String>()));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&with_lf(&post.octets))?;
            file.set_modified(UNIX_EPOCH + Duration::from_secs(post.letter.date.max(0) as u64))?;
            std::fs::rename(&temporary, &whole)
        };
        write().map_err(|e| trouble(&whole, e))?;
        folder.there.insert(unique);
        Ok(true)
    }
}

/// Health data: readable by its owner only.
fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| trouble(path, e))
}
