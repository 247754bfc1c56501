//! The `[directory]` section of a configuration file, and the key of the FHIR interface.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

/// Longest key read: Gravitee's have 36 characters.
const MAX_KEY: usize = 512;

/// The `[directory]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Base of the FHIR interface, version 2; without it only the extraction is searched.
    pub url: Option<Url>,
    /// File that holds the key of the interface, alone on its line.
    pub api_key_file: Option<PathBuf>,
    /// PEM file of the authorities the interface's server is believed by. The system's when absent: the gateway of the ANS has a
    /// certificate of the public web, not of IGC-Santé.
    pub anchors: Option<PathBuf>,
    /// The extraction: a `.txt` or `.zip` file, or the URL of the latter (its server has a certificate of IGC-Santé).
    pub extraction: Option<String>,
    /// File of the offline index that is made of it.
    pub index: Option<PathBuf>,
}

/// What is wrong with the section.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key without interface.
    #[error("[directory] api_key_file is given without url")]
    KeyWithoutUrl,
    /// The interface must be asked over HTTPS: the key travels in each request.
    #[error("[directory] url must begin with https://")]
    NotHttps,
    /// The extraction has nowhere to go.
    #[error("[directory] extraction is given without index, the file that is made of it")]
    NoIndex,
    /// The key cannot be read.
    #[error("{path}: {error}")]
    Key {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file holds no key.
    #[error("{0}: no key of printable characters in it")]
    BadKey(PathBuf),
}

impl Settings {
    /// The same with paths taken relative to `folder`, where the configuration file lies.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Settings {
        for path in [&mut self.api_key_file, &mut self.anchors, &mut self.index].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        if let Some(extraction) = &mut self.extraction
            && !is_url(extraction)
        {
            *extraction = folder.join(&*extraction).to_string_lossy().into_owned();
        }
        self
    }

    /// Whether the section can be used.
    ///
    /// # Errors
    /// [`SettingsError`]; the key's file is not looked at.
    pub fn check(&self) -> Result<(), SettingsError> {
        match &self.url {
            None if self.api_key_file.is_some() => Err(SettingsError::KeyWithoutUrl),
            Some(url) if url.scheme() != "https" => Err(SettingsError::NotHttps),
            _ if self.extraction.is_some() && self.index.is_none() => Err(SettingsError::NoIndex),
            _ => Ok(()),
        }
    }

    /// The key, when there is a file for it.
    ///
    /// # Errors
    /// [`SettingsError`] when the file cannot be read or holds no key.
    pub fn api_key(&self) -> Result<Option<ApiKey>, SettingsError> {
        let Some(path) = &self.api_key_file else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| SettingsError::Key { path: path.clone(), error })?;
        ApiKey::new(text.trim()).map(Some).ok_or_else(|| SettingsError::BadKey(path.clone()))
    }
}

/// Whether a source is fetched rather than opened.
pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The key of the FHIR interface. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// A key: printable ASCII, since it goes into a header.
    #[must_use]
    pub fn new(text: &str) -> Option<ApiKey> {
        let good = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| ApiKey(Zeroizing::new(text.to_owned())))
    }

    /// The key itself. Named so that every use is easy to find.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section() {
        let text = "url = \"https://gateway.api.esante.gouv.fr/fhir/v2\"\napi_key_file = \"k\"\n\
            extraction = \"https://service.annuaire.sante.fr/x\"\nindex = \"i\"\n";
        let settings: Settings = toml::from_str(text).expect("good");
        let settings = settings.relative_to(Path::new("/etc/lps"));
        assert_eq!(settings.api_key_file.as_deref(), Some(Path::new("/etc/lps/k")));
        assert_eq!(settings.extraction.as_deref(), Some("https://service.annuaire.sante.fr/x"));
        settings.check().expect("usable");
        assert!(toml::from_str::<Settings>("key = \"secret\"").is_err(), "unknown keys are refused");

        let of = |text: &str| toml::from_str::<Settings>(text).expect("well-formed").check();
        assert!(matches!(of("api_key_file = \"k\""), Err(SettingsError::KeyWithoutUrl)));
        assert!(matches!(of("url = \"http://a.fr/\""), Err(SettingsError::NotHttps)));
        assert!(matches!(of("extraction = \"x.zip\""), Err(SettingsError::NoIndex)));
    }

    #[test]
    fn the_key_is_read_and_never_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "0123-abcd\n").expect("written");
        let settings = Settings { api_key_file: Some(path.clone()), ..Settings::default() };
        let key = settings.api_key().expect("read").expect("a key");
        assert_eq!((key.expose(), format!("{key:?}").as_str()), ("0123-abcd", "ApiKey"));
        std::fs::write(&path, "a\r\nX-Injected: 1").expect("written");
        assert!(matches!(settings.api_key(), Err(SettingsError::BadKey(_))));
        std::fs::remove_file(&path).expect("there");
        assert!(matches!(settings.api_key(), Err(SettingsError::Key { .. })));
    }
}
