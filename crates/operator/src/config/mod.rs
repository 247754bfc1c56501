//! The operator's configuration: one TOML file, unknown keys refused (design decision 8).
//!
//! Invariants: a [`Config`] in hand has passed every check that can be made without the network; paths in it are absolute
//! or relative to the working folder (the file's own relative paths are resolved against the file's folder); secrets are
//! read from files, never from this one.

mod check;
mod operations;
mod problem;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mssante::{Address, Domain};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

pub(crate) use check::parse_day;
pub use operations::{Log, LogFormat, LogLevel, Monitoring, Rates, Stop};
pub use problem::Problem;

/// The configuration of one operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who we are.
    pub operator: Identity,
    /// Our certificate.
    pub tls: Tls,
    /// Whom we trust.
    pub trust: Trust,
    /// The white list.
    pub white_list: WhiteList,
    /// Pro Santé Connect.
    pub psc: Psc,
    /// Where we listen.
    pub listen: Listen,
    /// What clients are told to connect to.
    pub public: Public,
    /// How mail of other operators comes in.
    #[serde(default)]
    pub mx: Mx,
    /// How mail leaves.
    #[serde(default)]
    pub relay: Relay,
    /// How much.
    #[serde(default)]
    pub limits: Limits,
    /// How long sessions last.
    #[serde(default)]
    pub sessions: Sessions,
    /// Functional traces.
    #[serde(default)]
    pub traces: Traces,
    /// Monitoring.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// The log.
    #[serde(default)]
    pub log: Log,
    /// How much one mailbox or address may ask for.
    #[serde(default)]
    pub rates: Rates,
    /// What a stop waits for.
    #[serde(default)]
    pub stop: Stop,
    /// What mail is encrypted under.
    #[serde(default)]
    pub store: StoreKeys,
    /// The file and its keys as read, for the next reading of it.
    #[serde(skip)]
    pub(crate) source: Source,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its keys.
    pub(crate) keys: toml::Table,
}

/// `[store]`: where the master key is that wraps the keys of the mailboxes; at most one of the two.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct StoreKeys {
    /// A file with 64 hexadecimal digits; not readable by others.
    pub key_file: Option<Spanned<PathBuf>>,
    /// The name of an environment variable with them.
    pub key_env: Option<Spanned<String>>,
}

impl StoreKeys {
    /// How the store is opened. Blocking.
    ///
    /// # Errors
    /// [`store::StoreError::Unusable`] when the key cannot be read.
    pub fn options(&self) -> Result<store::sqlite::Options, store::StoreError> {
        use store::keys::MasterKey;
        Ok(match (&self.key_file, &self.key_env) {
            (Some(path), _) => store::sqlite::Options::with_keeper(MasterKey::from_file(path.get_ref())?),
            (None, Some(name)) => store::sqlite::Options::with_keeper(MasterKey::from_environment(name.get_ref())?),
            (None, None) => store::sqlite::Options::default(),
        })
    }
}

/// `[operator]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// A short name, for people.
    pub name: String,
    /// The mail domains this operator keeps mailboxes for. At least one.
    pub domains: Spanned<Vec<Domain>>,
    /// The name in SMTP and IMAP greetings, in `Received` and in the certificate.
    pub hostname: Spanned<Domain>,
    /// Folder for the store, the queue, the traces and the last good white list.
    pub data: PathBuf,
    /// The mailbox here that gets what is written to `<postmaster>`, or to `postmaster@` one of the domains where that has no mailbox of
    /// its own (RFC 5321 §4.5.1).
    pub postmaster: Option<Spanned<Address>>,
}

/// `[tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM: our certificate, then the intermediate ones.
    pub certificate: Spanned<PathBuf>,
    /// PEM: its private key; not readable by others.
    pub key: Spanned<PathBuf>,
    /// TLS 1.3 beside 1.2 (LPS-TLS).
    #[serde(default = "yes")]
    pub tls13: bool,
    /// TLS 1.0 is tolerated on the operator interface until this day (OPE-TLSVER), `YYYY-MM-DD`; absent: never.
    pub tls10_tolerated_until: Option<Spanned<String>>,
}

/// `[trust]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// PEM: the root certificate(s) of IGC-Santé Élémentaire, and the intermediate authorities if a peer may leave them out.
    pub anchors: Spanned<PathBuf>,
    /// Where revocation lists come from: `http://…` or a file path. One per authority.
    pub crl: Vec<Spanned<String>>,
    /// What to do without a valid list.
    #[serde(default)]
    pub revocation: Revocation,
    /// Whether what no list at hand tells is asked over the network while the peer waits: the list its certificate points to, and
    /// the OCSP service.
    #[serde(default = "yes")]
    pub ocsp: bool,
}

/// What to do with a certificate when no valid revocation list of its authority is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// Refuse it.
    #[default]
    Required,
    /// Accept it and log.
    Tolerant,
}

/// `[white_list]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhiteList {
    /// Where it is published.
    pub url: Spanned<Url>,
    /// The DN its signer's certificate must have.
    pub signer: Spanned<String>,
    /// Minutes between two fetches.
    #[serde(default = "one_hour")]
    pub refresh_minutes: Spanned<u64>,
}

/// `[psc]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Psc {
    /// The exact issuer.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: Spanned<Url>,
    /// PEM: authorities for HTTPS to PSC.
    pub anchors: Spanned<PathBuf>,
    /// Accepted `acr` values.
    #[serde(default = "eidas")]
    pub acr: Vec<String>,
    /// Accepted `aud` values; a token without `aud` is accepted unless `audience_required`.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Whether a token must have an `aud`.
    #[serde(default)]
    pub audience_required: bool,
    /// Clock difference tolerated, in seconds, at most 60.
    #[serde(default = "thirty")]
    pub skew_seconds: Spanned<u64>,
    /// Seconds between two readings of PSC's keys because of tokens that name others.
    #[serde(default = "five")]
    pub keys_retry_seconds: Spanned<u64>,
    /// Ask PSC about each token.
    pub introspection: Option<Introspection>,
    /// Ask PSC who the user is, and have it agree.
    pub userinfo: Option<Spanned<Url>>,
}

/// `[psc.introspection]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The endpoint.
    pub url: Spanned<Url>,
    /// Our client id at PSC.
    pub client_id: String,
    /// A file that holds our client secret, not readable by others.
    pub client_secret_file: Spanned<PathBuf>,
}

/// `[listen]`. An entry point that is absent is not offered. Port 0 takes a free port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// IMAP for PSC (PER, ORG, CAB), usually port 143.
    pub imap: Option<SocketAddr>,
    /// Submission for PSC, usually port 587.
    pub submission: Option<SocketAddr>,
    /// IMAP for BAL APP (client certificate), usually port 143 on an address of its own.
    pub imap_app: Option<SocketAddr>,
    /// Submission for BAL APP, usually port 587 on an address of its own.
    pub submission_app: Option<SocketAddr>,
    /// The operator interface, usually port 25.
    pub mx: Option<SocketAddr>,
    /// Autoconfiguration over HTTPS, usually port 443.
    pub autoconfig: Option<SocketAddr>,
}

/// `[public]`: what autoconfiguration tells clients (LPS-AUTOCONF).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Host of the PSC entry points.
    pub host: String,
    /// Host of the certificate entry points.
    pub host_app: String,
    /// Port of IMAP for PSC.
    #[serde(default = "imap_port")]
    pub imap_port: u16,
    /// Port of submission for PSC.
    #[serde(default = "submission_port")]
    pub submission_port: u16,
    /// Port of IMAP for BAL APP.
    #[serde(default = "imap_port")]
    pub imap_app_port: u16,
    /// Port of submission for BAL APP.
    #[serde(default = "submission_port")]
    pub submission_app_port: u16,
}

/// `[mx]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mx {
    /// Whose names other operators may write in the From field.
    pub header_from: HeaderFrom,
}

/// Whose names other operators may write in the From field. The white list binds the envelope only; people see the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderFrom {
    /// Not an address of our own domains: nobody outside can pass for one of our people.
    #[default]
    NotOurs,
    /// Only addresses of the domains that the white list gives to their certificate; breaks mail forwarded as it is.
    Listed,
    /// Anybody's.
    Any,
}

/// `[relay]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// The port of other operators.
    pub port: u16,
    /// The name server to ask; absent: the system's.
    pub nameserver: Option<SocketAddr>,
    /// Seconds before the second attempt; doubles each time up to an hour.
    pub first_retry_seconds: Spanned<u64>,
    /// Hours after which the sender is told of the delay.
    pub delay_notice_hours: u64,
    /// Seconds after which a server that cannot be trusted (no TLS, wrong certificate) is no longer waited for; absent: as long as before the
    /// sender is told of a delay.
    pub distrust_seconds: Option<u64>,
    /// Hours after which a message is given up.
    pub expire_hours: Spanned<u64>,
    /// Connections at once to one domain.
    pub connections_per_domain: Spanned<usize>,
}

impl Default for Relay {
    fn default() -> Self {
        Relay {
            port: 25,
            nameserver: None,
            first_retry_seconds: Spanned::new(0..0, 60),
            delay_notice_hours: 4,
            distrust_seconds: None,
            expire_hours: Spanned::new(0..0, 120),
            connections_per_domain: Spanned::new(0..0, 4),
        }
    }
}

/// `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest message, in octets; also what SIZE and APPENDLIMIT announce.
    pub message_octets: Spanned<u64>,
    /// The largest message to Mon espace santé, in octets (OPE-PATIENT).
    pub patient_message_octets: u64,
    /// Recipients of one message.
    pub recipients: usize,
    /// Connections from one address at once.
    pub connections_per_address: usize,
    /// Connections at once on one entry point.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            // Mon espace santé refuses above 25 MB in all; base64 makes 36 MB of a 25 MB archive: room for both.
            message_octets: Spanned::new(0..0, 40 * 1024 * 1024),
            patient_message_octets: 25 * 1024 * 1024,
            recipients: 100,
            connections_per_address: 200,
            connections: 5_000,
        }
    }
}

/// `[sessions]` (LPS-SESSION).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Minutes of silence after which an IMAP session ends; RFC 3501 forbids less than 30.
    pub imap_idle_minutes: Spanned<u64>,
    /// Hours after which an IMAP session ends whatever it does, as PSC's own sessions do (SES-03); 0: never.
    pub imap_max_hours: u64,
    /// Seconds within which a right that ended ends the IMAP sessions opened by it.
    pub imap_recheck_seconds: Spanned<u64>,
    /// Whether a client certificate alone opens the BAL APP of its structure (PREAUTH), when there is exactly one.
    pub app_preauth: bool,
    /// Whether a server's certificate (`SERV SSL`, usage serverAuth) opens a BAL APP of its structure like an `ORG AUTH_CLI` one.
    pub app_server_certificates: bool,
}

impl Default for Sessions {
    fn default() -> Self {
        Sessions {
            imap_idle_minutes: Spanned::new(0..0, 30),
            imap_max_hours: 4,
            imap_recheck_seconds: Spanned::new(0..0, 60),
            app_preauth: false,
            app_server_certificates: false,
        }
    }
}

/// `[traces]` (TRACE).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Days they are kept; six months unless told otherwise.
    pub keep_days: u64,
}

impl Default for Traces {
    fn default() -> Self {
        Traces { keep_days: 183 }
    }
}

fn yes() -> bool {
    true
}
fn one_hour() -> Spanned<u64> {
    Spanned::new(0..0, 60)
}
fn five() -> Spanned<u64> {
    Spanned::new(0..0, psc::RETRY_EMPTY_AFTER.as_secs())
}
fn thirty() -> Spanned<u64> {
    Spanned::new(0..0, 30)
}
fn eidas() -> Vec<String> {
    ["eidas1", "eidas2", "eidas3"].map(String::from).to_vec()
}
fn imap_port() -> u16 {
    143
}
fn submission_port() -> u16 {
    587
}

impl Config {
    /// Reads and checks a file. All the problems found are told at once.
    ///
    /// # Errors
    /// One [`Problem`] per mistake, each with its line and what to do.
    pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
        let text = std::fs::read_to_string(path).map_err(|e| vec![Problem::unreadable(path, &e)])?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Config::parse(&text, path, folder)
    }

    /// The same on a text; `path` is for messages and `folder` for relative paths.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<Config, Vec<Problem>> {
        let mut config: Config = toml::from_str(text).map_err(|e| vec![Problem::syntax(path, text, &e)])?;
        config.resolve(folder);
        // What was read as a configuration is TOML.
        config.source = Source { file: path.to_owned(), keys: text.parse().unwrap_or_default() };
        let problems = check::check(&config, path, text);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The mail domains, first the main one.
    pub fn domains(&self) -> &[Domain] {
        self.operator.domains.get_ref()
    }

    /// The name in greetings.
    pub fn hostname(&self) -> &str {
        self.operator.hostname.get_ref().as_str()
    }

    fn resolve(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| {
            if path.is_relative() {
                *path = folder.join(&*path);
            }
        };
        resolve(&mut self.operator.data);
        resolve(self.tls.certificate.get_mut());
        resolve(self.tls.key.get_mut());
        resolve(self.trust.anchors.get_mut());
        resolve(self.psc.anchors.get_mut());
        if let Some(path) = &mut self.store.key_file {
            resolve(path.get_mut());
        }
        if let Some(introspection) = &mut self.psc.introspection {
            resolve(introspection.client_secret_file.get_mut());
        }
        for source in &mut self.trust.crl {
            let text = source.get_mut();
            if !text.contains("://") && Path::new(text).is_relative() {
                *text = folder.join(&*text).display().to_string();
            }
        }
    }
}
