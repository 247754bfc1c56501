//! The servers: one listener for each door, sessions within limits.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::ssl::SslContext;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::SharedClock;
use trust::dn::Dn;
use trust::revocation::Revocation;
use trust::tls::Anchors;

use super::answer::{MAX_ANSWERS, Route};
use super::archive::Archive;
use super::boxes::Door;
use super::talk;
use super::tls::{self, Judge, Presented};
use crate::wire::Shown;

/// Connections at once to all doors.
const MAX_CONNECTIONS: usize = 300;
/// Connections at once from one address: an operator delivers by a few, campaigns use all doors side by side.
const MAX_PER_ADDRESS: usize = 60;
/// Runs whose attempts are counted; the oldest are forgotten.
const MAX_COUNTS: usize = 20_000;
/// Pause of [`super::Act::Slow`] before each answer, where time matters not (control.md §5.5).
pub const SLOW: Duration = Duration::from_secs(60);

/// The domains the white list gives to a name; none when there is no list.
pub type Listed = Arc<dyn Fn(&Dn) -> Option<Vec<String>> + Send + Sync>;

/// Why the traps cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TrapError {
    /// A certificate, a key, or what OpenSSL of this machine does not let one do.
    #[error("the trap {door}: {error}")]
    Tls {
        /// Which door.
        door: &'static str,
        /// Why.
        error: openssl::error::ErrorStack,
    },
}

/// What all doors share.
pub struct Settings {
    /// The domain of the traps; doors of their own are below it.
    pub domain: String,
    /// Authorities of the peers' certificates.
    pub anchors: Anchors,
    /// Their revocation.
    pub revocation: Arc<Revocation>,
    /// What the white list gives to a name.
    pub listed: Listed,
    /// Tells the time.
    pub clock: SharedClock,
    /// Where the answers of the traps that answer go.
    pub route: Route,
    /// Pause of the slow trap before each answer: [`SLOW`].
    pub slow: Duration,
    /// Where sessions are kept.
    pub archive: Arc<Archive>,
}

/// A door to be opened.
pub struct Entrance {
    /// Which.
    pub door: Door,
    /// Its host name, said in the greeting.
    pub host: String,
    /// What it shows.
    pub presented: Presented,
    /// Where it listens.
    pub listener: TcpListener,
}

/// What sessions share.
pub(super) struct House {
    pub(super) domain: String,
    pub(super) judge: Judge,
    pub(super) clock: SharedClock,
    pub(super) slow: Duration,
    pub(super) archive: Arc<Archive>,
    pub(super) route: Route,
    /// Who answers: the usual door.
    pub(super) voice: Option<Voice>,
    /// Room for answers.
    pub(super) answers: Arc<Semaphore>,
    counts: Mutex<Counts>,
    callers: Mutex<HashMap<IpAddr, usize>>,
}

/// How often each trap was tried in each run.
#[derive(Default)]
struct Counts {
    tried: HashMap<(&'static str, String), u32>,
    order: VecDeque<(&'static str, String)>,
}

/// Who answers.
pub(super) struct Voice {
    pub(super) host: String,
    pub(super) shown: Shown,
}

/// One open door.
pub(super) struct Room {
    pub(super) door: Door,
    pub(super) host: String,
    pub(super) context: SslContext,
}

impl House {
    /// Counts an attempt, and tells how many there were before.
    pub(super) fn count(&self, trap: &'static str, run: &str) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (trap, run.to_owned());
        if !counts.tried.contains_key(&key) {
            if counts.order.len() == MAX_COUNTS
                && let Some(oldest) = counts.order.pop_front()
            {
                counts.tried.remove(&oldest);
            }
            counts.order.push_back(key.clone());
        }
        let tried = counts.tried.entry(key).or_insert(0);
        *tried += 1;
        *tried - 1
    }

    fn enter(&self, peer: IpAddr) -> bool {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = callers.values().sum();
        let own = callers.entry(peer).or_insert(0);
        let may = all < MAX_CONNECTIONS && *own < MAX_PER_ADDRESS;
        *own += usize::from(may);
        may
    }

    fn leave(&self, peer: IpAddr) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = callers.get_mut(&peer) {
            *own -= 1;
            if *own == 0 {
                callers.remove(&peer);
            }
        }
    }
}

/// A connection counted, until it is dropped.
struct Counted(Arc<House>, IpAddr);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Opens the doors. They are served until `shutdown`; the tracker then waits for the sessions under way, which end at once and are kept.
///
/// # Errors
/// [`TrapError`]: nothing is served then.
pub fn serve(
    entrances: Vec<Entrance>,
    settings: Settings,
    shutdown: &CancellationToken,
) -> Result<TaskTracker, TrapError> {
    let (mut rooms, mut voice) = (Vec::new(), None);
    for Entrance { door, host, presented, listener } in entrances {
        if door == Door::Usual {
            voice = Some(Voice { host: host.clone(), shown: presented.to_show() });
        }
        let context = tls::context(door, &presented, &settings.anchors);
        let context = context.map_err(|error| TrapError::Tls { door: door.name(), error })?;
        rooms.push((Arc::new(Room { door, host, context }), listener));
    }
    let Settings { domain, anchors, revocation, listed, clock, route, slow, archive } = settings;
    let house = Arc::new(House {
        domain: domain.to_ascii_lowercase(),
        judge: Judge { anchors, revocation, listed },
        clock,
        slow,
        archive,
        route,
        voice,
        answers: Arc::new(Semaphore::new(MAX_ANSWERS)),
        counts: Mutex::default(),
        callers: Mutex::default(),
    });
    let tasks = TaskTracker::new();
    for (room, listener) in rooms {
        tasks.spawn(listen(listener, room, house.clone(), tasks.clone(), shutdown.clone()));
    }
    tasks.close();
    Ok(tasks)
}

async fn listen(
    listener: TcpListener,
    room: Arc<Room>,
    house: Arc<House>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if house.enter(peer.ip()) => {
                let counted = Counted(house.clone(), peer.ip());
                let (room, house, shutdown) = (room.clone(), house.clone(), shutdown.clone());
                tasks.spawn(async move {
                    talk::session(stream, peer.ip(), &room, &house, shutdown).await;
                    drop(counted);
                });
            }
            // Closed: whoever delivers mail comes back.
            Ok((_, peer)) => tracing::warn!(peer = %peer.ip(), "too many connections to the traps"),
            Err(error) => {
                tracing::warn!("a trap could not take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
