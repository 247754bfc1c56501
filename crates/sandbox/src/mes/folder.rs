//! Where messages lie: `<INS>/<number>.eml` and `<number>.json`, numbers rising over all patients and restarts.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use mssante::Ins;
use mssante::headers::{MesCommand, ReceivedHeaders};
use serde::{Deserialize, Serialize};

use crate::SandboxError;

/// What is noted of a message, beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it came, RFC 3339.
    pub received_at: String,
    /// MAIL FROM; empty for a notice.
    pub from: String,
    /// RCPT TO.
    pub to: String,
    /// DN of the operator that brought it.
    pub operator_dn: String,
    /// Its size in octets.
    pub octets: u64,
    /// Whether the patient may no longer answer (`X-MSS-MES: FIN`).
    pub fin: bool,
    /// The X-MSS-* fields as they stand in the message.
    pub x_mss: Vec<(String, String)>,
}

impl Note {
    /// Fills in what the header of the message says.
    pub(super) fn read_header(&mut self, message: &[u8]) {
        let end = mail::header::end(message).unwrap_or(message.len());
        let fields = || mail::header::Fields::new(&message[..end]);
        let ours = |name: &str| mssante::headers::Field::from_name(name).is_some();
        self.x_mss = fields().filter(|f| ours(f.name)).map(|f| (f.name.to_owned(), f.value())).collect();
        let pairs: Vec<(&str, &str)> = self.x_mss.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.fin = ReceivedHeaders::read(pairs).mes == Some(MesCommand::Fin);
    }
}

/// The folder of all patients.
pub(super) struct Folder {
    root: PathBuf,
    next: AtomicU64,
}

impl Folder {
    /// Opens the folder and finds the next number.
    pub fn open(root: PathBuf) -> Result<Folder, SandboxError> {
        let mut last = 0;
        for patient in fs::read_dir(&root).map_err(SandboxError::file(&root))?.flatten() {
            let Ok(messages) = fs::read_dir(patient.path()) else { continue };
            for message in messages.flatten() {
                let name = message.file_name();
                let number = name.to_str().and_then(|n| n.split_once('.')).and_then(|(n, _)| n.parse().ok());
                last = last.max(number.unwrap_or(0));
            }
        }
        Ok(Folder { root, next: AtomicU64::new(last + 1) })
    }

    /// Stores a message for each patient, durable when it returns. Blocking. Answers the number of the first.
    pub fn store(&self, patients: &[(Ins, Note)], message: &[u8]) -> std::io::Result<u64> {
        let mut first = 0;
        for (patient, note) in patients {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if first == 0 {
                first = number;
            }
            let folder = self.root.join(patient.as_str());
            if !folder.exists() {
                fs::create_dir_all(&folder)?;
                sync_folder(&self.root)?;
            }
            put(&folder, &format!("{number}.json"), &serde_json::to_vec_pretty(note)?)?;
            put(&folder, &format!("{number}.eml"), message)?;
            sync_folder(&folder)?;
        }
        Ok(first)
    }
}

fn put(folder: &Path, name: &str, octets: &[u8]) -> std::io::Result<()> {
    let draft = folder.join(format!("{name}.part"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_with_a_note_and_numbered_on_after_a_restart() {
        // OPE-PATIENT
        let root = tempfile::tempdir().expect("a folder");
        let patient: Ins = "255069999999934".parse().expect("an INS");
        let message = b"X-MSS-MES: FIN\r\nX-MSS-NIL: ESSAI\r\nSubject: a\r\n\r\nb\r\n";
        let mut note = Note {
            received_at: String::new(),
            from: "a@b.mssante.fr".into(),
            to: patient.address().to_string(),
            operator_dn: String::new(),
            octets: message.len() as u64,
            fin: false,
            x_mss: Vec::new(),
        };
        note.read_header(message);
        assert!(note.fin);
        assert_eq!(note.x_mss.len(), 2);
        for expected in 1..=2 {
            let folder = Folder::open(root.path().to_owned()).expect("opens");
            assert_eq!(folder.store(&[(patient.clone(), note.clone())], message).expect("written"), expected);
        }
        let place = root.path().join(patient.as_str());
        assert_eq!(fs::read(place.join("2.eml")).expect("there"), message);
        let read: Note = serde_json::from_slice(&fs::read(place.join("2.json")).expect("there")).expect("JSON");
        assert_eq!(read, note);
    }
}
