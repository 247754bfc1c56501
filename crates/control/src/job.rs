//! A job: one TOML file that defines everything of a campaign (control.md §5.2). Unknown keys are refused; paths are relative to the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod peers;
mod plan;
mod sending;

pub use peers::{
    AppLogin, Certificates, Directory, Dns, OperatorInterface, Pair, Peer, Reference, RevocationBy, interface_day,
};
pub use plan::Plan;
pub use sending::Sending;

/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The file cannot be read.
    #[error("{path}: {error}: does the file exist?")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not what a job must be; the text tells line and key.
    #[error("{path}: {error}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
}

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is controlled.
    pub plan: Plan,
    /// How its user calls it.
    #[serde(default)]
    pub name: String,
    /// Who and what is controlled.
    pub operator: Operator,
    /// Where.
    pub api_lps: ApiLps,
    /// With which BAL.
    #[serde(default)]
    pub mailbox: Option<Mailbox>,
    /// Who is believed.
    #[serde(default)]
    pub trust: Trust,
    /// What signs tokens.
    #[serde(default)]
    pub psc: Option<Psc>,
    /// What the operator talks to, when the campaign can drive it.
    #[serde(default)]
    pub stand: Option<Stand>,
    /// Who is asked for names.
    #[serde(default)]
    pub dns: Dns,
    /// The operator interface.
    #[serde(default)]
    pub operator_interface: Option<OperatorInterface>,
    /// BAL APP.
    #[serde(default)]
    pub certificates: Option<Certificates>,
    /// How long what the operator sends is waited for.
    #[serde(default)]
    pub sending: Sending,
    /// The directory.
    #[serde(default)]
    pub directory: Option<Directory>,
    /// What to compare with.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// How politely.
    #[serde(default)]
    pub limits: Limits,
}

/// Who and what is controlled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Its name.
    pub name: String,
    /// Its domains.
    pub domains: Vec<String>,
    /// The product it runs.
    #[serde(default)]
    pub solution: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Whether it has BAL APP.
    #[serde(default)]
    pub has_app: bool,
}

/// A server: address to connect to, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `address:port`.
    pub address: SocketAddr,
    /// Its DNS name.
    pub name: String,
}

/// The servers of the API LPS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiLps {
    /// Reading.
    pub imap: Server,
    /// Sending.
    pub smtp: Server,
    /// Where autoconfiguration is, when the domain name system does not say (a sandbox).
    #[serde(default)]
    pub autoconfig: Option<SocketAddr>,
    /// Whether loopback and private addresses may be declared (a sandbox).
    #[serde(default)]
    pub private_addresses: bool,
}

/// The BAL of the tests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Its address. Messages of the tests are put there and taken away; nothing else is touched.
    pub address: String,
    /// Who opens it.
    pub idnat: String,
    /// A BAL of the same operator that this person may not open.
    pub other_address: String,
    /// Somebody who may not open the first.
    pub other_idnat: String,
}

/// Who is believed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// PEM file of the authorities; without it chains are described, not judged.
    pub anchors: Option<PathBuf>,
    /// Revocation lists beside those the certificates name.
    pub crl: Vec<String>,
}

/// The Pro Santé Connect that the operator under test believes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Psc {
    /// Its exact issuer.
    pub issuer: String,
    /// PEM file of the key of its JWKS: a test space only.
    pub key: PathBuf,
    /// `kid` of that key.
    pub kid: String,
    /// What tokens say of the client they were issued to (`azp`).
    #[serde(default = "azp")]
    pub azp: String,
    /// Whether the profile imposes that the operator asks PSC about each token (JWT-20).
    #[serde(default)]
    pub introspection: bool,
}

fn azp() -> String {
    "vaguemestre-controle".to_owned()
}

/// What the operator under test talks to: PSC stub, traps, white list, revocation ([`crate::stand`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stand {
    /// Where it is driven.
    pub url: url::Url,
    /// File that holds its key.
    pub key_file: PathBuf,
    /// PEM file of the authorities of its certificate; without it, those of the machine.
    #[serde(default)]
    pub anchors: Option<PathBuf>,
    /// The word by which this operator fetches the white list and the revocation lists (`?operateur=MOT`); empty: every fetch counts as its.
    #[serde(default)]
    pub reader: String,
}

/// How politely.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Seconds to wait for an answer.
    pub patience_seconds: u64,
    /// Milliseconds between two connections.
    pub pause_milliseconds: u64,
    /// Most connections to each server by the TLS prober.
    pub budget: u32,
    /// Cases at a time, 1 to 16. One is the polite number for a server of somebody else's.
    pub parallel: usize,
    /// Seconds a message may take into a BAL (OPE-07): five minutes.
    pub delivery_seconds: u64,
    /// Seconds to wait for the operator to fetch the white list or a revocation list anew (LBL, CER-10): its own period, if it is to be
    /// seen at all.
    pub fetch_seconds: u64,
    /// Milliseconds it may take to put in force what it fetched.
    pub settle_milliseconds: u64,
    /// Whether there is a night for it: what takes hours is watched to its end (SES-03, SES-04), and what the operator does at most once
    /// a minute is waited for (RES-03).
    pub night: bool,
    /// Seconds a session may last (SES-03): four hours, as PSC's own do. A test bench may ask for less, and need not wait for a night then;
    /// nobody may have more.
    pub session_seconds: u64,
    /// Seconds within which the operator fetches the white list at least once (LBL-01): a day. A test bench may ask for less; nobody may take more.
    pub list_seconds: u64,
}

/// Longest time without a fetch of the white list, in seconds (LB).
const LIST: u64 = 86_400;
/// Longest life of a session, in seconds (control.md §8.9).
const SESSION: u64 = 4 * 3600;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            patience_seconds: 10,
            pause_milliseconds: 0,
            budget: 400,
            parallel: 1,
            delivery_seconds: 300,
            fetch_seconds: 20,
            settle_milliseconds: 1000,
            night: false,
            session_seconds: SESSION,
            list_seconds: LIST,
        }
    }
}

impl Limits {
    /// How long to wait.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds.clamp(1, 120))
    }

    /// How long a message may take into a BAL.
    #[must_use]
    pub fn delivery(&self) -> Duration {
        Duration::from_secs(self.delivery_seconds.clamp(1, 3600))
    }

    /// How long the operator may take to fetch a list anew.
    #[must_use]
    pub fn fetch(&self) -> Duration {
        Duration::from_secs(self.fetch_seconds.clamp(1, 2 * 86_400))
    }

    /// How long a session may last.
    #[must_use]
    pub fn session(&self) -> Duration {
        Duration::from_secs(self.session_seconds.clamp(1, SESSION))
    }

    /// Within how long the operator fetches the white list.
    #[must_use]
    pub fn list(&self) -> Duration {
        Duration::from_secs(self.list_seconds.clamp(1, LIST))
    }

    /// How long it may take to put it in force.
    #[must_use]
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_milliseconds.min(600_000))
    }
}

impl Job {
    /// Reads the file.
    ///
    /// # Errors
    /// [`JobError`], with the line and what to do.
    pub fn load(path: &Path) -> Result<Job, JobError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| JobError::Unreadable { path: path.to_owned(), error })?;
        Job::parse(&text, path)
    }

    /// Reads the text of a file; files named in it are sought beside `path`, which need not exist.
    ///
    /// # Errors
    /// [`JobError`], with the line and what to do.
    pub fn parse(text: &str, path: &Path) -> Result<Job, JobError> {
        let mut job: Job =
            toml::from_str(text).map_err(|error| JobError::Syntax { path: path.to_owned(), error: Box::new(error) })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        if let Some(anchors) = &mut job.trust.anchors {
            *anchors = folder.join(&anchors);
        }
        if let Some(psc) = &mut job.psc {
            psc.key = folder.join(&psc.key);
        }
        if let Some(stand) = &mut job.stand {
            stand.key_file = folder.join(&stand.key_file);
            stand.anchors = stand.anchors.take().map(|anchors| folder.join(anchors));
        }
        job.peers_found_from(folder)?;
        if job.operator.domains.is_empty() {
            return Err(JobError::Value("operator.domains: name at least one domain".to_owned()));
        }
        Ok(job)
    }
}
