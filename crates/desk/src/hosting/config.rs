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

fn slow() -> u64 {
    control::trap::serve::SLOW.as_secs()
}

impl StubConfig {
    pub(crate) fn found_from(&mut self, folder: &Path) -> Result<(), &'static str> {
        for file in [&mut self.certificate, &mut self.key].into_iter().flatten() {
            *file = folder.join(&file);
        }
        self.url = self.url.trim_end_matches('/').to_owned();
        let has_path = self.url.strip_prefix("https://").is_none_or(|rest| rest.is_empty() || rest.contains('/'));
        match (has_path, self.certificate.is_some() == self.key.is_some()) {
            (true, _) => Err("stub.url: https://host or https://host:port, without a path"),
            (_, false) => Err("stub: certificate and key go together"),
            _ => Ok(()),
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
