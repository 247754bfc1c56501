//! An operator, put together from its configuration and running.
//!
//! Order of things: the store is opened and locked, what we trust is loaded (revocation lists, white list; a publisher that is
//! down delays nothing for long and refuses nobody for ever), the queue starts, then the ports open.

pub(crate) mod admin;
mod entrances;
mod generation;
mod hold;
mod postmaster;
mod reload;
mod setup;
mod slot;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use meter::Entrance;
use store::Store;
use store::sqlite::Sqlite;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::clock::SharedClock;
use trust::white_list::Keeper;

use crate::config::Config;
use crate::monitoring::Meter;
use crate::monitoring::page::QueueLook;
use crate::queue::{QueueHandle, queue};
use crate::rates::Rates;
use crate::search::Searcher;
use crate::traces::Tracer;
use admin::Admin;
pub use admin::SOCKET as ADMIN_SOCKET;
use entrances::{Doors, Entrances, Listeners};
use generation::{Generation, Trusted};
pub use hold::HELD;
pub use reload::{ReloadError, Reloaded};

/// The first fetch of revocation lists and of the white list may hold the start back this long.
const FIRST_FETCH: Duration = Duration::from_secs(5);
/// What is cut off when the grace is over has this long to say its last word.
const CUT_OFF: Duration = Duration::from_secs(5);
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
    /// Monitoring.
    pub monitoring: Option<SocketAddr>,
}

/// An operator running. Dropped without [`Operator::stop`], its tasks end by themselves a little later.
pub struct Operator {
    /// Where it listens.
    pub addresses: Addresses,
    /// Its store.
    pub store: Arc<dyn Store>,
    running: Arc<Running>,
    _admin: Option<Admin>,
    traces: Option<JoinHandle<()>>,
}

/// Fetches the lists that an operator goes by before their time. Holds nothing of the operator.
#[derive(Clone)]
pub struct Refresher(std::sync::Weak<Running>);

impl Refresher {
    /// Fetches the white list and the revocation lists now; what fails is logged, and what was there stays.
    pub async fn refresh(&self) {
        let Some(running) = self.0.upgrade() else { return };
        let Trusted { white_list, revocation, .. } = running.trusted();
        drop(running);
        let (_, _) = tokio::join!(revocation.refresh(), white_list.refresh());
    }
}

/// What the parts of a running operator share, whatever its configuration becomes.
pub(crate) struct Running {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) searcher: Arc<Searcher>,
    pub(crate) tracer: Tracer,
    pub(crate) meter: Arc<Meter>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) queue: QueueHandle,
    pub(crate) clock: SharedClock,
    pub(crate) data: PathBuf,
    pub(crate) names: Entrances,
    /// The entry points that were asked for.
    pub(crate) entrances: Vec<Arc<Entrance>>,
    pub(crate) queue_look: QueueLook,
    pub(crate) started: SystemTime,
    configs: watch::Sender<Arc<Config>>,
    current: Mutex<Option<Trusted>>,
    doors: OnceLock<Doors>,
    reloading: tokio::sync::Mutex<()>,
    /// The administrator wants a stop.
    stop_asked: CancellationToken,
    /// Nothing new is begun.
    pub(crate) drain: CancellationToken,
    /// Nothing is gone on with.
    pub(crate) shutdown: CancellationToken,
    /// All has ended.
    pub(crate) over: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Operator {
    /// Starts everything the configuration asks for.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, clock: SharedClock) -> Result<Operator, StartError> {
        let data = config.operator.data.clone();
        private_folder(&data).map_err(setting("the data folder"))?;
        let listeners = Listeners::bind(&config.listen, config.monitoring.listen).await?;
        // Looked at before the store is opened, whose upgrade may take long: a wrong certificate is told at once.
        setup::setup(&config, &clock)?;
        let store = open_store(data.join("store"), config.store.clone()).await?;
        let meter = Meter::new();
        let (tracer, traces) = Tracer::start(&data.join("traces"), config.traces.keep_days, clock.clone())
            .map_err(setting("the trace folder"))?;
        let searcher = Searcher::new(store.clone(), &data.join("search")).map_err(setting("the search folder"))?;
        let (handle, queue) = queue();
        let names = Entrances::new(&meter);
        let running = Arc::new(Running {
            rates: Rates::new(config.rates.clone(), clock.clone(), meter.clone()),
            tracer: tracer.counting(meter.clone()),
            entrances: listeners.entrances(&names),
            names,
            meter,
            store: store.clone(),
            searcher: searcher.clone(),
            queue: handle,
            clock,
            data: data.clone(),
            configs: watch::Sender::new(Arc::new(config)),
            current: Mutex::new(None),
            doors: OnceLock::new(),
            reloading: tokio::sync::Mutex::default(),
            queue_look: QueueLook::default(),
            started: SystemTime::now(),
            stop_asked: CancellationToken::new(),
            drain: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            over: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        // Whatever ends this start early ends what it began.
        let started = running.over.clone().drop_guard();
        let config = running.config();
        let Generation { trusted, queue: queue_config, behind } = Generation::make(&config, &running).await?;
        let addresses = listeners.addresses();
        *running.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(trusted);
        let doors = running.doors.get_or_init(|| Doors::new(behind, &config));
        running.tasks.spawn(queue.run(queue_config, running.drain.clone(), running.shutdown.clone()));
        searcher.start(&running.tasks, running.drain.clone());
        doors.open(listeners, &running);
        let admin = admin::open(&data, &running)
            .inspect_err(|error| tracing::warn!("{}: {error}: no administrator's socket", admin::SOCKET))
            .ok();
        upkeep(&running);
        postmaster::look(&*store, &config).await;
        started.disarm();
        Ok(Operator { addresses, store, running, _admin: admin, traces: Some(traces) })
    }

    /// Reads the configuration file again and puts it in force without ending sessions.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing is changed then.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.running.reload().await
    }

    /// The configuration in force, and the next ones as they come.
    pub fn configurations(&self) -> watch::Receiver<Arc<Config>> {
        self.running.configs.subscribe()
    }

    /// The white list in force.
    pub fn white_list(&self) -> Arc<Keeper> {
        self.running.trusted().white_list
    }

    /// Has what we go by fetched when asked to.
    pub fn refresher(&self) -> Refresher {
        Refresher(Arc::downgrade(&self.running))
    }

    /// Waits until the administrator asks for a stop on the socket.
    pub async fn stop_asked(&self) {
        self.running.stop_asked.cancelled().await;
    }

    /// Stops: no new connections; idle sessions are told goodbye, what is under way has `stop.shutdown_grace_seconds` to end, then it is
    /// cut off; the store closes.
    pub async fn stop(mut self) {
        let running = self.running.clone();
        running.drain.cancel();
        running.tasks.close();
        let grace = Duration::from_secs(*running.config().stop.shutdown_grace_seconds.get_ref());
        if tokio::time::timeout(grace, running.tasks.wait()).await.is_err() {
            tracing::warn!(sessions = running.tasks.len(), "sessions and attempts under way are cut off");
            running.shutdown.cancel();
            if tokio::time::timeout(CUT_OFF, running.tasks.wait()).await.is_err() {
                tracing::warn!(sessions = running.tasks.len(), "sessions did not end in time");
            }
        }
        running.shutdown.cancel();
        running.over.cancel();
        self.store.close().await;
        if let Some(traces) = self.traces.take() {
            // The monitoring's last answer holds the tracer too, and sessions that did not end: do not wait for them.
            let done = tokio::task::spawn_blocking(move || traces.join());
            let quiet = running.tasks.is_empty();
            running.tracer.stop();
            if quiet {
                let _ = tokio::time::timeout(CUT_OFF, done).await;
            }
        }
    }
}

impl Running {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.configs.borrow().clone()
    }

    /// Whom we trust now.
    pub(crate) fn trusted(&self) -> Trusted {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Set before the ports open, and nobody asks before.
        current.clone().expect("the operator has started")
    }

    /// Puts a generation in force.
    fn take(&self, generation: Generation, config: &Config) -> Result<(), StartError> {
        let Generation { trusted, queue, behind } = generation;
        if let Some(doors) = self.doors.get() {
            doors.replace(behind, config).map_err(setting("TLS"))?;
        }
        self.queue.reconfigure(queue);
        self.rates.set(config.rates.clone());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(trusted);
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // A stop has done all this already. Without one, tasks end by themselves.
        self.running.drain.cancel();
        self.running.shutdown.cancel();
        self.running.over.cancel();
        self.running.tracer.stop();
    }
}

/// Makes a folder that nobody else may look into; one that is there keeps its rights.
fn private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens the store on a blocking thread: an upgrade of its schema may take a while.
async fn open_store(folder: PathBuf, keys: crate::config::StoreKeys) -> Result<Arc<dyn Store>, StartError> {
    let shown = folder.display().to_string();
    let opened = tokio::task::spawn_blocking(move || Sqlite::open_with(&folder, keys.options()?))
        .await
        .map_err(setting("the store"))?;
    match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(StartError::Store { folder: shown, error }),
    }
}

fn seconds_of_hours(hours: u64) -> i64 {
    i64::try_from(hours.saturating_mul(3600)).unwrap_or(i64::MAX)
}

fn upkeep(running: &Arc<Running>) {
    let (store, clock, stop) = (running.store.clone(), running.clock.clone(), running.drain.clone());
    running.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP) => {}
            }
            if let Err(error) = store.maintain(crate::access::seconds(clock.as_ref())).await {
                tracing::warn!("upkeep of the store: {error}");
            }
        }
    });
}
