//! The scripted operator: a port for each protocol and scenario, autoconfiguration that leads to them by the BAL's local part, lists of
//! revoked certificates, and a place where nobody should come. On one address, given in the job.
//!
//! Bounded: so many connections at once, each with an end; a flood is closed, counted, and harms nobody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use trust::pki::PkiError;

use super::data::scenarios;
use super::job::Settings;
use super::pki::Pki;
use super::seen::{Seen, Service};
use super::stage::{BEFORE, Stage};
use super::talk::{End, Talk};
use super::web::{self, Autoconfiguration, Ports};
use super::{dns, imap, smtp};

/// Connections at once: real software has a few.
const MAX_CONNECTIONS: usize = 200;
/// The longest session: IDLE with some margin.
const MAX_SESSION: Duration = Duration::from_secs(45 * 60);
/// HTTP requests are short.
const MAX_REQUEST: Duration = Duration::from_secs(30);
/// The domain a redirection leads to.
const ELSEWHERE: &str = "ailleurs.exemple.fr";
/// After a failed accept: descriptors may be short for a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error("client.{key}: {address}: {error}")]
    Port {
        /// The key of the job.
        key: &'static str,
        /// Which.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Its certificates.
    #[error("client.folder: {0}")]
    Pki(#[from] PkiError),
    /// TLS.
    #[error("scenario {scenario}: OpenSSL: {error}")]
    Tls {
        /// Which.
        scenario: &'static str,
        /// Why.
        error: openssl::error::ErrorStack,
    },
}

/// It runs as long as this lives.
pub struct Operator {
    /// What it sees.
    pub seen: Seen,
    stages: Vec<Arc<Stage>>,
    web: Arc<Autoconfiguration>,
    /// Where autoconfiguration is.
    pub autoconfig: SocketAddr,
    address: IpAddr,
    tasks: JoinSet<()>,
}

impl Operator {
    /// Starts it.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: &Settings) -> Result<Operator, StartError> {
        let address = settings.listen;
        let bind = |key: &'static str, port: Option<u16>| async move {
            let address = SocketAddr::new(address, port.unwrap_or(0));
            let listener =
                TcpListener::bind(address).await.map_err(|error| StartError::Port { key, address, error })?;
            let bound = listener.local_addr().map_err(|error| StartError::Port { key, address, error })?;
            Ok::<_, StartError>((listener, bound))
        };
        let (revocation, revocation_at) = bind("revocation_port", settings.revocation_port).await?;
        let (autoconfig, autoconfig_at) = bind("autoconfig_port", settings.autoconfig_port).await?;
        let (elsewhere, elsewhere_at) = bind("listen", None).await?;
        let host = settings.host();
        let autoconfig_host = format!("autoconfig.{}", settings.domain);
        let folder = settings.folder.clone();
        let base = format!("http://{revocation_at}");
        let names = [host.clone(), autoconfig_host];
        // Keys take a second or two.
        let made = tokio::task::spawn_blocking(move || Pki::open(&folder, &base, &[&names[0], &names[1]])).await;
        let pki = made.unwrap_or(Err(PkiError::Thread))?;
        let seen = Seen::default();
        let gate = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut tasks = JoinSet::new();
        let (mut stages, mut ports) = (Vec::new(), Vec::new());
        for (at, scenario) in scenarios().iter().enumerate() {
            let tls = pki.context(scenario).map_err(|error| StartError::Tls { scenario: &scenario.nom, error })?;
            let stage = Arc::new(Stage::new(scenario, tls, seen.clone(), host.clone()));
            // Checked when the job was read: two ports for each scenario.
            let port = |more: usize| settings.first_port.map(|first| first.saturating_add((2 * at + more) as u16));
            let (imap_listener, imap_at) = bind("first_port", port(0)).await?;
            let (smtp_listener, smtp_at) = bind("first_port", port(1)).await?;
            ports.push(Ports { imap: imap_at.port(), smtp: smtp_at.port() });
            let on = stage.clone();
            tasks.spawn(accept(imap_listener, gate.clone(), move |stream| {
                mail_session(stream, on.clone(), Service::Imap)
            }));
            let on = stage.clone();
            tasks.spawn(accept(smtp_listener, gate.clone(), move |stream| {
                mail_session(stream, on.clone(), Service::Smtp)
            }));
            stages.push(stage);
        }
        let web = Arc::new(Autoconfiguration {
            tls: pki.https().map_err(|error| StartError::Tls { scenario: "autoconfiguration", error })?,
            domain: settings.domain.clone(),
            host,
            address,
            ports,
            elsewhere: format!("http://{ELSEWHERE}:{}", elsewhere_at.port()),
            current: Mutex::new(0),
        });
        let (what, log) = (web.clone(), seen.clone());
        tasks.spawn(accept(autoconfig, gate.clone(), move |stream| {
            let what = what.clone();
            let talk = http(stream, &log, Service::Autoconfig);
            async move { ended(timeout(MAX_REQUEST, web::autoconfig(talk, what)).await) }
        }));
        let log = seen.clone();
        tasks.spawn(accept(elsewhere, gate.clone(), move |stream| {
            let talk = http(stream, &log, Service::Ailleurs);
            async move { ended(timeout(MAX_REQUEST, web::elsewhere(talk)).await) }
        }));
        let (authority, log) = (pki.authority.clone(), seen.clone());
        tasks.spawn(accept(revocation, gate, move |stream| {
            let authority = authority.clone();
            let talk = http(stream, &log, Service::Revocation);
            async move { ended(timeout(MAX_REQUEST, web::revocation(talk, authority)).await) }
        }));
        if let Some(at) = settings.dns {
            let socket =
                UdpSocket::bind(at).await.map_err(|error| StartError::Port { key: "dns", address: at, error })?;
            tasks.spawn(dns::serve(socket, settings.domain.clone(), address));
        }
        Ok(Operator { seen, stages, web, autoconfig: autoconfig_at, address, tasks })
    }

    /// Begins a step: the scenario at its beginning, and the one that autoconfiguration leads to. The mark of what follows.
    ///
    /// # Panics
    /// Never: places come from the same list.
    pub fn begin(&self, place: usize) -> u64 {
        *self.web.current.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.stages[place].rewind();
        self.seen.mark()
    }

    /// Where a scenario is played.
    #[must_use]
    pub fn places(&self, place: usize) -> (SocketAddr, SocketAddr) {
        let Ports { imap, smtp } = self.web.ports[place];
        (SocketAddr::new(self.address, imap), SocketAddr::new(self.address, smtp))
    }

    /// Stops.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Takes connections; one too many is closed at once.
async fn accept<F>(listener: TcpListener, gate: Arc<Semaphore>, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // Sessions end with the operator.
    let mut sessions = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while sessions.try_join_next().is_some() {}
        let Ok(permit) = gate.clone().try_acquire_owned() else { continue };
        // Small dialogues; a failure only slows.
        let _ = stream.set_nodelay(true);
        let session = serve(stream);
        sessions.spawn(async move {
            session.await;
            drop(permit);
        });
    }
}

fn http(stream: TcpStream, seen: &Seen, service: Service) -> Talk {
    Talk::new(stream, seen.begin(service, ""), MAX_REQUEST, Duration::ZERO)
}

async fn mail_session(stream: TcpStream, stage: Arc<Stage>, service: Service) {
    let handle = stage.seen.begin(service, &stage.scenario.nom);
    let talk = Talk::new(stream, handle, BEFORE, stage.delay());
    match service {
        Service::Imap => ended(timeout(MAX_SESSION, imap::serve(talk, stage)).await),
        _ => ended(timeout(MAX_SESSION, smtp::serve(talk, stage)).await),
    }
}

/// How a session ends says nothing that it did not note itself.
fn ended(_: Result<Result<(), End>, tokio::time::error::Elapsed>) {}
