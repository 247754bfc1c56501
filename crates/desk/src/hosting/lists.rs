//! The white list and the revocation lists, served by this process: one publisher and one stand for each operator, which are told apart by the word that
//! it fetches with (`?operateur=MOT`). Whoever says no word gets what is usual; of revocation, what the operator gets that was last seen at that address,
//! since a certificate's own pointers have no word.
//!
//! Invariants: words cannot be guessed, so that no operator is shown what is played to another; what one operator is played reaches no other.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use control::stand::revocation::RevocationStand;
use control::stand::white_list::{Material, PATH, Publisher};
use control::stand::{Leases, reader};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use trust::dn::Dn;
use trust::pki::{INTERMEDIATE_CRL_PATH, ROOT_CRL_PATH, TestAuthority};
use trust::tls::{Acceptor, Identity};
use trust::white_list::Entry;
use trust::{SharedClock, http};

use super::config::{ListedConfig, PublisherConfig, RevocationConfig, SignerConfig, TrapsConfig};
use super::{HostingError, file, records, setup};

/// Addresses remembered; operators have a few each.
const MOST_ADDRESSES: usize = 10_000;

/// What one operator is served.
#[derive(Clone)]
struct Served {
    publisher: Option<(Publisher, Router)>,
    revocation: Option<(RevocationStand, Router)>,
}

#[derive(Default)]
struct Known {
    /// By word; the empty one is for whoever says none.
    served: BTreeMap<String, Served>,
    /// The word that was last said from an address.
    addresses: HashMap<IpAddr, String>,
}

struct Inner {
    white_list: Option<(String, Material)>,
    revocation: Option<(String, Arc<TestAuthority>)>,
    clock: SharedClock,
    known: Mutex<Known>,
}

/// Both lists. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lists(Arc<Inner>);

impl Lists {
    /// Reads what they are made of. Blocking.
    pub(super) fn read(
        white_list: Option<&PublisherConfig>,
        traps: Option<&TrapsConfig>,
        revocation: Option<&RevocationConfig>,
        clock: &SharedClock,
    ) -> Result<Lists, HostingError> {
        let white_list = match white_list {
            Some(config) => Some((config.url.clone(), material(config, traps)?)),
            None => None,
        };
        let authority = |config: &RevocationConfig| {
            let authority = TestAuthority::load(&config.authority, &config.url, clock.clone());
            Ok::<_, HostingError>((config.url.clone(), Arc::new(authority.map_err(setup("revocation.authority"))?)))
        };
        let revocation = revocation.map(authority).transpose()?;
        let lists = Lists(Arc::new(Inner { white_list, revocation, clock: clock.clone(), known: Mutex::default() }));
        lists.open("", Leases::default())?;
        Ok(lists)
    }

    /// Listens.
    pub(super) async fn listen(
        &self,
        white_list: Option<(SocketAddr, Acceptor)>,
        revocation: Option<SocketAddr>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<(), HostingError> {
        let bind = async |place| TcpListener::bind(place).await.map_err(|error| HostingError::Listen(place, error));
        if let Some((place, tls)) = white_list {
            let lists = self.clone();
            let router = Router::new().fallback(move |request: Request| lists.clone().publish(request));
            tasks.spawn(http::serve(bind(place).await?, Some(tls), router, shutdown.clone()));
        }
        if let Some(place) = revocation {
            let lists = self.clone();
            let router = Router::new().fallback(move |request: Request| lists.clone().tell(request));
            tasks.spawn(http::serve(bind(place).await?, None, router, shutdown.clone()));
        }
        Ok(())
    }

    /// Opens what the operator of that word is served, with the leases of its stand: the parts of this stand.
    pub(super) fn open(&self, word: &str, leases: Leases) -> Result<Vec<(&'static str, Router)>, HostingError> {
        let inner = &self.0;
        let mut parts = Vec::new();
        let mut served = Served { publisher: None, revocation: None };
        if let Some((_, material)) = &inner.white_list {
            let publisher = Publisher::new(material.clone(), inner.clock.clone(), leases.clone());
            let publisher = publisher.map_err(setup("white_list.signer"))?;
            parts.push(("/white-list", control::stand::white_list::part(publisher.stand().clone())));
            let router = publisher.router();
            served.publisher = Some((publisher, router));
        }
        if let Some((_, authority)) = &inner.revocation {
            let stand = RevocationStand::new(authority.clone(), leases);
            parts.push(("/revocation", control::stand::revocation::part(stand.clone())));
            let router = stand.router();
            served.revocation = Some((stand, router));
        }
        self.known().served.insert(word.to_owned(), served);
        Ok(parts)
    }

    /// What an operator of that word is to fetch: what it is, and where.
    pub(super) fn addresses(&self, word: &str) -> Vec<(&'static str, String)> {
        let list = self.0.white_list.iter().map(|(url, _)| ("Liste blanche", format!("{url}{PATH}?operateur={word}")));
        let revocation = self.0.revocation.iter().flat_map(|(url, _)| {
            let place = |path: &str| format!("{url}{path}?operateur={word}");
            [
                ("Liste de révocation (organisations)", place(INTERMEDIATE_CRL_PATH)),
                ("Liste de révocation (racine)", place(ROOT_CRL_PATH)),
            ]
        });
        list.chain(revocation).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is one insertion.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator of a request is served: by its word, which is learnt; else by its address, when `by_address`; else what is usual.
    fn of(&self, request: &Request, by_address: bool) -> (bool, Option<Served>) {
        let word = reader(request.uri());
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let from = from.map(|ConnectInfo(from)| from.ip().to_canonical());
        let mut known = self.known();
        let usual = known.served.get("").cloned();
        if !word.is_empty() {
            let found = known.served.get(&word).cloned();
            if let (Some(_), Some(from)) = (&found, from)
                && (known.addresses.len() < MOST_ADDRESSES || known.addresses.contains_key(&from))
            {
                known.addresses.insert(from, word);
            }
            return (true, found.or(usual));
        }
        let seen = from.filter(|_| by_address).and_then(|from| known.addresses.get(&from));
        match seen.and_then(|word| known.served.get(word)).cloned() {
            Some(found) => (true, Some(found)),
            None => (false, usual),
        }
    }

    async fn publish(self, request: Request) -> Response {
        let (_, served) = self.of(&request, false);
        answered(served.and_then(|served| served.publisher).map(|(_, router)| router), request).await
    }

    async fn tell(self, request: Request) -> Response {
        let (is_known, served) = self.of(&request, true);
        let uri = request.uri().clone();
        let response = answered(served.and_then(|served| served.revocation).map(|(_, router)| router), request).await;
        if !is_known {
            let all: Vec<RevocationStand> = self
                .known()
                .served
                .values()
                .filter_map(|one| one.revocation.as_ref().map(|(stand, _)| stand.clone()))
                .collect();
            for stand in all {
                stand.overheard(&uri, response.status());
            }
        }
        response
    }
}

async fn answered(router: Option<Router>, request: Request) -> Response {
    use axum::response::IntoResponse;
    match router {
        Some(router) => router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

fn material(config: &PublisherConfig, traps: Option<&TrapsConfig>) -> Result<Material, HostingError> {
    let mut entries = Vec::new();
    for domain in &config.domains {
        entries.push(Entry::new(domain.name.clone(), name(domain)?));
    }
    let named = |name: &str| {
        let found = entries.iter().find(|entry| entry.domain == name).map(|entry| entry.name.clone());
        // Checked when the file was read.
        found.ok_or_else(|| setup("white_list")(std::io::Error::from(std::io::ErrorKind::NotFound)))
    };
    let (peer, other) = (named(&config.peer)?, named(&config.other)?);
    for (domain, dn) in traps.into_iter().flat_map(records::listed) {
        // A door whose certificate cannot be read does not open either, and says why.
        entries.extend(dn.flatten().map(|dn| Entry::new(domain, dn)));
    }
    Ok(Material { entries, signer: pair(&config.signer)?, other_signer: pair(&config.other_signer)?, peer, other })
}

fn name(domain: &ListedConfig) -> Result<Dn, HostingError> {
    match (&domain.dn, &domain.certificate) {
        (Some(dn), _) => dn.parse().map_err(setup("white_list.domain.dn")),
        (None, Some(path)) => {
            Dn::from_x509(certificate(path)?.subject_name()).map_err(setup("white_list.domain.certificate"))
        }
        // Checked when the file was read.
        (None, None) => Err(setup("white_list.domain")(std::io::Error::from(std::io::ErrorKind::InvalidInput))),
    }
}

fn certificate(path: &std::path::Path) -> Result<X509, HostingError> {
    let pem = std::fs::read(path).map_err(file(path))?;
    X509::from_pem(&pem).map_err(setup("white_list: a certificate"))
}

fn pair(config: &SignerConfig) -> Result<(X509, PKey<Private>), HostingError> {
    // Read as an identity first: a key that is another certificate's is told.
    let identity = Identity::from_files(&config.certificate, &config.key).map_err(setup("white_list.signer"))?;
    let pem = std::fs::read(&config.key).map_err(file(&config.key))?;
    let key = PKey::private_key_from_pem(&pem).map_err(setup("white_list.signer"))?;
    Ok((identity.certificate().clone(), key))
}
