//! What operators talk to, served by this process outside of a sandbox: a PSC stub with an issuer for each operator, the traps, the white list and the
//! revocation lists of a test space.
//! control.md §5.3, §5.5.
//!
//! Each operator has a stand of its own ([`control::stand`]): its realm, its leases, its key; the traps are common, and each sees of them what
//! speaks in its name. Campaigns drive it over loopback by the section `[stand]` that [`Hosting::complete`] lays into their template, with `[psc]`.
//!
//! Invariants: an operator's issuer is made of the configuration's `url` and its number, and never changes; keys are made once and lie in
//! the application's folder, readable by their owner only; nothing is driven without the key.

pub mod config;
mod lists;
mod records;
#[cfg(test)]
mod tests;
mod traps;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control::stand::{self, Key, Leases};
use control::trap::Archive;
use stub::claims::ACCESS_TTL;
use stub::{Alias, Keys, Person, Psc, Realms, Service, Structure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toml::{Table, Value};
use tower::ServiceExt;
use trust::SharedClock;
use trust::tls::{Acceptor, Identity, Profile, ServerTls};

use crate::db::OrganisationId;
use config::{PublisherConfig, RevocationConfig, StubConfig, TrapsConfig};
use lists::Lists;
pub use records::records;

/// Domains whose servers are remembered, to answer what the traps answer; more than operators have.
const MOST_ROUTES: usize = 10_000;
/// The stand of whoever sees every operator.
const ALL: &str = "tous";

/// Why it cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum HostingError {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// An address that cannot be listened on.
    #[error(
        "{0}: {1}; is it an address of this machine, and may this user listen there (below 1024: CAP_NET_BIND_SERVICE)?"
    )]
    Listen(SocketAddr, std::io::Error),
    /// A section of the configuration.
    #[error("{0}: {1}")]
    Setup(&'static str, Box<dyn std::error::Error + Send + Sync>),
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> HostingError {
    let path = path.to_owned();
    move |error| HostingError::File(path, error)
}

fn setup<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> HostingError {
    move |error| HostingError::Setup(what, Box::new(error))
}

/// Where the mail of the domains of operators goes: their operator interfaces, as their last campaigns named them.
#[derive(Clone, Default)]
pub(crate) struct Routes(Arc<Mutex<HashMap<String, (SocketAddr, String)>>>);

impl Routes {
    fn of(&self, domain: &str) -> Option<(SocketAddr, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&domain.to_ascii_lowercase()).cloned()
    }

    fn learn(&self, domain: &str, place: SocketAddr, host: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST_ROUTES {
            known.insert(domain.to_ascii_lowercase(), (place, host.to_owned()));
        }
    }
}

/// What an operator puts into its configuration, beside the addresses of the stub.
#[derive(Default)]
pub(crate) struct Declared {
    /// What it is to fetch: what it is, and where.
    pub lists: Vec<(&'static str, String)>,
    /// The secret of [`stub::keys::CLIENT_ID`] at its realm: with it the stub says what it knows of a token.
    pub secret: Option<String>,
}

/// What an operator's stand is.
struct Served {
    router: Router,
    /// What it fetches lists with.
    word: String,
    /// What it asks the stub with.
    secret: Option<String>,
    /// The sections of its jobs.
    sections: Vec<(&'static str, Table)>,
}

struct Inner {
    folder: PathBuf,
    /// Where the stands are driven.
    address: SocketAddr,
    realms: Option<Realms>,
    people: Arc<[Person]>,
    clock: SharedClock,
    traps: Option<(Arc<Archive>, String)>,
    lists: Lists,
    routes: Routes,
    served: Mutex<BTreeMap<String, Served>>,
    /// Held while a stand is opened, which takes a second of making keys: nobody who asks a stand waits for that.
    opening: Mutex<()>,
}

/// What operators talk to. Cheap to clone.
#[derive(Clone)]
pub struct Hosting {
    inner: Arc<Inner>,
    tasks: TaskTracker,
}

/// The sections of the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sections<'a> {
    /// `[stub]`.
    pub stub: Option<&'a StubConfig>,
    /// `[traps]`.
    pub traps: Option<&'a TrapsConfig>,
    /// `[white_list]`.
    pub white_list: Option<&'a PublisherConfig>,
    /// `[revocation]`.
    pub revocation: Option<&'a RevocationConfig>,
}

impl Sections<'_> {
    /// Whether nothing is served.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.stub.is_none() && self.traps.is_none() && self.white_list.is_none() && self.revocation.is_none()
    }
}

/// How it is opened.
#[derive(Clone)]
pub struct Opened<'a> {
    /// What of it.
    pub sections: Sections<'a>,
    /// What the stub and the publisher show when their sections name nothing.
    pub identity: Identity,
    /// Where keys and sessions are kept.
    pub folder: &'a Path,
    /// Tells the time.
    pub clock: SharedClock,
}

impl Hosting {
    /// Listens. The stands of operators come with [`Hosting::complete`].
    ///
    /// # Errors
    /// [`HostingError`].
    pub async fn open(opened: Opened<'_>, shutdown: &CancellationToken) -> Result<Hosting, HostingError> {
        use std::os::unix::fs::DirBuilderExt;
        let Opened { sections: Sections { stub, traps, white_list, revocation }, identity, folder, clock } = opened;
        let tasks = TaskTracker::new();
        for inside in ["bouchon", "banc"] {
            let path = folder.join(inside);
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(file(&path))?;
        }
        let home = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let driven = TcpListener::bind(home).await.map_err(|error| HostingError::Listen(home, error))?;
        let address = driven.local_addr().map_err(|error| HostingError::Listen(home, error))?;
        let realms = stub.map(|stub| Realms::new(Psc { origin: stub.url.clone() }));
        let https = |what, certificate: &Option<PathBuf>, key: &Option<PathBuf>| {
            let identity = match (certificate, key) {
                (Some(certificate), Some(key)) => Identity::from_files(certificate, key).map_err(setup(what))?,
                _ => identity.clone(),
            };
            let tls = ServerTls { clock: clock.clone(), ..ServerTls::new(identity, Profile::Https) };
            Acceptor::new(tls).map_err(setup(what))
        };
        // First: the traps may be told to fetch these very lists.
        let lists = Lists::read(white_list, traps, revocation, &clock)?;
        let publishing = match white_list {
            Some(list) => Some((list.listen, https("white_list.certificate", &list.certificate, &list.key)?)),
            None => None,
        };
        lists.listen(publishing, revocation.map(|one| one.listen), &tasks, shutdown).await?;
        if let (Some(stub), Some(realms)) = (stub, &realms) {
            let tls = https("stub.certificate", &stub.certificate, &stub.key)?;
            let listener = TcpListener::bind(stub.listen).await;
            let listener = listener.map_err(|error| HostingError::Listen(stub.listen, error))?;
            tasks.spawn(trust::http::serve(listener, Some(tls), realms.router(), shutdown.clone()));
        }
        let routes = Routes::default();
        let traps = match traps {
            None => None,
            Some(config) => {
                let (archive, doors) = traps::open(config, folder, routes.clone(), &clock, shutdown).await?;
                tasks.spawn(async move { doors.wait().await });
                Some((archive, config.domain.clone()))
            }
        };
        let people = stub.map(|stub| stub.people.iter().map(person).collect()).unwrap_or_default();
        let inner = Inner {
            folder: folder.to_owned(),
            address,
            realms,
            people,
            clock,
            traps,
            lists,
            routes,
            served: Mutex::default(),
            opening: Mutex::default(),
        };
        let hosting = Hosting { inner: Arc::new(inner), tasks };
        let serving = hosting.clone();
        let router = Router::new().fallback(move |request: Request| {
            let serving = serving.clone();
            async move { serving.answer(request).await }
        });
        hosting.tasks.spawn(trust::http::serve(driven, None, router, shutdown.clone()));
        hosting.tasks.close();
        Ok(hosting)
    }

    /// Waits for what goes on, once the shutdown was asked for.
    pub async fn wait(&self) {
        self.tasks.wait().await;
    }

    /// Where mail to a domain of a campaign goes.
    pub(crate) fn learn(&self, job: &control::job::Job) {
        let Some(server) = job.operator_interface.as_ref().and_then(|section| section.mx.first()) else { return };
        for domain in &job.operator.domains {
            self.inner.routes.learn(domain, server.address, &server.name);
        }
    }

    /// Lays `[stand]` and `[psc]` into a template that has none: those of an operator, or of whoever sees every one. Blocking: makes keys the
    /// first time.
    ///
    /// # Errors
    /// [`HostingError`].
    pub(crate) fn complete(&self, base: &mut Table, operator: Option<OrganisationId>) -> Result<(), HostingError> {
        let alias = operator.map_or_else(|| ALL.to_owned(), alias);
        {
            let _opening = self.inner.opening.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.served().contains_key(&alias) {
                let made = self.serve(&alias, operator.is_some())?;
                self.served().insert(alias.clone(), made);
            }
        }
        let served = self.served();
        for (name, section) in served.get(&alias).map(|one| one.sections.as_slice()).unwrap_or_default() {
            base.entry((*name).to_owned()).or_insert_with(|| Value::Table(section.clone()));
        }
        Ok(())
    }

    /// What an operator is to be told, when a job's stand is the one it has here.
    pub(crate) fn declared(&self, job: &Table, operator: OrganisationId) -> Declared {
        let (served, asked) = (self.served(), job.get("stand").and_then(Value::as_table));
        let is_it = |one: &&Served| one.sections.iter().any(|(name, own)| *name == "stand" && Some(own) == asked);
        let Some(one) = served.get(&alias(operator)).filter(is_it) else { return Declared::default() };
        Declared { lists: self.inner.lists.addresses(&one.word), secret: one.secret.clone() }
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        // Every change is one insertion.
        self.inner.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, alias: &str, is_operator: bool) -> Result<Served, HostingError> {
        let inner = &self.inner;
        let key_path = inner.folder.join("banc").join(format!("{alias}.key"));
        let key = Key::at(&key_path).map_err(file(&key_path))?;
        let text = |value: &dyn std::fmt::Display| Value::String(value.to_string());
        let pairs =
            |pairs: Vec<(&str, Value)>| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let word = word(alias, &key);
        let mut sections = vec![(
            "stand",
            pairs(vec![
                ("url", text(&format_args!("http://{}/{alias}", inner.address))),
                ("key_file", text(&key_path.display())),
                ("reader", text(&word)),
            ]),
        )];
        // One campaign at a time drives what is this operator's.
        let leases = Leases::default();
        let mut parts = Vec::new();
        let mut secret = None;
        if is_operator {
            parts.extend(inner.lists.open(&word, leases.clone())?);
        }
        // An alias of ours is made of letters and digits.
        if let (Some(realms), Some(known), true) = (&inner.realms, Alias::new(alias), is_operator) {
            let issuer = realms.addresses(Some(&known)).issuer();
            let folder = inner.folder.join("bouchon").join(alias);
            let keys = Keys::open(&folder, &issuer).map_err(setup("stub"))?;
            sections.push((
                "psc",
                pairs(vec![
                    ("issuer", text(&issuer)),
                    ("key", text(&folder.join("signing.key").display())),
                    ("kid", text(&keys.signing.kid())),
                ]),
            ));
            secret = Some(keys.client_secret.clone());
            let service = Service {
                keys: Arc::new(keys),
                clock: inner.clock.clone(),
                token_ttl: ACCESS_TTL,
                client: None,
                people: inner.people.clone(),
            };
            let realm = realms.open(Some(known), service);
            parts.push(("/psc", stand::psc::part(realm, leases)));
        }
        if let Some((archive, domain)) = &inner.traps {
            parts.push(("/traps", stand::traps::part(archive.clone(), domain)));
        }
        let router = Router::new().nest(&format!("/{alias}"), stand::router(key, parts));
        Ok(Served { router, word, secret, sections })
    }

    async fn answer(&self, request: Request) -> Response {
        let alias = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
        let router = self.served().get(&alias).map(|served| served.router.clone());
        match router {
            Some(router) => router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

fn alias(operator: OrganisationId) -> String {
    format!("o{}", operator.0)
}

/// The word an operator fetches its lists with: always the same, and not to be guessed by another operator.
fn word(alias: &str, key: &Key) -> String {
    let digest = openssl::sha::sha256(format!("lecteur {}", key.expose()).as_bytes());
    let mark: String = digest[..8].iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{alias}-{mark}")
}

fn person(config: &config::PersonConfig) -> Person {
    Person {
        id: config.id.clone(),
        title: None,
        given: config.given.clone(),
        family: config.family.clone(),
        profession: config.profession.clone(),
        mailboxes: config.mailboxes.clone(),
        structure: Structure { id: config.structure.clone(), name: config.structure_name.clone() },
    }
}
