//! The whole space, started in order and stopped in the reverse order.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::control::stand::Leases;
use ::control::stand::revocation::RevocationStand;
use ::control::stand::white_list::{self, Publisher};
use operator::Operator;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::revocation::{CrlSource, Revocation, RevocationSettings};
use trust::tls::{Acceptor, ClientCertificates, Profile, ServerTls};
use trust::white_list::{Keeper, KeeperConfig, RequiredSigner, SignaturePolicy};
use trust::{SharedClock, SystemClock};

use crate::cast::OPERATORS;
use crate::describe::describe;
use crate::description::Description;
use crate::directory::{self, Directory};
use crate::dns::NameServer;
use crate::pki::Pki;
use crate::ports::Reserved;
use crate::psc::claims::ACCESS_TTL;
use crate::psc::{Keys, Psc, Service};
use crate::{Layout, Ports, SandboxError, control, desk, lps, mes, node, operators, publisher, stand, traps};

/// Starts tried when a port is taken between its choice and its use.
const TRIES: usize = 4;
/// What Mon espace santé waits for the list and the revocation lists of the space it is in.
const FIRST_FETCH: Duration = Duration::from_secs(5);
/// Pause between two looks at the white list.
const LIST_EVERY: Duration = Duration::from_secs(3600);

/// How a sandbox is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder; made when missing.
    pub dir: PathBuf,
    /// Fixed ports above this one; free ones otherwise.
    pub port_base: Option<u16>,
    /// Tells the time to everything in the space.
    pub clock: SharedClock,
    /// Life of the access tokens that logins get from PSC.
    pub token_ttl: Duration,
}

impl Options {
    /// Free ports and the machine's clock.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options { dir: dir.into(), port_base: None, clock: SystemClock::shared(), token_ttl: ACCESS_TTL }
    }
}

/// A test trust space, running. [`Sandbox::stop`] it: dropped, it leaves `sandbox.json` behind.
pub struct Sandbox {
    /// Where everything is.
    pub description: Description,
    layout: Layout,
    ports: Ports,
    pki: Arc<Pki>,
    publisher: Publisher,
    operators: Vec<Operator>,
    desk: desk::Running,
    dns: NameServer,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// Held while the folder is ours.
    _lock: File,
}

impl Sandbox {
    /// Starts everything; when it returns all ports listen and `sandbox.json` is there.
    ///
    /// # Errors
    /// [`SandboxError`]; nothing is left running.
    pub async fn start(options: Options) -> Result<Sandbox, SandboxError> {
        let Options { dir, port_base, clock, token_ttl } = options;
        // Absolute: what is told to people and programs must not depend on where they are.
        let dir = std::path::absolute(&dir).map_err(SandboxError::file(&dir))?;
        let layout = Layout::new(dir);
        layout.make()?;
        let mut lock = Some(lock(&layout)?);
        // One left by a process that was killed would lie.
        remove_if_there(&layout.description())?;
        let mut tries = 0;
        loop {
            tries += 1;
            let shutdown = CancellationToken::new();
            let starting = Starting {
                layout: layout.clone(),
                clock: clock.clone(),
                token_ttl,
                shutdown: shutdown.clone(),
                tasks: TaskTracker::new(),
            };
            match starting.run(port_base, &mut lock).await {
                Err(error) if error.is_taken_port() && port_base.is_none() && tries < TRIES => {
                    tracing::info!("{error}; trying other ports");
                    shutdown.cancel();
                }
                Err(error) => {
                    shutdown.cancel();
                    return Err(error);
                }
                Ok(sandbox) => return Ok(sandbox),
            }
        }
    }

    /// The folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The white list.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Stops: `sandbox.json` goes first, then the operators, then what they depend on.
    pub async fn stop(self) {
        if let Err(error) = remove_if_there(&self.layout.description()) {
            tracing::warn!("{error}");
        }
        self.desk.stop().await;
        let mut stopping = tokio::task::JoinSet::new();
        for operator in self.operators {
            stopping.spawn(operator.stop());
        }
        while stopping.join_next().await.is_some() {}
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.dns.stop().await;
        if let Err(error) = self.pki.authority.save(&self.layout.pki()) {
            tracing::warn!("the authority's state could not be kept: {error}");
        }
    }
}

fn lock(layout: &Layout) -> Result<File, SandboxError> {
    let path = layout.lock();
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(SandboxError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SandboxError::Busy { folder: layout.root().to_owned() }),
        Err(TryLockError::Error(error)) => Err(SandboxError::file(&path)(error)),
    }
}

fn remove_if_there(path: &Path) -> Result<(), SandboxError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SandboxError::file(path)(error)),
        _ => Ok(()),
    }
}

/// One try to start.
struct Starting {
    layout: Layout,
    clock: SharedClock,
    token_ttl: Duration,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Starting {
    async fn run(self, port_base: Option<u16>, lock: &mut Option<File>) -> Result<Sandbox, SandboxError> {
        let reserved = Reserved::choose(port_base, &self.layout.ports())?;
        let ports = reserved.ports.clone();
        ports.remember(&self.layout.ports())?;
        let psc = Psc::on(ports.psc);
        let (pki, keys) = self.material(&ports, psc.issuer()).await?;

        // What the operators ask for at their start must be there before them.
        let (dns_socket, dns_listener) = (udp(reserved.dns.0)?, tcp(reserved.dns.1)?);
        let dns = NameServer::start(dns_socket, dns_listener, &ports)?;
        // One campaign at a time drives what is driven here.
        let leases = Leases::default();
        let publisher = publisher::open(&pki, self.clock.clone(), leases.clone())?;
        let revocation = RevocationStand::new(pki.authority.clone(), leases.clone());
        let https = Acceptor::new(ServerTls {
            clock: self.clock.clone(),
            ..ServerTls::new(pki.services.clone(), Profile::Https)
        })
        .map_err(SandboxError::setup("HTTPS"))?;
        self.http(tcp(reserved.crl)?, None, revocation.router());
        self.http(tcp(reserved.white_list)?, Some(https.clone()), publisher.router());
        let directory_key = directory::key(&self.layout.directory())?;
        let directory = Directory::new(ports.directory, directory_key.clone(), self.clock.now())?;
        self.http(tcp(reserved.directory)?, Some(https.clone()), directory.router());
        let service = Service {
            keys: keys.clone(),
            clock: self.clock.clone(),
            token_ttl: self.token_ttl,
            client: Some(pki.editor.clone()),
            people: crate::psc::people(),
        };
        let realms = stub::Realms::new(psc.clone());
        let realm = realms.open(None, service);
        let psc_doors = OPERATORS.iter().filter_map(|operator| {
            let door = realms.open_door(crate::psc::alias(operator.name)?, &realm);
            Some((operator.name, door))
        });
        let psc_doors = psc_doors.collect();
        let doors = reserved.traps.into_iter().map(tcp).collect::<Result<_, _>>()?;
        let (archive, doors) = traps::open(doors, &self.layout, &ports, &pki, &self.clock, &self.shutdown)?;
        self.tasks.spawn(async move { doors.wait().await });
        self.http(
            tcp(reserved.stand)?,
            Some(https.clone()),
            stand::router(&self.layout, (realm, psc_doors), leases, publisher.stand(), &revocation, archive)?,
        );
        // A certificate may be shown there, as to Keycloak; browsers and programs without one pass.
        let psc_tls = Acceptor::new(ServerTls {
            clock: self.clock.clone(),
            client_certificates: ClientCertificates::Recorded,
            anchors: pki.authority.anchors(),
            ..ServerTls::new(pki.services.clone(), Profile::Https)
        })
        .map_err(SandboxError::setup("Pro Santé Connect"))?;
        self.http(tcp(reserved.psc)?, Some(psc_tls), realms.router());
        let mes_listener = tcp(reserved.mes)?;

        let mut configs = Vec::new();
        for index in 0..OPERATORS.len() {
            configs.push(operators::configure(index, &self.layout, &ports, &pki)?);
        }
        // Until here nobody could take them; from here on the operators do.
        drop(reserved.operators);
        let operators = tokio::try_join!(
            self.mes(mes_listener, &ports, &pki),
            self.operator(0, &configs[0]),
            self.operator(1, &configs[1]),
        );
        let operators = match operators {
            Ok(((), alpha, beta)) => vec![alpha, beta],
            Err(error) => {
                dns.stop().await;
                return Err(error);
            }
        };
        if faults::ARMED {
            node::open(&ports, &self.tasks, &self.shutdown).await?;
        }
        let named = OPERATORS.iter().zip(&operators).map(|(named, operator)| (named.name, operator.refresher()));
        let nudge = stand::nudge(named.collect());
        publisher.stand().nudged_by(nudge.clone());
        revocation.nudged_by(nudge);
        lps::write(&self.layout, &ports)?;
        control::write(&self.layout, &ports, &keys)?;
        let desk = desk::start(&self.layout, &ports, self.clock.clone(), tcp(reserved.desk)?, https.clone()).await?;
        let mut description = describe(&ports, &pki, &psc, &keys, directory_key)?;
        description.control = desk.entry.clone();
        description.write(&self.layout.description())?;
        Ok(Sandbox {
            description,
            layout: self.layout,
            ports,
            pki,
            publisher,
            operators,
            desk,
            dns,
            tasks: self.tasks,
            shutdown: self.shutdown,
            // Given once: whoever starts the sandbox took it just before.
            _lock: lock.take().ok_or_else(|| SandboxError::setup("the lock")("taken twice"))?,
        })
    }

    /// Certificates and the keys of PSC, made on first use.
    async fn material(&self, ports: &Ports, issuer: String) -> Result<(Arc<Pki>, Arc<Keys>), SandboxError> {
        let (layout, ports, clock) = (self.layout.clone(), ports.clone(), self.clock.clone());
        let psc = self.layout.psc();
        let pki = tokio::task::spawn_blocking(move || Pki::open(&layout, &ports, clock));
        let keys = tokio::task::spawn_blocking(move || Keys::open(&psc, &issuer));
        let (pki, keys) = tokio::try_join!(pki, keys).map_err(SandboxError::setup("certificates"))?;
        Ok((Arc::new(pki?), Arc::new(keys?)))
    }

    fn http(&self, listener: TcpListener, tls: Option<Acceptor>, router: axum::Router) {
        self.tasks.spawn(trust::http::serve(listener, tls, router, self.shutdown.clone()));
    }

    async fn operator(&self, index: usize, config: &operator::Config) -> Result<Operator, SandboxError> {
        let name = OPERATORS[index].name;
        let started = Operator::start(config.clone(), self.clock.clone()).await;
        let operator = started.map_err(|error| SandboxError::Operator { name, error })?;
        operators::populate(index, operator.store.as_ref(), &self.clock).await?;
        Ok(operator)
    }

    /// Mon espace santé trusts as an operator does: the published list, the published revocation lists.
    async fn mes(&self, listener: TcpListener, ports: &Ports, pki: &Pki) -> Result<(), SandboxError> {
        let anchors = pki.authority.anchors();
        let settings = RevocationSettings {
            clock: self.clock.clone(),
            ..RevocationSettings::required(anchors.clone(), crl_sources(ports))
        };
        let revocation = Arc::new(Revocation::new(settings).map_err(SandboxError::setup("Mon espace santé"))?);
        let http = trust::http::client(anchors.certificates()).map_err(SandboxError::setup("Mon espace santé"))?;
        let config = KeeperConfig {
            url: white_list_url(ports).parse().map_err(SandboxError::setup("Mon espace santé"))?,
            policy: SignaturePolicy::Required(RequiredSigner {
                anchors: anchors.clone(),
                name: pki.signer_dn()?,
                revocation: revocation.clone(),
            }),
            path: self.layout.mes_list(),
            refresh_every: LIST_EVERY,
        };
        let white_list = Keeper::open(config, http, self.clock.clone());
        let first = async {
            revocation.refresh().await;
            let _ = white_list.refresh().await;
        };
        // Without them it answers 451 until they come.
        let _ = tokio::time::timeout(FIRST_FETCH, first).await;
        revocation.spawn_refresh(self.shutdown.clone());
        white_list.spawn_refresh(self.shutdown.clone());
        let tls = Acceptor::new(ServerTls {
            client_certificates: ClientCertificates::Recorded,
            anchors,
            revocation,
            clock: self.clock.clone(),
            ..ServerTls::new(pki.mes.clone(), Profile::Operator)
        })
        .map_err(SandboxError::setup("Mon espace santé"))?;
        let settings = mes::Settings { folder: self.layout.mes(), tls, white_list, clock: self.clock.clone() };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            if let Err(error) = mes::serve(listener, settings, shutdown).await {
                tracing::error!("Mon espace santé does not run: {error}");
            }
        });
        Ok(())
    }
}

/// Where the revocation lists of the space are.
pub(crate) fn crl_sources(ports: &Ports) -> Vec<CrlSource> {
    [trust::pki::INTERMEDIATE_CRL_PATH, trust::pki::ROOT_CRL_PATH]
        .map(|path| CrlSource::Url(crl_url(ports, path)))
        .into()
}

pub(crate) fn crl_url(ports: &Ports, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", ports.crl)
}

pub(crate) fn white_list_url(ports: &Ports) -> String {
    format!("https://127.0.0.1:{}{}", ports.white_list, white_list::PATH)
}

fn tcp(listener: std::net::TcpListener) -> Result<TcpListener, SandboxError> {
    let ready = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    ready.map_err(SandboxError::setup("ports"))
}

fn udp(socket: std::net::UdpSocket) -> Result<UdpSocket, SandboxError> {
    let ready = socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket));
    ready.map_err(SandboxError::setup("ports"))
}
