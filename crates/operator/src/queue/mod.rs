//! The outgoing queue: what is to be relayed, when, and by how many connections (OPE-QUEUE).
//!
//! The store holds the truth; here is only the timetable, made again from the store at start. One dispatcher gives due entries
//! to the lane of their domain; a lane has a few workers, each with a connection it keeps while there is work.
//!
//! Invariants: an entry is in the hands of at most one worker per domain at a time; what an attempt changes is one commit, and
//! only then is the next attempt planned; stopping loses nothing, since nothing lives here alone.
//!
//! * [`attempt`]: one attempt for the recipients of one entry in one domain;
//! * [`route`]: where a domain's servers are;
//! * [`schedule`]: when to try again.

mod attempt;
mod connection;
mod reader;
pub mod route;
pub mod schedule;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mssante::Domain;
use smtp::client::Settings;
use store::{QueueId, Store};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use trust::clock::Clock;
use trust::white_list::Keeper;

use crate::access::seconds;
use crate::traces::Tracer;
use connection::Connections;
use route::Router;
use schedule::Schedule;

/// How often the clock is looked at: a test's clock moves without telling.
const TICK: Duration = Duration::from_millis(500);
/// An idle worker keeps its connection this long for the next message to the same domain.
const LINGER: Duration = Duration::from_secs(2);
/// Before an entry whose attempt panicked is tried again, in seconds.
const AFTER_PANIC: i64 = 600;

/// What the queue needs.
pub struct QueueConfig {
    /// Where entries are.
    pub store: Arc<dyn Store>,
    /// Who may be written to, and who may answer for them.
    pub white_list: Arc<Keeper>,
    /// Finds servers.
    pub router: Router,
    /// Our name, certificate and time-outs.
    pub settings: Settings,
    /// Where connections leave from.
    pub hostname: String,
    /// When to try again.
    pub schedule: Schedule,
    /// Connections at once to one domain.
    pub connections_per_domain: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where traces go.
    pub tracer: Tracer,
    /// Ends the refreshing of the list when nobody goes by it any more.
    pub trusted: Arc<DropGuard>,
}

/// Tells the queue of new entries. Cheap to clone.
#[derive(Clone)]
pub struct QueueHandle(mpsc::UnboundedSender<Event>);

impl QueueHandle {
    /// Other settings, for the connections to come; attempts under way keep theirs.
    pub fn reconfigure(&self, config: QueueConfig) {
        let _ = self.0.send(Event::Reconfigured(Box::new(config)));
    }

    /// A new entry is in the store, for recipients in these domains.
    pub fn added(&self, id: QueueId, mut domains: Vec<Domain>, now: i64) {
        domains.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        domains.dedup();
        for domain in domains {
            // The queue is gone only when the process is going: the entry is in the store and is found at the next start.
            let _ = self.0.send(Event::Added { at: now, id, domain });
        }
    }
}

enum Event {
    /// A new entry, to be tried at a moment (seconds since 1970).
    Added { at: i64, id: QueueId, domain: Domain },
    /// An attempt is over; when the next one is, if any.
    Over { again: Option<i64>, id: QueueId, domain: Domain },
    /// A worker asks for work for its domain.
    Ask { domain: Domain, answer: tokio::sync::oneshot::Sender<QueueId> },
    /// There are other settings.
    Reconfigured(Box<QueueConfig>),
    /// A worker went without having been given work.
    Gone { domain: Domain },
}

/// When what is tried. An entry accepted while the store is being read at start is both read and told of: it is planned once.
#[derive(Default)]
struct Timetable {
    waiting: BinaryHeap<Reverse<(i64, QueueId, String)>>,
    /// Waiting, or in the hands of a worker.
    known: HashSet<(QueueId, String)>,
}

impl Timetable {
    fn plan(&mut self, at: i64, id: QueueId, domain: String) {
        if self.known.insert((id, domain.clone())) {
            self.waiting.push(Reverse((at, id, domain)));
        }
    }

    fn over(&mut self, again: Option<i64>, id: QueueId, domain: String) {
        self.known.remove(&(id, domain.clone()));
        if let Some(at) = again {
            self.plan(at, id, domain);
        }
    }

    /// The next entry that is due.
    fn due(&mut self, now: i64) -> Option<(QueueId, String)> {
        if self.waiting.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, id, domain))| (id, domain))
    }
}

/// The waiting entries of one domain.
#[derive(Default)]
struct Lane {
    ready: VecDeque<QueueId>,
    /// Workers alive.
    workers: usize,
    /// Workers waiting for work.
    asking: VecDeque<tokio::sync::oneshot::Sender<QueueId>>,
}

/// Makes the handle and the queue, to be run with [`Queue::run`].
pub fn queue() -> (QueueHandle, Queue) {
    let (sender, events) = mpsc::unbounded_channel();
    (QueueHandle(sender.clone()), Queue { sender, events })
}

/// The dispatcher.
pub struct Queue {
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Queue {
    /// Runs until `drain`: first takes what the store holds, then what comes. Attempts under way are finished, unless `cut_off` comes
    /// first: their entries stay in the store and are tried again at the next start.
    pub async fn run(mut self, config: QueueConfig, drain: CancellationToken, cut_off: CancellationToken) {
        let shutdown = Stopping { drain, cut_off };
        let mut config = Arc::new(config);
        let mut timetable = Timetable::default();
        let mut lanes: HashMap<String, Lane> = HashMap::new();
        let workers = TaskTracker::new();
        self.load(&config, &mut timetable, &shutdown.drain).await;
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = shutdown.drain.cancelled() => break,
                _ = tick.tick() => {}
                event = self.events.recv() => match event {
                    Some(Event::Added { at, id, domain }) => timetable.plan(at, id, domain.to_string()),
                    Some(Event::Over { again, id, domain }) => timetable.over(again, id, domain.to_string()),
                    Some(Event::Reconfigured(new)) => {
                        config = Arc::from(new);
                        // Workers hold connections made with the former settings: those who wait go, and others are hired.
                        lanes.values_mut().for_each(|lane| lane.asking.clear());
                    }
                    Some(Event::Ask { domain, answer }) => {
                        let lane = lanes.entry(domain.to_string()).or_default();
                        hand_out(lane, answer);
                    }
                    Some(Event::Gone { domain }) => {
                        if let Some(lane) = lanes.get_mut(domain.as_str()) {
                            lane.workers -= 1;
                            // Work that came just as the worker left still needs one.
                            if lane.workers == 0 && !lane.ready.is_empty() {
                                lane.workers = 1;
                                self.hire(domain, &config, &workers, &shutdown);
                            } else if lane.workers == 0 {
                                lanes.remove(domain.as_str());
                            }
                        }
                    }
                    // We hold a sender ourselves.
                    None => break,
                },
            }
            let now = seconds(config.clock.as_ref());
            while let Some((id, name)) = timetable.due(now) {
                let lane = lanes.entry(name.clone()).or_default();
                lane.ready.push_back(id);
                while !lane.ready.is_empty()
                    && let Some(answer) = lane.asking.pop_front()
                {
                    hand_out(lane, answer);
                }
                if !lane.ready.is_empty() && lane.workers < config.connections_per_domain {
                    let Ok(domain) = name.parse::<Domain>() else { continue };
                    lane.workers += 1;
                    self.hire(domain, &config, &workers, &shutdown);
                }
            }
        }
        // Askers learn that there is no more work; whoever is in an attempt ends it.
        lanes.clear();
        workers.close();
        workers.wait().await;
    }

    /// Everything the store still has, retried until the store answers.
    async fn load(&self, config: &QueueConfig, timetable: &mut Timetable, shutdown: &CancellationToken) {
        loop {
            match config.store.queue().await {
                Ok(entries) => {
                    for entry in entries {
                        let mut due: HashMap<&str, i64> = HashMap::new();
                        for recipient in &entry.recipients {
                            let at = due.entry(recipient.address.domain().as_str()).or_insert(recipient.next_attempt);
                            *at = (*at).min(recipient.next_attempt);
                        }
                        for (domain, at) in due {
                            timetable.plan(at, entry.id, domain.to_owned());
                        }
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!("the queue cannot be read: {error}");
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(5)) => {}
                    }
                }
            }
        }
    }

    fn hire(&self, domain: Domain, config: &Arc<QueueConfig>, workers: &TaskTracker, shutdown: &Stopping) {
        let worker = Worker { domain, config: config.clone(), events: self.sender.clone(), shutdown: shutdown.clone() };
        workers.spawn(worker.run());
    }
}

/// Gives an asking worker the next entry, or keeps its question. A worker that stopped asking leaves the entry in the lane.
fn hand_out(lane: &mut Lane, answer: tokio::sync::oneshot::Sender<QueueId>) {
    match lane.ready.pop_front() {
        None => lane.asking.push_back(answer),
        Some(id) => {
            if answer.send(id).is_err() {
                lane.ready.push_front(id);
            }
        }
    }
}

/// How the queue is stopped.
#[derive(Clone)]
struct Stopping {
    /// Nothing new is begun.
    drain: CancellationToken,
    /// Nothing is gone on with.
    cut_off: CancellationToken,
}

/// Carries one domain's mail over one connection.
struct Worker {
    domain: Domain,
    config: Arc<QueueConfig>,
    events: mpsc::UnboundedSender<Event>,
    shutdown: Stopping,
}

/// Says that a worker is gone, however it goes: a panic in an attempt must not leave its lane without one.
struct Leave(Domain, mpsc::UnboundedSender<Event>);

impl Drop for Leave {
    fn drop(&mut self) {
        let _ = self.1.send(Event::Gone { domain: self.0.clone() });
    }
}

/// Says that an attempt is over, however it ends: an entry must not be forgotten until the next start.
struct Over {
    again: Option<i64>,
    id: QueueId,
    domain: Domain,
    events: mpsc::UnboundedSender<Event>,
}

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Over { again: self.again, id: self.id, domain: self.domain.clone() });
    }
}

impl Worker {
    async fn run(self) {
        let leave = Leave(self.domain.clone(), self.events.clone());
        let mut connections = Connections::default();
        loop {
            let (answer, mut question) = tokio::sync::oneshot::channel();
            if self.events.send(Event::Ask { domain: self.domain.clone(), answer }).is_err() {
                break;
            }
            let id = tokio::select! {
                () = self.shutdown.drain.cancelled() => break,
                id = &mut question => match id {
                    Ok(id) => id,
                    Err(_) => break,
                },
                () = tokio::time::sleep(LINGER) => {
                    // Work may have been given in this very moment: once closed, either it is here or the lane keeps it.
                    question.close();
                    match question.try_recv() {
                        Ok(id) => id,
                        Err(_) => break,
                    }
                }
            };
            // Should the attempt panic, its entry is tried again: the pause keeps it from doing so all the time.
            let later = seconds(self.config.clock.as_ref()) + AFTER_PANIC;
            let mut over = Over { again: Some(later), id, domain: self.domain.clone(), events: self.events.clone() };
            over.again = tokio::select! {
                again = attempt::attempt(&self.config, &mut connections, id, &self.domain) => again,
                () = self.shutdown.cut_off.cancelled() => return,
            };
        }
        connections.quit().await;
        drop(leave);
    }
}
