//! Writing received documents into a folder: whatever a sender calls them, nothing is written outside it, nothing that is there is
//! written over, nobody else may read them.
//!
//! Files are made relative to the opened folder with `O_EXCL | O_NOFOLLOW`, 0600, and synced; one that could not be written whole is
//! taken away again.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mssante::cda::CdaHeader;
use mssante::pdf_name;
use mssante::xdm::{Archive, Integrity};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::explain::{Explain, Fault, Told};

/// Longest file name, in octets: what is left of 255 with room for a number.
const MAX_NAME: usize = 200;
/// Most files of one name: beyond it, something is amiss.
const MAX_SAME: usize = 1000;

/// Why a document is not written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The folder cannot be opened.
    #[error("the folder cannot be opened: {0}")]
    Folder(#[source] io::Error),
    /// A file cannot be written.
    #[error("a file cannot be written: {0}")]
    File(#[source] io::Error),
    /// A thousand files of that name are there already.
    #[error("too many files of one name are in the folder")]
    Names,
}

impl Explain for SaveError {
    fn told(&self) -> Told {
        match self {
            Self::Folder(error) => Told::new(
                "save.folder",
                Fault::Host,
                format!("le dossier ne peut pas être ouvert : {error}"),
                (
                    "Donnez un dossier qui existe et où vous pouvez écrire.",
                    "Give a folder that exists and that you may write to.",
                ),
            ),
            Self::File(error) => Told::new(
                "save.file",
                Fault::Host,
                format!("un fichier ne peut pas être écrit : {error}"),
                ("Vérifiez la place et les droits du dossier.", "Check the room in the folder and the rights on it."),
            ),
            Self::Names => Told::new(
                "save.names",
                Fault::Host,
                "trop de fichiers du même nom sont déjà dans le dossier",
                ("Choisissez un autre dossier.", "Choose another folder."),
            ),
        }
    }
}

/// An opened folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    handle: std::os::fd::OwnedFd,
}

impl Folder {
    /// Opens a folder that exists.
    ///
    /// # Errors
    /// [`SaveError::Folder`].
    pub fn open(path: &Path) -> Result<Self, SaveError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| SaveError::Folder(error.into()))?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Writes a file under a name made safe, numbered when the folder has one; says where. On disk when this returns.
    ///
    /// # Errors
    /// [`SaveError::File`] or [`SaveError::Names`]; nothing is left behind.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, SaveError> {
        let name = safe_name(name);
        let (stem, extension) = split(&name);
        for number in 1..=MAX_SAME {
            let name = if number == 1 { name.clone() } else { format!("{stem} ({number}){extension}") };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&self.handle, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(handle) => {
                    let mut file = File::from(handle);
                    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
                        // Ours, made a moment ago: half a document is worse than none.
                        let _ = rustix::fs::unlinkat(&self.handle, &name, AtFlags::empty());
                        return Err(SaveError::File(error));
                    }
                    return Ok(self.path.join(name));
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(SaveError::File(error.into())),
            }
        }
        Err(SaveError::Names)
    }
}

/// What was written of an archive.
#[derive(Debug, Default)]
pub struct Saved {
    /// The files, in the order of the documents: each CDA and its PDF copy, other documents alone.
    pub files: Vec<PathBuf>,
    /// Documents (rank from 0) that are not what the metadata announce; they were not written.
    pub unsound: Vec<(usize, Integrity)>,
    /// CDA documents (rank from 0) of which no PDF copy can be made; the document itself was written.
    pub without_copy: Vec<usize>,
}

/// Writes the documents of an archive into a folder, under the names of the convention (ECO.2.1.6) where the documents give them.
///
/// # Errors
/// [`SaveError`].
pub fn save(archive: &Archive, folder: &Folder) -> Result<Saved, SaveError> {
    let mut saved = Saved::default();
    for (rank, document) in archive.documents.iter().enumerate() {
        if !document.integrity.is_sound() {
            saved.unsound.push((rank, document.integrity));
            continue;
        }
        let own_name = document.path.rsplit('/').next().unwrap_or(&document.path);
        let Ok(header) = CdaHeader::read(&document.bytes) else {
            saved.files.push(folder.put(own_name, &document.bytes)?);
            continue;
        };
        let pdf = pdf_name::of(&header, None).unwrap_or_else(|_| format!("{}.pdf", split(own_name).0));
        saved.files.push(folder.put(&format!("{}.xml", split(&pdf).0), &document.bytes)?);
        match render::pdf(&document.bytes) {
            Ok(copy) => saved.files.push(folder.put(&pdf, &copy)?),
            Err(_) => saved.without_copy.push(rank),
        }
    }
    Ok(saved)
}

/// A name that stays in its folder on any system: no path, no control character, no leading point (hidden) nor dash (an option of
/// programs), no name that Windows keeps for devices, at most [`MAX_NAME`] octets with the extension kept.
#[must_use]
pub fn safe_name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or(raw);
    let clean: String = last
        .chars()
        .filter(
            |c| !matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'),
        )
        .map(|c| if c.is_control() || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { ' ' } else { c })
        .collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = clean.trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']);
    let (stem, extension) = split(clean);
    let extension = if extension.len() > 16 { "" } else { extension };
    let mut stem = if extension.is_empty() { clean.to_owned() } else { stem.to_owned() };
    let room = MAX_NAME - extension.len();
    if stem.len() > room {
        let end = (0..=room).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
        stem.truncate(end);
    }
    let device = stem.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |name: &str| device.strip_prefix(name).is_some_and(|rest| rest.len() == 1 && rest != "0");
    if stem.is_empty() {
        stem.push_str("document");
    } else if matches!(device.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT") {
        stem.insert(0, '_');
    }
    stem + extension
}

/// Before and from the last point; no extension when it would be all.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use proptest::prelude::*;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("readable");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("readable").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_written_over_nor_outside() {
        let place = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(&outside, "untouched").expect("made");
        std::fs::write(inside.join("a.xml"), "first").expect("made");
        symlink(&outside, inside.join("b.xml")).expect("made");
        symlink(place.path().join("nowhere"), inside.join("c.xml")).expect("made");
        let folder = Folder::open(&inside).expect("opens");
        for name in ["a.xml", "b.xml", "c.xml", "../outside", "/etc/passwd", "..", "x/../../outside", "C:\\outside"] {
            let path = folder.put(name, b"new").expect("written");
            assert_eq!(path.parent(), Some(inside.as_path()), "{name}");
            let about = std::fs::symlink_metadata(&path).expect("there");
            assert!(about.is_file() && about.mode() & 0o777 == 0o600, "{name}: {:o}", about.mode());
        }
        assert_eq!(std::fs::read(&outside).expect("there"), b"untouched");
        assert_eq!(std::fs::read(inside.join("a.xml")).expect("there"), b"first");
        assert_eq!(names(place.path()), ["inside", "outside"]);
        let expected = [
            "a (2).xml",
            "a.xml",
            "b (2).xml",
            "b.xml",
            "c (2).xml",
            "c.xml",
            "document",
            "outside",
            "outside (2)",
            "outside (3)",
            "passwd",
        ];
        assert_eq!(names(&inside), expected);
        assert!(matches!(Folder::open(&outside), Err(SaveError::Folder(_))));
        assert!(matches!(Folder::open(&place.path().join("nowhere")), Err(SaveError::Folder(_))));
    }

    #[test]
    fn names_that_systems_mind() {
        for (raw, safe) in [
            ("Compte rendu d'été.pdf", "Compte rendu d'été.pdf"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\nb\u{202E}fdp.exe", "a bfdp.exe"),
            ("NUL", "_NUL"),
            ("com1.txt", "_com1.txt"),
            ("community.txt", "community.txt"),
            ("...", "document"),
            ("a. . ", "a"),
            ("x?y*.xml", "x y .xml"),
        ] {
            assert_eq!(safe_name(raw), safe, "{raw:?}");
        }
        let long = safe_name(&format!("{}.xml", "é".repeat(300)));
        assert!(long.len() <= MAX_NAME && long.ends_with(".xml"), "{long}");
    }

    proptest! {
        #[test]
        fn any_name_is_one_level(raw in "[\\PC\\n\\x00/\\\\.]{0,80}") {
            let name = safe_name(&raw);
            prop_assert!(!name.is_empty() && name.len() <= MAX_NAME && name != "." && name != "..");
            prop_assert!(!name.contains(['/', '\\', '\0', '\n']) && !name.starts_with(['.', '-']));
            prop_assert_eq!(Path::new(&name).components().count(), 1);
        }
    }
}
