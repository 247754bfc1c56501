//! An operator, put together from its configuration and running.
//!
//! Order of things: the store is opened and locked, what we trust is loaded (revocation lists, white list; a publisher that is
//! down delays nothing for long and refuses nobody for ever), the queue starts, then the ports open.

mod entrances;
mod setup;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use store::Store;
use store::sqlite::Sqlite;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::clock::SharedClock;
use trust::revocation::Revocation;
use trust::white_list::Keeper;

use crate::access::Access;
use crate::backends::Site;
use crate::backends::mx::Mx;
use crate::backends::submission::Submission;
use crate::config::Config;
use crate::queue::route::Router;
use crate::queue::schedule::Schedule;
use crate::queue::{QueueConfig, queue};
use crate::search::Searcher;
use crate::traces::Tracer;
use entrances::{Listeners, Opening};
use setup::{keeper, setup, verifier};

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

impl Operator {
    /// Starts everything the configuration asks for.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, clock: SharedClock) -> Result<Operator, StartError> {
        let data = &config.operator.data;
        private_folder(data).map_err(setting("the data folder"))?;
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
        let access = Access::new(store.clone(), verifier, clock.clone(), tracer.clone())
            .accept_server_certificates(config.sessions.app_server_certificates);
        let access = Arc::new(access);
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

        let site = Arc::new(Site {
            store: store.clone(),
            white_list: white_list.clone(),
            domains: config.domains().to_vec(),
            hostname: config.hostname().to_owned(),
            limit: *config.limits.message_octets.get_ref(),
            expire: seconds_of_hours(*relay.expire_hours.get_ref()),
            queue: handle,
            clock: clock.clone(),
            tracer: tracer.clone(),
        });
        let submission = Arc::new(Submission {
            site: site.clone(),
            access: access.clone(),
            patient_limit: config.limits.patient_message_octets,
        });
        let mx = Arc::new(Mx { site, header_from: config.mx.header_from });
        let searcher = Searcher::new(store.clone(), &data.join("search")).map_err(setting("the search folder"))?;
        searcher.start(&tasks, shutdown.clone());
        let addresses = listeners.addresses();
        let opening = Opening {
            setup: &setup,
            access,
            store: store.clone(),
            searcher,
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

/// Makes a folder that nobody else may look into; one that is there keeps its rights.
fn private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
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
