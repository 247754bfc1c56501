//! An operator, put together from its configuration and running.
//!
//! Order of things: the store is opened and locked, what we trust is loaded (revocation lists, white list; a publisher that is
//! down delays nothing for long and refuses nobody for ever), the queue starts, then the ports open.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use psc::{Audience, Introspection, Secret, Verifier, VerifierConfig};
use store::Store;
use store::sqlite::Sqlite;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::clock::SharedClock;
use trust::dn::Dn;
use trust::revocation::{CrlSource, Revocation, RevocationPolicy, RevocationSettings};
use trust::tls::{Acceptor, Anchors, ClientCertificates, ClientTls, Connector, Identity, Profile, ServerTls, Tls13};
use trust::white_list::{Keeper, KeeperConfig, RequiredSigner, SignaturePolicy};

use crate::access::Access;
use crate::autoconfig;
use crate::backends::imap::ImapBackend;
use crate::backends::mx::{Mx, MxBackend};
use crate::backends::submission::{Submission, SubmissionBackend};
use crate::config::{self, Config};
use crate::listener::{Room, listen};
use crate::queue::route::Router;
use crate::queue::schedule::Schedule;
use crate::queue::{QueueConfig, queue};
use crate::traces::Tracer;

/// The first fetch of revocation lists and of the white list may hold the start back this long.
const FIRST_FETCH: Duration = Duration::from_secs(5);
/// Sessions under way have this long to end when the service stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the store gives back what is no longer needed.
const UPKEEP: Duration = Duration::from_secs(600);

/// Why an operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("{entrance}: cannot listen on {address}: {error}; is another server running there?")]
    Listen {
        /// Which entry point.
        entrance: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The store.
    #[error("the store in {folder}: {error}")]
    Store {
        /// Where.
        folder: String,
        /// Why.
        error: store::StoreError,
    },
    /// Anything the configuration's checks could not see.
    #[error("{what}: {error}")]
    Setting {
        /// What was being set up.
        what: &'static str,
        /// Why it failed.
        error: String,
    },
}

fn setting<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> StartError {
    move |error| StartError::Setting { what, error: error.to_string() }
}

/// Where an operator listens, ports real.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// IMAP for PSC.
    pub imap: Option<SocketAddr>,
    /// Submission for PSC.
    pub submission: Option<SocketAddr>,
    /// IMAP for BAL APP.
    pub imap_app: Option<SocketAddr>,
    /// Submission for BAL APP.
    pub submission_app: Option<SocketAddr>,
    /// The operator interface.
    pub mx: Option<SocketAddr>,
    /// Autoconfiguration.
    pub autoconfig: Option<SocketAddr>,
}

/// An operator running. Dropped without [`Operator::stop`], its tasks end by themselves a little later.
pub struct Operator {
    /// Where it listens.
    pub addresses: Addresses,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// The white list it goes by.
    pub white_list: Arc<Keeper>,
    /// The revocation lists it goes by.
    pub revocation: Arc<Revocation>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    traces: Option<JoinHandle<()>>,
}

/// What is set up before any port opens.
struct Setup<'c> {
    config: &'c Config,
    clock: SharedClock,
    identity: Identity,
    anchors: Anchors,
    revocation: Arc<Revocation>,
    tls13: Tls13,
    tls10_until: Option<SystemTime>,
}

impl Setup<'_> {
    fn acceptor(&self, profile: Profile, clients: ClientCertificates) -> Result<Acceptor, StartError> {
        let settings = ServerTls {
            tls13: self.tls13,
            tls10_until: if profile == Profile::Operator { self.tls10_until } else { None },
            client_certificates: clients,
            anchors: self.anchors.clone(),
            revocation: self.revocation.clone(),
            clock: self.clock.clone(),
            ..ServerTls::new(self.identity.clone(), profile)
        };
        Acceptor::new(settings).map_err(setting("TLS"))
    }

    fn connector(&self) -> Result<Connector, StartError> {
        let settings = ClientTls {
            tls13: self.tls13,
            tls10_until: self.tls10_until,
            clock: self.clock.clone(),
            ..ClientTls::operator(self.identity.clone(), self.anchors.clone(), self.revocation.clone())
        };
        Connector::new(settings).map_err(setting("TLS"))
    }
}

impl Operator {
    /// Starts everything the configuration asks for.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, clock: SharedClock) -> Result<Operator, StartError> {
        let data = &config.operator.data;
        std::fs::create_dir_all(data).map_err(setting("the data folder"))?;
        let listeners = Listeners::bind(&config.listen).await?;
        let setup = setup(&config, &clock)?;
        let store = open_store(data.join("store")).await?;
        let (tracer, traces) = Tracer::start(&data.join("traces"), config.traces.keep_days, clock.clone())
            .map_err(setting("the trace folder"))?;
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let white_list = keeper(&config, &setup, &clock, data)?;
        let first = async {
            setup.revocation.refresh().await;
            let _ = white_list.refresh().await;
        };
        if tokio::time::timeout(FIRST_FETCH, first).await.is_err() {
            tracing::warn!("revocation lists or the white list are slow to come: starting without");
        }
        setup.revocation.spawn_refresh(shutdown.clone());
        white_list.spawn_refresh(shutdown.clone());

        let verifier = verifier(&config, &clock)?;
        let access = Arc::new(Access::new(store.clone(), verifier, clock.clone(), tracer.clone()));
        let (handle, queue) = queue();
        let relay = &config.relay;
        let delay_notice = seconds_of_hours(relay.delay_notice_hours);
        let queue_config = QueueConfig {
            store: store.clone(),
            white_list: white_list.clone(),
            router: Router::new(relay.nameserver, relay.port).map_err(setting("DNS"))?,
            settings: smtp::client::Settings {
                helo: config.hostname().to_owned(),
                connector: setup.connector()?,
                timeouts: smtp::client::Timeouts::default(),
            },
            hostname: config.hostname().to_owned(),
            schedule: Schedule {
                first_retry: i64::try_from(*relay.first_retry_seconds.get_ref()).unwrap_or(i64::MAX),
                delay_notice,
                distrust: delay_notice,
            },
            connections_per_domain: *relay.connections_per_domain.get_ref(),
            clock: clock.clone(),
            tracer: tracer.clone(),
        };
        tasks.spawn(queue.run(queue_config, shutdown.clone()));

        let submission = Arc::new(Submission {
            access: access.clone(),
            store: store.clone(),
            white_list: white_list.clone(),
            domains: config.domains().to_vec(),
            hostname: config.hostname().to_owned(),
            limit: *config.limits.message_octets.get_ref(),
            patient_limit: config.limits.patient_message_octets,
            expire: seconds_of_hours(*relay.expire_hours.get_ref()),
            queue: handle,
            clock: clock.clone(),
            tracer: tracer.clone(),
        });
        let mx = Arc::new(Mx {
            store: store.clone(),
            white_list: white_list.clone(),
            domains: config.domains().to_vec(),
            hostname: config.hostname().to_owned(),
            limit: *config.limits.message_octets.get_ref(),
            clock: clock.clone(),
            tracer: tracer.clone(),
        });
        let addresses = listeners.addresses();
        let opening = Opening {
            setup: &setup,
            access,
            store: store.clone(),
            submission,
            mx,
            tracer: tracer.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        opening.open(listeners)?;
        upkeep(store.clone(), clock, &tasks, shutdown.clone());
        drop(tracer);
        Ok(Operator {
            addresses,
            store,
            white_list,
            revocation: setup.revocation.clone(),
            shutdown,
            tasks,
            traces: Some(traces),
        })
    }

    /// Stops: no new connections, sessions are told goodbye, attempts of the queue end, the store closes.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(sessions = self.tasks.len(), "sessions did not end in time");
        }
        self.store.close().await;
        if let Some(traces) = self.traces.take() {
            // Sessions that did not end still hold the tracer: do not wait for them.
            if self.tasks.is_empty() {
                let _ = tokio::task::spawn_blocking(move || traces.join()).await;
            }
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Opens the store on a blocking thread: an upgrade of its schema may take a while.
async fn open_store(folder: PathBuf) -> Result<Arc<dyn Store>, StartError> {
    let shown = folder.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Sqlite::open(&folder)).await.map_err(setting("the store"))?;
    match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(StartError::Store { folder: shown, error }),
    }
}

fn setup<'c>(config: &'c Config, clock: &SharedClock) -> Result<Setup<'c>, StartError> {
    let anchors = Anchors::from_file(config.trust.anchors.get_ref()).map_err(setting("trust anchors"))?;
    let sources = config.trust.crl.iter().map(|source| match source.get_ref() {
        url if url.contains("://") => CrlSource::Url(url.clone()),
        path => CrlSource::File(path.into()),
    });
    let cache = config.operator.data.join("crl");
    std::fs::create_dir_all(&cache).map_err(setting("the folder of revocation lists"))?;
    let settings = RevocationSettings {
        policy: match config.trust.revocation {
            config::Revocation::Required => RevocationPolicy::Required,
            config::Revocation::Tolerant => RevocationPolicy::Tolerant,
        },
        cache_dir: Some(cache),
        clock: clock.clone(),
        ..RevocationSettings::required(anchors.clone(), sources.collect())
    };
    let revocation = Arc::new(Revocation::new(settings).map_err(setting("revocation lists"))?);
    let identity = Identity::from_files(config.tls.certificate.get_ref(), config.tls.key.get_ref())
        .map_err(setting("our certificate"))?;
    let tls10_until = config.tls.tls10_tolerated_until.as_ref().and_then(|day| config::parse_day(day.get_ref()));
    Ok(Setup {
        config,
        clock: clock.clone(),
        identity,
        anchors,
        revocation,
        tls13: if config.tls.tls13 { Tls13::Allowed } else { Tls13::Refused },
        tls10_until: tls10_until.map(SystemTime::from),
    })
}

fn keeper(config: &Config, setup: &Setup<'_>, clock: &SharedClock, data: &Path) -> Result<Arc<Keeper>, StartError> {
    let http = trust::http::client(setup.anchors.certificates()).map_err(setting("HTTPS to the white list"))?;
    let name: Dn = config.white_list.signer.get_ref().parse().map_err(setting("white_list.signer"))?;
    let settings = KeeperConfig {
        url: config.white_list.url.get_ref().clone(),
        policy: SignaturePolicy::Required(RequiredSigner {
            anchors: setup.anchors.clone(),
            name,
            revocation: setup.revocation.clone(),
        }),
        path: data.join("white-list.xml"),
        refresh_every: Duration::from_secs(60 * config.white_list.refresh_minutes.get_ref()),
    };
    Ok(Keeper::open(settings, http, clock.clone()))
}

fn verifier(config: &Config, clock: &SharedClock) -> Result<Verifier, StartError> {
    let psc = &config.psc;
    let anchors = Anchors::from_file(psc.anchors.get_ref()).map_err(setting("psc.anchors"))?;
    let http = trust::http::client(anchors.certificates()).map_err(setting("HTTPS to Pro Santé Connect"))?;
    let audience = psc.audience.iter().cloned().collect();
    let introspection = match &psc.introspection {
        None => None,
        Some(introspection) => {
            let file = introspection.client_secret_file.get_ref();
            let secret = std::fs::read_to_string(file).map_err(setting("psc.introspection.client_secret_file"))?;
            Some(Introspection {
                url: introspection.url.get_ref().clone(),
                client_id: introspection.client_id.clone(),
                client_secret: Secret::new(secret.trim_end()),
            })
        }
    };
    let settings = VerifierConfig {
        skew: Duration::from_secs(*psc.skew_seconds.get_ref()),
        acr: psc.acr.iter().cloned().collect(),
        audience: if psc.audience_required { Audience::In(audience) } else { Audience::AbsentOrIn(audience) },
        introspection,
        userinfo: psc.userinfo.as_ref().map(|url| url.get_ref().clone()),
        ..VerifierConfig::new(psc.issuer.clone(), psc.jwks_uri.get_ref().clone())
    };
    Verifier::new(settings, http, clock.clone()).map_err(setting("psc"))
}

fn seconds_of_hours(hours: u64) -> i64 {
    i64::try_from(hours.saturating_mul(3600)).unwrap_or(i64::MAX)
}

fn upkeep(store: Arc<dyn Store>, clock: SharedClock, tasks: &TaskTracker, shutdown: CancellationToken) {
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(UPKEEP) => {}
            }
            if let Err(error) = store.maintain(crate::access::seconds(clock.as_ref())).await {
                tracing::warn!("upkeep of the store: {error}");
            }
        }
    });
}

/// The sockets, bound before anything else so that a taken port is told at once.
struct Listeners {
    imap: Option<TcpListener>,
    submission: Option<TcpListener>,
    imap_app: Option<TcpListener>,
    submission_app: Option<TcpListener>,
    mx: Option<TcpListener>,
    autoconfig: Option<TcpListener>,
}

impl Listeners {
    async fn bind(listen: &config::Listen) -> Result<Self, StartError> {
        async fn one(entrance: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
            let Some(address) = address else { return Ok(None) };
            let bound = TcpListener::bind(address).await;
            bound.map(Some).map_err(|error| StartError::Listen { entrance, address, error })
        }
        Ok(Listeners {
            imap: one("listen.imap", listen.imap).await?,
            submission: one("listen.submission", listen.submission).await?,
            imap_app: one("listen.imap_app", listen.imap_app).await?,
            submission_app: one("listen.submission_app", listen.submission_app).await?,
            mx: one("listen.mx", listen.mx).await?,
            autoconfig: one("listen.autoconfig", listen.autoconfig).await?,
        })
    }

    fn addresses(&self) -> Addresses {
        let of = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        Addresses {
            imap: of(&self.imap),
            submission: of(&self.submission),
            imap_app: of(&self.imap_app),
            submission_app: of(&self.submission_app),
            mx: of(&self.mx),
            autoconfig: of(&self.autoconfig),
        }
    }
}

/// Opens the ports.
struct Opening<'s> {
    setup: &'s Setup<'s>,
    access: Arc<Access>,
    store: Arc<dyn Store>,
    submission: Arc<Submission>,
    mx: Arc<Mx>,
    tracer: Tracer,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Opening<'_> {
    fn open(&self, listeners: Listeners) -> Result<(), StartError> {
        if let Some(listener) = listeners.imap {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::NotAsked)?;
            self.imap(listener, tls, imap::backend::Mechanism::XOAuth2, false);
        }
        if let Some(listener) = listeners.imap_app {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::Required)?;
            self.imap(listener, tls, imap::backend::Mechanism::External, self.setup.config.sessions.app_preauth);
        }
        if let Some(listener) = listeners.submission {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::NotAsked)?;
            self.submission(listener, tls, smtp::Mechanism::XOAuth2);
        }
        if let Some(listener) = listeners.submission_app {
            let tls = self.setup.acceptor(Profile::ApiLps, ClientCertificates::Required)?;
            self.submission(listener, tls, smtp::Mechanism::External);
        }
        if let Some(listener) = listeners.mx {
            // Recorded and not required: a peer with a bad certificate gets a reply that says what is wrong with it.
            let tls = self.setup.acceptor(Profile::Operator, ClientCertificates::Recorded)?;
            let backend = Arc::new(MxBackend { service: self.mx.clone() });
            self.smtp(listener, self.smtp_config(smtp::Role::Mx, tls), backend);
        }
        if let Some(listener) = listeners.autoconfig {
            let tls = self.setup.acceptor(Profile::Https, ClientCertificates::NotAsked)?;
            let router = autoconfig::router(self.setup.config);
            self.tasks.spawn(trust::http::serve(listener, Some(tls), router, self.shutdown.clone()));
        }
        Ok(())
    }

    fn room(&self) -> Room {
        let limits = &self.setup.config.limits;
        Room { connections: limits.connections, per_address: limits.connections_per_address }
    }

    fn imap(&self, listener: TcpListener, tls: Acceptor, mechanism: imap::backend::Mechanism, preauth: bool) {
        let sessions = &self.setup.config.sessions;
        let config = Arc::new(imap::Config {
            idle_timeout: Duration::from_secs(60 * sessions.imap_idle_minutes.get_ref()),
            max_session: sessions.imap_max_hours.map(|hours| Duration::from_secs(3600 * hours)),
            ..imap::Config::new(tls, self.setup.config.hostname())
        });
        let backend: Arc<dyn imap::Backend> = Arc::new(ImapBackend {
            access: self.access.clone(),
            store: self.store.clone(),
            mechanisms: vec![mechanism],
            preauth,
            append_limit: *self.setup.config.limits.message_octets.get_ref(),
            clock: self.setup.clock.clone(),
            tracer: self.tracer.clone(),
        });
        let shutdown = self.shutdown.clone();
        let serve =
            move |stream, address| imap::serve(stream, address, config.clone(), backend.clone(), shutdown.clone());
        let farewell = "* BYE Too many connections, try again later\r\n";
        self.tasks.spawn(listen(listener, self.room(), farewell, self.tasks.clone(), self.shutdown.clone(), serve));
    }

    fn submission(&self, listener: TcpListener, tls: Acceptor, mechanism: smtp::Mechanism) {
        let backend = Arc::new(SubmissionBackend { service: self.submission.clone(), mechanisms: vec![mechanism] });
        self.smtp(listener, self.smtp_config(smtp::Role::Submission, tls), backend);
    }

    fn smtp_config(&self, role: smtp::Role, tls: Acceptor) -> smtp::Config {
        let limits = &self.setup.config.limits;
        smtp::Config {
            max_size: *limits.message_octets.get_ref(),
            max_recipients: limits.recipients,
            ..smtp::Config::new(role, tls, self.setup.config.hostname())
        }
    }

    fn smtp(&self, listener: TcpListener, config: smtp::Config, backend: Arc<dyn smtp::Backend>) {
        let (config, shutdown) = (Arc::new(config), self.shutdown.clone());
        let serve =
            move |stream, address| smtp::serve(stream, address, config.clone(), backend.clone(), shutdown.clone());
        let farewell = "421 4.3.2 Too many connections, try again later\r\n";
        self.tasks.spawn(listen(listener, self.room(), farewell, self.tasks.clone(), self.shutdown.clone(), serve));
    }
}
