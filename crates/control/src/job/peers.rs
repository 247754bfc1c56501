//! The sections of a job for what others do to the operator: the operator interface, BAL APP, the directory, the report to compare with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{JobError, Server};

/// A certificate with the chain above it, and its key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The certificate, then those above it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Pair {
    fn found_from(&mut self, folder: &Path) {
        self.certificate = folder.join(&self.certificate);
        self.key = folder.join(&self.key);
    }
}

/// `[dns]`: who is asked for names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// The name server; absent: the machine's.
    pub server: Option<SocketAddr>,
}

/// `[operator_interface]`: OPE, LBL, ENT, ANN-08.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorInterface {
    /// Its servers, as the MX records of the domains name them.
    pub mx: Vec<Server>,
    /// Another operator of the test space, on the white list: who the campaign is.
    pub peer: Peer,
    /// A domain of the white list whose entries do not cite the peer's DN.
    #[serde(default)]
    pub other_domain: Option<String>,
    /// Whether a peer may only speak for the domains that the list gives to its DN; otherwise that is only told (OPE-05).
    #[serde(default)]
    pub sender_must_match: bool,
    /// TLS 1.0 and 1.1 are only told until that day, `AAAA-MM-JJ`; absent: never (OPE-01).
    #[serde(default)]
    pub tls10_until: Option<String>,
    /// Certificates to be refused, by what is wrong with them (`catalogue/certificats.json` names them).
    #[serde(default)]
    pub certificates: BTreeMap<String, Pair>,
}

/// The peer of the tests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its domain.
    pub domain: String,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How a BAL APP is opened once TLS stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppLogin {
    /// `EXTERNAL` with the address of the BAL.
    #[default]
    External,
    /// `EXTERNAL` with an empty identity.
    ExternalEmpty,
    /// The server opens it by itself (IMAP PREAUTH); SMTP needs nothing.
    Preauth,
}

/// How the operator finds out about revoked certificates (ECO.1.1.6 leaves the choice).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationBy {
    /// By lists.
    #[default]
    Crl,
    /// By asking.
    Ocsp,
    /// Both.
    Both,
}

/// `[certificates]`: CER.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Reading.
    pub imap: Server,
    /// Sending.
    pub smtp: Server,
    /// The BAL APP of the tests.
    pub mailbox: String,
    /// How it is opened.
    #[serde(default)]
    pub login: AppLogin,
    /// How revocation is found out.
    #[serde(default)]
    pub revocation: RevocationBy,
    /// The certificate that opens it.
    pub nominal: Pair,
    /// Certificates to be refused, by what is wrong with them (`catalogue/certificats.json` names them).
    #[serde(default)]
    pub refused: BTreeMap<String, Pair>,
}

/// `[directory]`: ANN-08.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Base of its FHIR interface.
    pub url: String,
    /// A file that holds the key of the interface.
    pub key_file: PathBuf,
    /// PEM file of the authorities of its HTTPS; absent: `trust.anchors`.
    #[serde(default)]
    pub anchors: Option<PathBuf>,
}

/// `[reference]`: RES-06.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The JSON of the campaign to compare with.
    pub report: PathBuf,
}

impl super::Job {
    /// Paths are relative to the job's folder.
    pub(super) fn peers_found_from(&mut self, folder: &Path) -> Result<(), JobError> {
        if let Some(interface) = &mut self.operator_interface {
            interface.peer.certificate = folder.join(&interface.peer.certificate);
            interface.peer.key = folder.join(&interface.peer.key);
            interface.certificates.values_mut().for_each(|pair| pair.found_from(folder));
            if interface.mx.is_empty() {
                return Err(JobError::Value("operator_interface.mx: name at least one server".to_owned()));
            }
            if interface.tls10_until.as_deref().is_some_and(|day| interface_day(day).is_none()) {
                return Err(JobError::Value("operator_interface.tls10_until: a day as 2027-01-31".to_owned()));
            }
        }
        if let Some(certificates) = &mut self.certificates {
            certificates.nominal.found_from(folder);
            certificates.refused.values_mut().for_each(|pair| pair.found_from(folder));
        }
        if let Some(directory) = &mut self.directory {
            directory.key_file = folder.join(&directory.key_file);
            directory.anchors = directory.anchors.as_ref().map(|path| folder.join(path));
        }
        if let Some(reference) = &mut self.reference {
            reference.report = folder.join(&reference.report);
        }
        Ok(())
    }
}

/// A day, `AAAA-MM-JJ`.
#[must_use]
pub fn interface_day(text: &str) -> Option<time::Date> {
    time::Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok()
}
