//! The trust space as a mail program sees it: who it is, whom it believes, where it may connect, and where its services are.
//!
//! One settings file per program ([`Space::load`]); everything else of this library takes the [`Space`] it works in, always in an
//! [`Arc`].
//!
//! Invariants:
//! * only IGC-Santé's authorities given in the file are believed, never the system's (ECO.1.1.10);
//! * connections go to `*.mssante.fr` and the configured domains only, and to public addresses only, unless the file says that
//!   it is a sandbox's; what was checked is what is connected to ([`Space::dial`]);
//! * every certificate is checked for expiry and revocation (ECO.1.1.5, ECO.1.1.6), with lists kept to their end (ECO.1.1.7).

mod dial;
mod error;
mod file;
mod public_address;
#[cfg(test)]
mod tests;

pub use dial::DIAL_TIMEOUT;
pub use error::{ConnectError, SpaceError};
pub use public_address::is_public;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mssante::Domain;
use mssante::headers::Nil;
use trust::names::Names;
use trust::revocation::{CrlSource, Ocsp, Online, Revocation, RevocationSettings};
use trust::tls::{Anchors, ClientTls, Connector, Identity, Profile, Tls13, TlsError};
use trust::{SharedClock, SystemClock};

use crate::discover::Cache;
use crate::trace::{NoTrace, Tracer};
use file::File;

/// The domain under which nearly everything of the trust space is.
const MSSANTE: &str = "mssante.fr";
/// Answers of the DNS kept: a program talks to an operator or two.
const KEPT: u64 = 32;

/// The program that uses this library, as it names itself in what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    /// Sent as `X-MSS-NIL` on every message (ECO.2.4.3).
    pub nil: Nil,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who makes it.
    pub vendor: String,
    /// Its OID, the `sourceId` of the XDM it makes.
    pub source_id: String,
}

/// Where connections may go.
#[derive(Debug, Clone)]
struct Rules {
    /// Besides `*.mssante.fr`.
    domains: Vec<Domain>,
    /// A sandbox: loopback and private addresses, and IP addresses as hosts.
    private_addresses: bool,
    /// Where autoconfiguration is when not on 443.
    autoconfig_ports: BTreeMap<Domain, u16>,
}

/// A trust space to work in.
#[derive(Clone)]
pub struct Space {
    /// Who we are.
    pub software: Software,
    /// Takes the functional traces (ECO.4.1.1).
    pub tracer: Arc<dyn Tracer>,
    /// Tells the date.
    pub clock: SharedClock,
    /// Pro Santé Connect, by the section `[psc]`.
    pub psc: Option<psc::login::Provider>,
    /// The Annuaire Santé, by the section `[directory]`; paths are absolute.
    pub directory: Option<directory::Settings>,
    /// Where traces are kept, when the file says so.
    pub traces: Option<PathBuf>,
    /// For how many days.
    pub trace_days: u64,
    /// Largest message for a patient, in octets.
    pub patient_limit: u64,
    /// The folder relative paths of the settings are counted from.
    pub folder: PathBuf,
    /// Where things fetched are kept; in memory only when absent.
    pub cache: Option<PathBuf>,
    rules: Rules,
    anchors: Anchors,
    revocation: Arc<Revocation>,
    names: Names,
    /// What operators told of themselves.
    pub(crate) autoconfigurations: Arc<Cache>,
}

impl Space {
    /// Reads a settings file. Blocking: a few small files.
    ///
    /// # Errors
    /// [`SpaceError`], with the line when it is of one.
    pub fn load(path: &Path) -> Result<Arc<Space>, SpaceError> {
        Space::load_at(path, SystemClock::shared())
    }

    /// [`Space::load`] with another clock, for tests.
    ///
    /// # Errors
    /// The same.
    pub fn load_at(path: &Path, clock: SharedClock) -> Result<Arc<Space>, SpaceError> {
        let path =
            std::path::absolute(path).map_err(|source| SpaceError::Unreadable { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        Space::parse(&file::read(&path)?, &path, folder, clock)
    }

    /// From the text of a settings file; `path` is only for errors.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn parse(text: &str, path: &Path, folder: PathBuf, clock: SharedClock) -> Result<Arc<Space>, SpaceError> {
        let file = File::parse(text, path)?;
        let anchors = Anchors::from_file(&folder.join(&file.trust.anchors))?;
        let cache = file.trust.cache.as_ref().map(|cache| folder.join(cache));
        let settings = RevocationSettings {
            cache_dir: cache.as_ref().map(|cache| cache.join("crl")),
            online: Online { lists: true, ocsp: if file.trust.ocsp { Ocsp::WithoutList } else { Ocsp::Never } },
            clock: clock.clone(),
            ..RevocationSettings::required(anchors.clone(), sources(&file.trust.crl, &folder))
        };
        let revocation = Arc::new(Revocation::new(settings)?);
        let directory = file.directory.map(|directory| directory.relative_to(&folder));
        directory.as_ref().map_or(Ok(()), directory::Settings::check)?;
        let psc = file.psc.map(|psc| psc::login::Provider::new(&psc, &folder, clock.clone())).transpose()?;
        let mut ports = BTreeMap::new();
        for (name, port) in &file.network.autoconfig_ports {
            for domain in file::domains("network.autoconfig_ports", std::iter::once(name))? {
                ports.insert(domain, *port);
            }
        }
        let rules = Rules {
            domains: file::domains("network.domains", file.network.domains.iter())?,
            private_addresses: file.network.private_addresses,
            autoconfig_ports: ports,
        };
        let autoconfigurations = Cache::new(cache.as_ref().map(|cache| cache.join("autoconfig")));
        Ok(Arc::new(Space {
            software: software(file.software)?,
            tracer: Arc::new(NoTrace),
            clock,
            psc,
            directory,
            trace_days: file.traces.as_ref().map_or(crate::trace::file::SIX_MONTHS, |traces| traces.keep_days),
            traces: file.traces.map(|traces| folder.join(traces.folder)),
            patient_limit: file.patients.limit,
            folder,
            cache,
            rules,
            anchors,
            revocation,
            names: Names::new(file.network.nameserver, KEPT)
                .map_err(|error| SpaceError::Resolver(error.to_string()))?,
            autoconfigurations: Arc::new(autoconfigurations),
        }))
    }

    /// The same space with another tracer.
    #[must_use]
    pub fn with_tracer(self: &Arc<Self>, tracer: Arc<dyn Tracer>) -> Arc<Space> {
        Arc::new(Space { tracer, ..Space::clone(self) })
    }

    /// The authorities believed.
    #[must_use]
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// What is known of revoked certificates.
    #[must_use]
    pub fn revocation(&self) -> &Arc<Revocation> {
        &self.revocation
    }

    /// Whether a name may be connected to: under `mssante.fr`, one of the configured domains, or under one of them.
    #[must_use]
    pub fn allows(&self, name: &Domain) -> bool {
        let under = |domain: &str| {
            name.as_str().strip_suffix(domain).is_some_and(|head| head.is_empty() || head.ends_with('.'))
        };
        under(MSSANTE) || self.rules.domains.iter().any(|domain| under(domain.as_str()))
    }

    /// Where the autoconfiguration of a domain listens.
    pub(crate) fn autoconfig_port(&self, domain: &Domain) -> u16 {
        self.rules.autoconfig_ports.get(domain).copied().unwrap_or(443)
    }

    /// Opens TLS towards the API LPS: the suites of ECO.1.1.3, the space's authorities, revocation, and this certificate when the
    /// BAL asks for one. Make one per account and keep it.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn connector(&self, identity: Option<&Identity>) -> Result<Connector, TlsError> {
        self.connector_of(Profile::ApiLps, identity)
    }

    /// The same for any kind of service.
    pub(crate) fn connector_of(&self, profile: Profile, identity: Option<&Identity>) -> Result<Connector, TlsError> {
        Connector::new(ClientTls {
            identity: identity.cloned(),
            profile,
            tls13: Tls13::Allowed,
            tls10_until: None,
            anchors: self.anchors.clone(),
            revocation: self.revocation.clone(),
            clock: self.clock.clone(),
        })
    }
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("software", &self.software).field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn software(section: file::Software) -> Result<Software, SpaceError> {
    let nil = section.nil.parse().map_err(|_| SpaceError::Value {
        key: "software.nil",
        what: format!("{:?} is not a product reference (letters, digits, no space)", section.nil),
    })?;
    for (key, value) in
        [("software.name", &section.name), ("software.version", &section.version), ("software.vendor", &section.vendor)]
    {
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(SpaceError::Value { key, what: "must be a text of one line".to_owned() });
        }
    }
    let arcs = section.source_id.split('.');
    if !(section.source_id.contains('.')
        && arcs.clone().all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit())))
    {
        return Err(SpaceError::Value {
            key: "software.source_id",
            what: format!("{:?} is not an OID", section.source_id),
        });
    }
    let file::Software { name, version, vendor, source_id, .. } = section;
    Ok(Software { nil, name, version, vendor, source_id })
}

/// Addresses, and files counted from `folder`.
fn sources(given: &[String], folder: &Path) -> Vec<CrlSource> {
    let source = |text: &String| match text.contains("://") {
        true => CrlSource::Url(text.clone()),
        false => CrlSource::File(folder.join(text)),
    };
    given.iter().map(source).collect()
}
