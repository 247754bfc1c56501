//! Reading what the index does not know, until it is judged or the time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mail::mime::Structure;
use mail::sought::Sought;
use search::{Document, Reading, Scan};
use store::{Body, MailboxId, Store, StoreError};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{SCANNERS, Searcher};

/// What was read.
pub(super) struct Scanned {
    /// The place of the first body that was not judged; `None` when all were.
    pub(super) next: Option<usize>,
    /// For each text, the places of bodies that have it.
    pub(super) matching: Vec<Vec<usize>>,
}

/// What one thread judged.
type Verdicts = Vec<(usize, Vec<bool>)>;

impl Searcher {
    /// Judges bodies in their order: the first few at least, then as many as time allows.
    pub(super) async fn scan(
        &self,
        mailbox: MailboxId,
        sought: &[Sought],
        bodies: Vec<u64>,
        until: Instant,
    ) -> store::Result<Scanned> {
        let job = Arc::new(Job {
            store: self.store.clone(),
            mailbox,
            sought: sought.to_vec(),
            bodies,
            next: AtomicUsize::new(0),
            until,
        });
        let mut threads = tokio::task::JoinSet::new();
        for thread in 0..SCANNERS {
            // The first waits for its turn; more only when nobody else searches.
            let turn = match thread {
                0 => self.scanners.clone().acquire_owned().await.ok(),
                _ => self.scanners.clone().try_acquire_owned().ok(),
            };
            let Some(turn) = turn.filter(|_| thread < job.bodies.len()) else { break };
            let (job, runtime) = (job.clone(), Handle::current());
            threads.spawn_blocking(move || {
                let _turn = turn;
                job.run(&runtime, thread == 0)
            });
        }
        let mut judged = vec![false; job.bodies.len()];
        let mut matching = vec![Vec::new(); sought.len()];
        while let Some(done) = threads.join_next().await {
            let verdicts = done.map_err(|e| StoreError::Io(format!("a searching thread ended: {e}")))??;
            for (position, verdict) in verdicts {
                judged[position] = true;
                for (matching, _) in matching.iter_mut().zip(&verdict).filter(|(_, has)| **has) {
                    matching.push(position);
                }
            }
        }
        Ok(Scanned { next: judged.iter().position(|judged| !judged), matching })
    }
}

/// Bodies to be read by several threads.
struct Job {
    store: Arc<dyn Store>,
    mailbox: MailboxId,
    sought: Vec<Sought>,
    bodies: Vec<u64>,
    next: AtomicUsize,
    until: Instant,
}

impl Job {
    fn run(&self, runtime: &Handle, first: bool) -> store::Result<Verdicts> {
        let mut verdicts = Vec::new();
        // However late it is, the first bodies are judged.
        while Instant::now() < self.until || first && verdicts.is_empty() {
            let position = self.next.fetch_add(TOGETHER, Ordering::Relaxed);
            let Some(bodies) = self.bodies.get(position..).filter(|left| !left.is_empty()) else { break };
            let bodies = &bodies[..bodies.len().min(TOGETHER)];
            for (place, opened) in runtime.block_on(open(&*self.store, self.mailbox, bodies))?.into_iter().enumerate() {
                let has = match opened {
                    Some(opened) => runtime.block_on(scan(opened, &self.sought))?,
                    // A message that is gone has nothing.
                    None => vec![false; self.sought.len()],
                };
                verdicts.push((position + place, has));
            }
        }
        Ok(verdicts)
    }
}

/// Messages opened at once: each time the store is asked costs two changes of threads and a transaction, which is as much as a message of a few KiB
/// does. So many of the largest that are not in files of their own take a few MiB.
pub(super) const TOGETHER: usize = 16;

/// A message to be read: its structure and its octets.
type Opened = (Structure, Body);

/// Messages, each `None` when it is gone.
async fn open(store: &dyn Store, mailbox: MailboxId, bodies: &[u64]) -> store::Result<Vec<Option<Opened>>> {
    let (structures, octets) = (store.structures(mailbox, bodies).await?, store.bodies(mailbox, bodies).await?);
    let both = structures.into_iter().zip(octets).map(|both| {
        let (Some(encoded), Some(octets)) = both else { return Ok(None) };
        let structure = Structure::decode(&encoded)
            .map_err(|error| StoreError::Io(format!("a stored structure cannot be read: {error}")))?;
        Ok(Some((structure, octets)))
    });
    both.collect()
}

async fn scan(opened: Opened, sought: &[Sought]) -> store::Result<Vec<bool>> {
    let (structure, octets) = opened;
    let mut scan = Scan::new(&structure, sought);
    while let Some(wanted) = scan.wanted() {
        // A piece is some tens of KiB.
        scan.push(&octets.read(wanted.start, (wanted.end - wanted.start) as usize).await?);
    }
    Ok(scan.finish())
}

/// The documents of bodies, each `None` when it is gone.
pub(super) async fn documents(
    store: &dyn Store,
    mailbox: MailboxId,
    bodies: &[u64],
) -> store::Result<Vec<Option<Document>>> {
    let mut documents = Vec::with_capacity(bodies.len());
    if bodies.is_empty() {
        // At a start most are indexed already: the store is not asked for nothing.
        return Ok(documents);
    }
    for opened in open(store, mailbox, bodies).await? {
        let Some((structure, octets)) = opened else {
            documents.push(None);
            continue;
        };
        let mut reading = Reading::new(&structure);
        while let Some(wanted) = reading.wanted() {
            reading.push(&octets.read(wanted.start, (wanted.end - wanted.start) as usize).await?);
        }
        documents.push(Some(reading.finish()));
    }
    Ok(documents)
}
