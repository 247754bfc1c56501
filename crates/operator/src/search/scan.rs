//! Reading what the index does not know, until it is judged or the time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mail::mime::Structure;
use mail::sought::Sought;
use search::{Document, Reading, Scan};
use store::{MailboxId, Store, StoreError};
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
    /// Judges bodies in their order: one at least, then as many as time allows.
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
        // However late it is, the first body is judged.
        while Instant::now() < self.until || first && verdicts.is_empty() {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = self.bodies.get(position) else { break };
            let has = runtime.block_on(scan_one(&*self.store, self.mailbox, *body, &self.sought))?;
            // A message that is gone has nothing.
            verdicts.push((position, has.unwrap_or_else(|| vec![false; self.sought.len()])));
        }
        Ok(verdicts)
    }
}

async fn structure(store: &dyn Store, mailbox: MailboxId, body: u64) -> store::Result<Option<Structure>> {
    let Some(Some(encoded)) = store.structures(mailbox, &[body]).await?.pop() else { return Ok(None) };
    let decoded = Structure::decode(&encoded);
    decoded.map(Some).map_err(|error| StoreError::Io(format!("a stored structure cannot be read: {error}")))
}

async fn scan_one(
    store: &dyn Store,
    mailbox: MailboxId,
    body: u64,
    sought: &[Sought],
) -> store::Result<Option<Vec<bool>>> {
    let Some(structure) = structure(store, mailbox, body).await? else { return Ok(None) };
    let Some(octets) = store.body(mailbox, body).await? else { return Ok(None) };
    let mut scan = Scan::new(&structure, sought);
    while let Some(wanted) = scan.wanted() {
        // A piece is some tens of KiB.
        scan.push(&octets.read(wanted.start, (wanted.end - wanted.start) as usize).await?);
    }
    Ok(Some(scan.finish()))
}

/// The document of a body, `None` when it is gone.
pub(super) async fn document(store: &dyn Store, mailbox: MailboxId, body: u64) -> store::Result<Option<Document>> {
    let Some(structure) = structure(store, mailbox, body).await? else { return Ok(None) };
    let Some(octets) = store.body(mailbox, body).await? else { return Ok(None) };
    let mut reading = Reading::new(&structure);
    while let Some(wanted) = reading.wanted() {
        reading.push(&octets.read(wanted.start, (wanted.end - wanted.start) as usize).await?);
    }
    Ok(Some(reading.finish()))
}
