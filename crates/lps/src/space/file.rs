//! The settings file (docs/editor.md): TOML, unknown keys refused, relative paths counted from the file's folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mssante::Domain;
use serde::Deserialize;

use super::SpaceError;

/// Largest settings file; real ones have one or two KB.
const MAX_FILE: u64 = 256 * 1024;
/// What Mon espace santé takes at most, in octets (SC.MSS/CONF.19).
pub(super) const PATIENT_LIMIT: u64 = 25_000_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub software: Software,
    pub trust: Trust,
    #[serde(default)]
    pub network: Network,
    pub psc: Option<psc::login::Settings>,
    pub directory: Option<directory::Settings>,
    pub traces: Option<Traces>,
    #[serde(default)]
    pub patients: Patients,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Software {
    pub nil: String,
    pub name: String,
    pub version: String,
    pub vendor: String,
    pub source_id: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    pub anchors: PathBuf,
    #[serde(default)]
    pub crl: Vec<String>,
    #[serde(default = "yes")]
    pub ocsp: bool,
    pub cache: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    #[serde(default)]
    pub domains: Vec<String>,
    #[serde(default)]
    pub private_addresses: bool,
    pub nameserver: Option<SocketAddr>,
    #[serde(default)]
    pub autoconfig_ports: BTreeMap<String, u16>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traces {
    pub folder: PathBuf,
    #[serde(default = "six_months")]
    pub keep_days: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patients {
    #[serde(default = "patient_limit")]
    pub limit: u64,
}

impl Default for Patients {
    fn default() -> Self {
        Patients { limit: PATIENT_LIMIT }
    }
}

fn yes() -> bool {
    true
}

fn six_months() -> u64 {
    crate::trace::file::SIX_MONTHS
}

fn patient_limit() -> u64 {
    PATIENT_LIMIT
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, SpaceError> {
    use std::io::Read;
    let unreadable = |source| SpaceError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    std::fs::File::open(path).map_err(unreadable)?.take(MAX_FILE).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

impl File {
    pub(super) fn parse(text: &str, path: &Path) -> Result<File, SpaceError> {
        toml::from_str(text).map_err(|error: toml::de::Error| SpaceError::Syntax {
            path: path.to_owned(),
            line: error.span().map(|span| line_of(text, span.start)),
            what: error.message().trim().replace('\n', "; "),
        })
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Domain names of a list of the file.
pub(super) fn domains<'a>(
    key: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<Vec<Domain>, SpaceError> {
    let parse = |name: &String| {
        name.parse().map_err(|_| SpaceError::Value { key, what: format!("{name:?} is not a domain name in ASCII") })
    };
    names.map(parse).collect()
}
