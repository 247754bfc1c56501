//! Where the settings and the remembered mailboxes are.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mssante::{Address, NationalId};
use serde::{Deserialize, Serialize};

use super::error::{CommandError, Stop, file};
use crate::commands::sandbox;

/// Names the settings file in the environment.
pub const VARIABLE: &str = "VAGUEMESTRE_LPS";
/// The settings file's name.
const SETTINGS: &str = "lps.toml";
/// The remembered mailboxes', beside it.
const BOXES: &str = "boxes.toml";
/// Largest list of mailboxes read.
const MAX_BOXES: u64 = 256 * 1024;

/// The settings file to use, and whether it is a sandbox's that was found and not asked for.
pub fn settings(asked: Option<&Path>) -> Result<(PathBuf, bool), Stop> {
    if let Some(asked) = asked {
        return Ok((asked.to_owned(), false));
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config"))).unwrap_or_default();
    let home = config.join("vaguemestre").join(SETTINGS);
    if home.exists() {
        return Ok((home, false));
    }
    let folder = set(sandbox::DIR_VARIABLE).unwrap_or_else(|| PathBuf::from(sandbox::DEFAULT_DIR));
    let found = folder.join(SETTINGS);
    if found.exists() { Ok((found, true)) } else { Err(CommandError::NoSettings { home, sandbox: found }.into()) }
}

/// A remembered mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// Its address.
    #[serde(with = "text")]
    pub address: Address,
    /// Who opens it through Pro Santé Connect.
    #[serde(rename = "as", with = "optional_text", skip_serializing_if = "Option::is_none", default)]
    pub person: Option<NationalId>,
    /// The certificate that opens a BAL APP; relative to the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<PathBuf>,
    /// What recipients see beside the address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
}

/// The mailboxes of whoever uses the command: `boxes.toml` beside the settings file. The first is taken when none is named.
#[derive(Debug)]
pub struct Boxes {
    path: PathBuf,
    /// In the order of the file.
    pub all: Vec<Remembered>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "box", default)]
    boxes: Vec<Remembered>,
}

impl Boxes {
    /// Those beside a settings file; none when there is no list.
    pub fn load(settings: &Path) -> Result<Boxes, Stop> {
        use std::io::Read;
        let path = settings.with_file_name(BOXES);
        let mut text = String::new();
        match std::fs::File::open(&path) {
            Ok(opened) => {
                opened.take(MAX_BOXES).read_to_string(&mut text).map_err(file(&path))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(file(&path)(error)),
        }
        match toml::from_str::<File>(&text) {
            Ok(file) => Ok(Boxes { path, all: file.boxes }),
            Err(error) => {
                Err(CommandError::Boxes { file: path, why: error.message().trim().replace('\n', "; ") }.into())
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The one of an address.
    pub fn find(&self, address: &Address) -> Option<&Remembered> {
        self.all.iter().find(|one| one.address.lookup_key() == address.lookup_key())
    }

    /// A path of the list as the program can open it.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Remembers one, in place of what was remembered of that address; as the first when `first` or when it is the only one.
    pub fn remember(&mut self, one: Remembered, first: bool) {
        let known = self.all.iter().position(|known| known.address.lookup_key() == one.address.lookup_key());
        match known {
            Some(at) if first => {
                self.all.remove(at);
                self.all.insert(0, one);
            }
            Some(at) => self.all[at] = one,
            None if first => self.all.insert(0, one),
            None => self.all.push(one),
        }
    }

    /// Forgets one; whether it was there.
    pub fn forget(&mut self, address: &Address) -> bool {
        let before = self.all.len();
        self.all.retain(|known| known.address.lookup_key() != address.lookup_key());
        self.all.len() < before
    }

    /// Writes the list: whole or not at all, for its owner alone.
    pub fn save(&self) -> Result<(), Stop> {
        let list = File { boxes: self.all.clone() };
        let text = toml::to_string(&list)
            .map_err(|error| CommandError::Boxes { file: self.path.clone(), why: error.to_string() })?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file(folder))?;
        }
        let aside = self.path.with_extension(format!("toml.{}", std::process::id()));
        let written = (|| {
            let mut options = std::fs::OpenOptions::new();
            let mut new = options.write(true).create_new(true).mode(0o600).open(&aside)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&aside, &self.path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&aside);
        }
        written.map_err(file(&self.path))
    }
}

/// What is written as text in a file.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The same, absent or not.
mod optional_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        super::text::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(address: &str) -> Remembered {
        Remembered {
            address: address.parse().expect("an address"),
            person: Some("899700000017".parse().expect("an identifier")),
            certificate: None,
            key: None,
            label: None,
        }
    }

    #[test]
    fn remembered_in_order_and_forgotten() {
        // ECO-MULTI
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("in/lps.toml");
        let mut boxes = Boxes::load(&settings).expect("none yet");
        assert!(boxes.all.is_empty());
        boxes.remember(one("a@x.mssante.fr"), false);
        boxes.remember(one("b@x.mssante.fr"), true);
        boxes.remember(Remembered { label: Some("Dr_A_B".into()), ..one("A@x.mssante.fr") }, false);
        boxes.save().expect("written");
        let mut again = Boxes::load(&settings).expect("read");
        assert_eq!(again.all.len(), 2);
        assert_eq!(again.all[0], one("b@x.mssante.fr"));
        assert_eq!(again.all[1].label.as_deref(), Some("Dr_A_B"));
        assert!(again.forget(&"b@X.mssante.fr".parse().expect("an address")));
        assert!(!again.forget(&"b@X.mssante.fr".parse().expect("an address")));
        std::fs::write(again.path(), "[[box]]\naddress = 'a@x.mssante.fr'\nsecret = 1\n").expect("written");
        assert!(matches!(Boxes::load(&settings), Err(Stop::Explained(error)) if error.code() == "command.boxes"));
    }
}
