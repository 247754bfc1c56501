//! The section `[psc]` of a space's file: which PSC, and how this software proves that it is the client declared there.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use url::Url;

/// What the person answers a CIBA login with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The e-CPS application of a phone.
    #[default]
    Mobile,
    /// A CPx card in a reader, through CPS-Gestion.
    Card,
}

impl Channel {
    /// The value of PSC's parameter `channel`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Channel::Mobile => "MOBILE",
            Channel::Card => "CARD",
        }
    }
}

/// The section `[psc]`. File names are relative to the file it stands in.
///
/// Either `client_secret_file` or `certificate` and `key` are given. With `authorization_endpoint`, `token_endpoint` and `jwks_uri` all
/// given, no discovery is made; otherwise what is given replaces what discovery says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The exact issuer.
    pub issuer: String,
    /// The client declared to PSC.
    pub client_id: String,
    /// File holding its secret, alone on its line.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Certificate ORG AUTH_CLI (PEM, with its chain) shown instead of a secret (RFC 8705).
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Authorities (PEM) that PSC's servers are believed by. PSC's real ones have certificates of a public authority: when absent, the
    /// machine's authorities are believed.
    #[serde(default)]
    pub anchors: Option<PathBuf>,
    /// Discovery document; `{issuer}/.well-known/wallet-openid-configuration` when absent.
    #[serde(default)]
    pub discovery: Option<Url>,
    /// Login page.
    #[serde(default)]
    pub authorization_endpoint: Option<Url>,
    /// Tokens.
    #[serde(default)]
    pub token_endpoint: Option<Url>,
    /// Keys.
    #[serde(default)]
    pub jwks_uri: Option<Url>,
    /// CIBA.
    #[serde(default)]
    pub ciba_endpoint: Option<Url>,
    /// Revocation (RFC 7009).
    #[serde(default)]
    pub revocation_endpoint: Option<Url>,
    /// Logout.
    #[serde(default)]
    pub end_session_endpoint: Option<Url>,
    /// What is asked for.
    #[serde(default = "scope")]
    pub scope: String,
    /// The level asked for.
    #[serde(default = "acr_values")]
    pub acr_values: String,
    /// What CIBA logins are answered with.
    #[serde(default)]
    pub ciba_channel: Channel,
    /// The port of `http://127.0.0.1:PORT/retour` when it is declared to PSC; a free one when absent.
    #[serde(default)]
    pub redirect_port: Option<u16>,
}

impl Settings {
    /// Any OpenID provider, at the usual path of its discovery document: who somebody is and nothing more is asked for. The secret's file is
    /// relative to where [`super::Provider::new`] is told to look.
    #[must_use]
    pub fn of_issuer(issuer: &str, client_id: &str, client_secret_file: PathBuf) -> Settings {
        Settings {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret_file: Some(client_secret_file),
            certificate: None,
            key: None,
            anchors: None,
            discovery: format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')).parse().ok(),
            authorization_endpoint: None,
            token_endpoint: None,
            jwks_uri: None,
            ciba_endpoint: None,
            revocation_endpoint: None,
            end_session_endpoint: None,
            scope: "openid".to_owned(),
            acr_values: String::new(),
            ciba_channel: Channel::default(),
            redirect_port: None,
        }
    }
}

fn scope() -> String {
    "openid scope_all".to_owned()
}

fn acr_values() -> String {
    "eidas1".to_owned()
}

/// Settings no login is made with.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The issuer or the client's name is missing.
    #[error("psc.{0} is empty")]
    Empty(&'static str),
    /// Neither secret nor certificate, both, or a certificate without key.
    #[error("psc: give either client_secret_file, or certificate and key")]
    Authentication,
    /// `scope` without `openid`: PSC would give no ID token.
    #[error("psc.scope must hold openid")]
    Scope,
    /// An address that is neither HTTPS nor on this machine.
    #[error("psc.{0} is not https://")]
    Insecure(&'static str),
    /// A file that cannot be read.
    #[error("psc.{key}: {path}: {error}")]
    File {
        /// Which setting.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("psc.{key}: {path} is not {expected}")]
    Content {
        /// Which setting.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error("psc: {0}")]
    Http(#[from] trust::http::HttpError),
}

/// Largest file read: a certificate with its chain has a few KB.
const MAX_FILE: u64 = 256 * 1024;

/// Reads a file named in the section.
pub(super) fn read(base: &Path, key: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    use std::io::Read;
    let path = base.join(path);
    let mut octets = Vec::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut octets));
    match read {
        Err(error) => Err(SettingsError::File { key, path, error }),
        Ok(length) if length as u64 > MAX_FILE => {
            Err(SettingsError::Content { key, path, expected: "that short a file" })
        }
        Ok(_) => Ok(octets),
    }
}
