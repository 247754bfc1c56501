//! `[stub]` and `[traps]` of the configuration: what operators talk to, opened by `vaguemestre control serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use control::trap::Door;
use serde::Deserialize;

/// `[stub]`: a Pro Santé Connect of tests, with an issuer for each operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StubConfig {
    /// Where it listens, HTTPS.
    pub listen: SocketAddr,
    /// Where operators find it, without a path: `https://psc.controle.exemple.fr`. Issuers are made of it: it never changes.
    pub url: String,
    /// Its certificate with what leads to an authority, PEM; the application's own when absent.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Who can log in; campaigns need nobody.
    #[serde(default, rename = "person")]
    pub people: Vec<PersonConfig>,
}

/// A fictional professional.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonConfig {
    /// National identifier.
    pub id: String,
    /// First name.
    pub given: String,
    /// Surname.
    pub family: String,
    /// Code of the profession (TRE_G15).
    pub profession: String,
    /// National identifier of where they work, type digit included.
    pub structure: String,
    /// Its name.
    pub structure_name: String,
    /// The mailboxes they open.
    #[serde(default)]
    pub mailboxes: Vec<String>,
}

/// `[traps]`: mail servers that misbehave, each in one way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrapsConfig {
    /// The domain of the traps; doors of their own are below it.
    pub domain: String,
    /// Authorities of the operators' certificates, PEM.
    pub anchors: PathBuf,
    /// Where their revocation lists are; none: revocation of operators' certificates is not looked at.
    #[serde(default)]
    pub crl: Vec<String>,
    /// The white list operators are on; none: nobody's domain is compared with its certificate.
    #[serde(default)]
    pub white_list: Option<WhiteListConfig>,
    /// Pause of the slow trap before each answer, in seconds.
    #[serde(default = "slow")]
    pub slow_seconds: u64,
    /// Each door that is open.
    #[serde(rename = "door")]
    pub doors: Vec<DoorConfig>,
}

/// The white list that is asked which domains a certificate may speak for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhiteListConfig {
    /// Where it is published.
    pub url: String,
    /// The name of its signer, under the authorities of the traps.
    pub signer: String,
    /// The authorities of the server that publishes it, PEM; the system's when absent.
    #[serde(default)]
    pub anchors: Option<PathBuf>,
}

/// A door.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorConfig {
    /// Which: `nominal`, `expire`… (docs/control.md).
    pub name: String,
    /// Where it listens: an address of its own, port 25 to the world.
    pub listen: SocketAddr,
    /// The address to be published, when it is another (behind a translation of addresses).
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Its host name: `mx.` and the door's domain when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// What it shows, with what leads to an authority, PEM: made with the fault of its door.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// For `mx2`: an address where nothing listens.
    #[serde(default)]
    pub closed: Option<IpAddr>,
}

/// A certificate for signing, with its key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// `[white_list]`: a white list of tests, and the other lists that campaigns have served to one operator (LBL).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherConfig {
    /// Where it listens, HTTPS.
    pub listen: SocketAddr,
    /// Where operators find it, without a path: `https://liste.controle.exemple.fr`.
    pub url: String,
    /// Its certificate with what leads to an authority, PEM; the application's own when absent.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Who signs: `ORG SIGN`.
    pub signer: SignerConfig,
    /// A good certificate for signing, of somebody else.
    pub other_signer: SignerConfig,
    /// Which of the domains campaigns present themselves in: `operator_interface.peer` of the templates.
    pub peer: String,
    /// Which of the domains is another operator's.
    pub other: String,
    /// The operators. The domains of `[traps]` are there of themselves.
    #[serde(rename = "domain")]
    pub domains: Vec<ListedConfig>,
}

/// A domain of the list, and the name of its operator's certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedConfig {
    /// The domain.
    pub name: String,
    /// `CN=…,OU=…,O=…,ST=…,C=FR`.
    #[serde(default)]
    pub dn: Option<String>,
    /// The certificate instead, PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
}

/// `[revocation]`: the lists and OCSP of a test authority, and what campaigns make of them for one operator (CER-10).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationConfig {
    /// Where it listens, HTTP.
    pub listen: SocketAddr,
    /// Where operators find it, without a path: `http://crl.controle.exemple.fr`.
    pub url: String,
    /// The folder of the authority, with its keys: `pki` of a sandbox.
    pub authority: PathBuf,
}

fn slow() -> u64 {
    control::trap::serve::SLOW.as_secs()
}

impl StubConfig {
    pub(crate) fn found_from(&mut self, folder: &Path) -> Result<(), &'static str> {
        for file in [&mut self.certificate, &mut self.key].into_iter().flatten() {
            *file = folder.join(&file);
        }
        match (is_origin(&mut self.url, "https://"), self.certificate.is_some() == self.key.is_some()) {
            (false, _) => Err("stub.url: https://host or https://host:port, without a path"),
            (_, false) => Err("stub: certificate and key go together"),
            _ => Ok(()),
        }
    }
}

/// Whether an address is of that scheme and has no path; a last slash is taken away.
fn is_origin(url: &mut String, scheme: &str) -> bool {
    url.truncate(url.trim_end_matches('/').len());
    url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

impl PublisherConfig {
    pub(crate) fn found_from(&mut self, folder: &Path) -> Result<(), &'static str> {
        let signers = [&mut self.signer, &mut self.other_signer];
        let signers = signers.into_iter().flat_map(|signer| [&mut signer.certificate, &mut signer.key]);
        let own = [&mut self.certificate, &mut self.key].into_iter().flatten();
        let listed = self.domains.iter_mut().filter_map(|domain| domain.certificate.as_mut());
        for file in signers.chain(own).chain(listed) {
            *file = folder.join(&file);
        }
        for domain in
            [&mut self.peer, &mut self.other].into_iter().chain(self.domains.iter_mut().map(|one| &mut one.name))
        {
            *domain = domain.trim_end_matches('.').to_ascii_lowercase();
        }
        let is_listed = |name: &str| self.domains.iter().any(|domain| domain.name == name);
        if !is_origin(&mut self.url, "https://") {
            return Err("white_list.url: https://host or https://host:port, without a path");
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err("white_list: certificate and key go together");
        }
        if self.domains.iter().any(|domain| domain.dn.is_some() == domain.certificate.is_some()) {
            return Err("white_list.domain: its dn or its certificate, one of the two");
        }
        match is_listed(&self.peer) && is_listed(&self.other) && self.peer != self.other {
            true => Ok(()),
            false => Err("white_list: peer and other are the names of two of its domains"),
        }
    }
}

impl RevocationConfig {
    pub(crate) fn found_from(&mut self, folder: &Path) -> Result<(), &'static str> {
        self.authority = folder.join(&self.authority);
        match is_origin(&mut self.url, "http://") {
            true => Ok(()),
            // What tells whether a certificate is good cannot need one.
            false => Err("revocation.url: http://host or http://host:port, without a path"),
        }
    }
}

impl TrapsConfig {
    pub(crate) fn found_from(&mut self, folder: &Path) -> Result<(), &'static str> {
        self.anchors = folder.join(&self.anchors);
        if let Some(anchors) = self.white_list.as_mut().and_then(|list| list.anchors.as_mut()) {
            *anchors = folder.join(&anchors);
        }
        for door in &mut self.doors {
            door.certificate = folder.join(&door.certificate);
            door.key = folder.join(&door.key);
        }
        self.domain = self.domain.trim_end_matches('.').to_ascii_lowercase();
        let mut known: Vec<Door> = self.doors.iter().filter_map(|door| Door::named(&door.name)).collect();
        if known.len() < self.doors.len() {
            return Err("traps.door.name: not one of the doors of docs/control.md");
        }
        known.sort_by_key(|door| door.name());
        known.dedup();
        match (known.len() == self.doors.len(), known.contains(&Door::Usual)) {
            (false, _) => Err("traps.door: the same door twice"),
            (_, false) => Err("traps.door: the door `nominal` is needed, which answers for the others"),
            _ => Ok(()),
        }
    }
}

impl DoorConfig {
    /// Which door, once the file was checked.
    pub(crate) fn door(&self) -> Door {
        // Checked when the file was read.
        Door::named(&self.name).unwrap_or(Door::Usual)
    }

    pub(crate) fn host(&self, domain: &str) -> String {
        self.host.clone().unwrap_or_else(|| self.door().host(domain))
    }
}
