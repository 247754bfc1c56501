//! Files of a tree that others may write, and names of files made of names that others chose.
//!
//! A Maildir that is imported belongs to the users of another server, and whoever imports it may read what they may not; names
//! of folders are what users of ours wrote.
//!
//! Invariants:
//! * nothing is opened through a link, at any level: a link in `cur` must not bring somebody else's mail, or a key, into a mailbox;
//! * only regular files are read, and never more octets than asked for, whatever their size is said to be (`/dev/zero` has none);
//! * opening never waits (a pipe that nobody writes to);
//! * a name given by [`file_name`] is one level, at most [`MAX_NAME`] octets, and no hidden one.

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use openssl::sha::sha256;
use rustix::fs::{Mode, OFlags, openat};

/// Longest name of a file we make: below the 255 octets of every file system, with room for what is put around it.
const MAX_NAME: usize = 200;

/// A folder whose files are read.
pub(super) struct Tree(OwnedFd);

impl Tree {
    /// `root` itself may be a link: it is what the operator named.
    pub(super) fn open(root: &Path) -> Result<Self> {
        Ok(Tree(File::open(root)?.into()))
    }

    /// What a file holds, and what is known of it; `None` for the octets of one with more than `most`.
    pub(super) fn read(&self, path: &Path, most: u64) -> Result<(Metadata, Option<Vec<u8>>)> {
        let file = self.file(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut octets = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut octets)?;
        let fits = octets.len() as u64 <= most;
        Ok((meta, fits.then_some(octets)))
    }

    /// Goes down level by level, following no link.
    fn file(&self, path: &Path) -> Result<File> {
        let mut at: Option<OwnedFd> = None;
        let mut levels = path.components().peekable();
        while let Some(level) = levels.next() {
            let Component::Normal(name) = level else {
                return Err(Error::new(ErrorKind::InvalidInput, "a path that leads elsewhere"));
            };
            let kind = if levels.peek().is_some() { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
            at = Some(openat(at.as_ref().unwrap_or(&self.0), name, flags, Mode::empty())?);
        }
        at.map(File::from).ok_or_else(|| ErrorKind::InvalidInput.into())
    }
}

/// A name for a file, made of one that somebody chose: shortened with a digest in its place when it is too long, and no hidden one.
/// `taken` says which names are another's: such a one gets the digest too.
pub(super) fn file_name(chosen: &str, whole: &str, taken: impl Fn(&str) -> bool) -> String {
    // No separator is left by who calls; if it were, it would lead elsewhere.
    let mut name: String = chosen.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    if name.is_empty() || name.starts_with('.') {
        name.insert(0, '_');
    }
    if name.len() <= MAX_NAME && !taken(&name) {
        return name;
    }
    let digest: String = sha256(whole.as_bytes())[..8].iter().map(|octet| format!("{octet:02x}")).collect();
    name.truncate(name.floor_char_boundary(MAX_NAME - digest.len() - 1));
    format!("{name}~{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_read_through_a_link_nor_without_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("cur")).expect("made");
        std::fs::write(root.join("cur/1"), "mail").expect("written");
        std::fs::write(dir.path().join("secret"), "secret").expect("written");
        std::fs::create_dir(dir.path().join("other")).expect("made");
        std::fs::write(dir.path().join("other/1"), "secret").expect("written");
        symlink("../../secret", root.join("cur/2")).expect("linked");
        symlink("1", root.join("cur/3")).expect("linked");
        symlink("../other", root.join("new")).expect("linked");
        symlink("/dev/zero", root.join("cur/4")).expect("linked");
        let pipe = std::process::Command::new("mkfifo").arg(root.join("cur/5")).status().expect("mkfifo");
        assert!(pipe.success());
        // A Maildir that the operator names by a link is one all the same.
        symlink("root", dir.path().join("link")).expect("linked");
        let tree = Tree::open(&dir.path().join("link")).expect("opened");
        let read = |path: &str, most| tree.read(Path::new(path), most);
        assert_eq!(read("cur/1", 4).expect("read").1.as_deref(), Some(&b"mail"[..]));
        assert!(read("cur/1", 3).expect("read").1.is_none());
        for path in
            ["cur/2", "cur/3", "cur/4", "cur/5", "cur", "new/1", "../secret", "/etc/passwd", "", "cur/../../secret"]
        {
            assert!(read(path, 100).is_err(), "{path}");
        }
    }

    /// What a user of another server leaves in their Maildir does not bring what is not theirs into a mailbox.
    #[test]
    fn a_maildir_full_of_traps() {
        use crate::transfer::maildir::Maildir;
        use crate::transfer::{Given, Source};
        let dir = tempfile::tempdir().expect("a folder");
        let (root, other) = (dir.path().join("root"), dir.path().join("other"));
        for folder in [&root, &other, &root.join(".Real")] {
            std::fs::create_dir_all(folder.join("cur")).expect("made");
            std::fs::create_dir_all(folder.join("new")).expect("made");
        }
        std::fs::write(other.join("cur/1:2,S"), "Subject: not yours\n\n").expect("written");
        std::fs::write(root.join("cur/1:2,S"), "Subject: yours\n\n").expect("written");
        symlink(other.join("cur/1:2,S"), root.join("cur/2:2,S")).expect("linked");
        symlink("/dev/zero", root.join("cur/3:2,S")).expect("linked");
        symlink("/dev/zero", root.join("dovecot-keywords")).expect("linked");
        assert!(std::process::Command::new("mkfifo").arg(root.join("new/4")).status().expect("mkfifo").success());
        // Whole folders too.
        symlink(&other, root.join(".Other")).expect("linked");
        std::fs::create_dir(root.join(".Half")).expect("made");
        symlink(other.join("cur"), root.join(".Half/cur")).expect("linked");
        symlink(other.join("new"), root.join(".Half/new")).expect("linked");
        let mut source = Maildir::open(&root).expect("a Maildir");
        let (mut posts, mut skipped) = (Vec::new(), 0);
        while let Some(given) = source.next(&|_| false).expect("readable") {
            match given {
                Given::Post(post) => posts.push(String::from_utf8_lossy(&post.octets).into_owned()),
                Given::Skipped(..) => skipped += 1,
                Given::Known => {}
            }
        }
        assert_eq!(posts, ["Subject: yours\r\n\r\n"]);
        assert_eq!(skipped, 3);
    }

    #[test]
    fn names_of_files() {
        let free = |_: &str| false;
        assert_eq!(file_name("Été 2026", "x", free), "Été 2026");
        assert_eq!(file_name("..", "x", free), "_..");
        assert_eq!(file_name("../../etc/passwd", "x", free), "_.._.._etc_passwd");
        assert_eq!(file_name("", "x", free), "_");
        let (long, other) = ("é".repeat(250), format!("{}a", "é".repeat(249)));
        let name = file_name(&long, &long, free);
        assert!(name.len() <= MAX_NAME && name != file_name(&other, &other, free), "{name}");
        let taken = |name: &str| name == "a__b";
        assert!(file_name("a__b", "a__b", taken).starts_with("a__b~"));
    }
}
