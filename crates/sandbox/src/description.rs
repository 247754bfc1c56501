//! `sandbox.json`: where everything of a running sandbox is. A stable contract (issue 2, docs/sandbox.md): keys are added,
//! never renamed or removed within version 1; paths are relative to the sandbox's folder, ports are real.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::SandboxError;

/// The version of the contract.
pub const VERSION: u32 = 1;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// [`VERSION`].
    pub version: u32,
    /// The process that runs the sandbox.
    pub pid: u32,
    /// Certificates.
    pub pki: PkiEntry,
    /// The name server of the test domains, UDP and TCP.
    pub dns: DnsEntry,
    /// Pro Santé Connect.
    pub psc: PscEntry,
    /// The Annuaire Santé.
    pub directory: DirectoryEntry,
    /// Where the signed white list is.
    pub white_list: String,
    /// DN of the certificate that signs it.
    pub white_list_signer: String,
    /// The operators.
    pub operators: Vec<OperatorEntry>,
    /// Who uses which mailbox: one entry per person and mailbox; somebody without any has one entry without mailbox.
    pub people: Vec<PersonEntry>,
    /// The mailboxes of software.
    pub applications: Vec<ApplicationEntry>,
    /// Mon espace santé.
    pub mes: MesEntry,
    /// What campaigns of the control application drive.
    #[serde(default)]
    pub stand: StandEntry,
    /// The control application in the browser.
    #[serde(default)]
    pub control: ControlEntry,
    /// The settings file of mail software.
    #[serde(default)]
    pub lps: String,
    /// Certificates made for refusals, by what is wrong with them.
    pub negative: BTreeMap<String, NegativeEntry>,
}

/// Certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PkiEntry {
    /// Root and intermediate authority, PEM.
    pub ca: String,
    /// Revocation list of the authority of organisations.
    pub crl_url: String,
    /// Revocation list of the root.
    pub root_crl_url: String,
    /// OCSP service of both authorities.
    #[serde(default)]
    pub ocsp_url: String,
}

/// A server of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address to connect to.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its name in the test DNS and in its certificate.
    pub name: String,
}

/// The Annuaire Santé.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Base of the FHIR interface.
    pub url: String,
    /// Sent as `ESANTE-API-KEY`.
    pub api_key: String,
    /// The archive of all mailboxes.
    pub extraction: String,
}

/// The control application in the browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlEntry {
    /// Its pages; its API is below `/api/v1`.
    pub url: String,
    /// Its accounts, without second factor.
    pub accounts: Vec<AccountEntry>,
}

/// An account of the control application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEntry {
    /// What is typed to sign in.
    pub login: String,
    /// Its password.
    pub password: String,
    /// Its role, as the application calls it.
    pub role: String,
    /// The operator it belongs to.
    pub operator: Option<String>,
}

/// What campaigns of the control application drive: section `[stand]` of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandEntry {
    /// Where it is driven.
    pub url: String,
    /// File of its key.
    pub key_file: String,
}

/// The name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsEntry {
    /// Address.
    pub host: String,
    /// Port, UDP and TCP.
    pub port: u16,
}

/// Pro Santé Connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PscEntry {
    /// The exact issuer.
    pub issuer: String,
    /// Discovery, at PSC's own path.
    pub discovery: String,
    /// Keys.
    pub jwks_uri: String,
    /// Login page.
    pub authorization_endpoint: String,
    /// Codes and refresh tokens become tokens here.
    pub token_endpoint: String,
    /// Whether a token is active.
    pub introspection_endpoint: String,
    /// Who a token's bearer is.
    pub userinfo_endpoint: String,
    /// Logins by phone.
    pub ciba_endpoint: String,
    /// Revocation.
    pub revocation_endpoint: String,
    /// Logout.
    pub end_session_endpoint: String,
    /// The phones: a page, and how they are told to answer.
    pub phone: String,
    /// The client known to PSC.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What proves it instead, PEM.
    pub client_certificate: String,
    /// The key, PEM.
    pub client_key: String,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEntry {
    /// Short name.
    pub name: String,
    /// Mail domain.
    pub domain: String,
    /// Its configuration file.
    pub config: String,
    /// DN of its certificate, as the white list has it.
    pub dn: String,
    /// Its certificate with the intermediate, PEM.
    pub certificate: String,
    /// Its key, PEM: to play the operator in a test.
    pub key: String,
    /// IMAP for people.
    pub imap: Endpoint,
    /// Submission for people.
    pub submission: Endpoint,
    /// IMAP for software.
    pub imap_app: Endpoint,
    /// Submission for software.
    pub submission_app: Endpoint,
    /// The operator interface.
    pub mx: Endpoint,
    /// Where the autoconfiguration is.
    pub autoconfig: String,
    /// Where `/metrics`, `/health` and `/ready` are.
    #[serde(default)]
    pub monitoring: String,
}

/// Somebody, and a mailbox they may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonEntry {
    /// National identifier.
    pub id: String,
    /// First name and surname.
    pub name: String,
    /// The operator's name.
    pub operator: Option<String>,
    /// Address of the mailbox.
    pub mailbox: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
}

/// A mailbox of software.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationEntry {
    /// The operator's name.
    pub operator: String,
    /// Address.
    pub mailbox: String,
    /// Always `APP`.
    pub kind: String,
    /// Whose: national identifier.
    pub structure: String,
    /// `ORG AUTH_CLI` certificate with the intermediate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
}

/// Mon espace santé.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MesEntry {
    /// Its domain.
    pub domain: String,
    /// The folder where what it receives lies, as `<INS>/<number>.eml` and `.json`.
    pub folder: String,
    /// Its operator interface.
    pub mx: Endpoint,
    /// DN of its certificate.
    pub dn: String,
}

/// A certificate to be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeEntry {
    /// With its intermediate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl Description {
    /// Reads the description of a running sandbox.
    ///
    /// # Errors
    /// [`SandboxError::NotRunning`] when there is none in the folder.
    pub fn read(folder: &Path) -> Result<Description, SandboxError> {
        let path = folder.join("sandbox.json");
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| SandboxError::damaged(&path, &e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(SandboxError::NotRunning { folder: folder.to_owned() })
            }
            Err(e) => Err(SandboxError::file(&path)(e)),
        }
    }

    /// Writes it, then renames: whoever sees the file sees it whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), SandboxError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let draft = path.with_extension("json.part");
        let written = (|| {
            let _ = std::fs::remove_file(&draft);
            // It holds the client secret.
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            std::fs::rename(&draft, path)
        })();
        written.map_err(SandboxError::file(path))
    }
}
