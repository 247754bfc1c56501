//! Following the store: a thread of low priority that indexes what arrived, merges, and drops what is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use search::{Document, Index};
use store::MailboxId;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::scan::{TOGETHER, documents};
use super::{Searcher, Slot};

/// How often the store is asked what arrived.
const TICK: Duration = Duration::from_secs(1);
/// A mailbox is indexed so long after something arrived: what comes within shares one segment. A search does not wait: what is
/// not indexed is read.
const DELAY: Duration = Duration::from_secs(4);
/// Documents of one batch.
const BATCH: usize = 500;
/// Octets of text after which a batch is closed: it is in memory, with its words.
const BATCH_TEXT: usize = 8 * 1024 * 1024;
/// Bodies asked of the store at once.
const PAGE: usize = 4096;
/// How often indexes are cleared of what is gone from the mailboxes, and those of mailboxes that are gone are removed.
const SWEEP: Duration = Duration::from_secs(3600);
/// The first sweep: soon, for what was deleted while nothing ran.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
/// The thread's niceness: it runs when delivery and sessions leave something.
const NICE: i32 = 15;

impl Searcher {
    /// Starts the indexer; it ends soon after `shutdown`, and `tasks` waits for it.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, shutdown: CancellationToken) {
        let (searcher, runtime) = (self.clone(), Handle::current());
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("search-index".to_owned()).spawn(move || {
            // On Linux this is the niceness of this thread alone. Without it, things work and are a little less polite.
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::warn!(%error, "searches are indexed as if it were urgent: the process may not set its niceness");
            }
            runtime.block_on(searcher.follow(&shutdown));
            drop(done);
        });
        match thread {
            Ok(_) => {
                tasks.spawn(async move {
                    let _ = ended.await;
                });
            }
            Err(error) => tracing::error!("searches are not indexed: {error}"),
        }
    }

    async fn follow(&self, shutdown: &CancellationToken) {
        let mut waiting: HashMap<MailboxId, Instant> = HashMap::new();
        let mut sweep = Instant::now() + FIRST_SWEEP;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            let now = Instant::now();
            for mailbox in self.store.arrivals() {
                waiting.entry(mailbox).or_insert(now + DELAY);
            }
            for mailbox in std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner)) {
                waiting.insert(mailbox, now);
            }
            let due: Vec<MailboxId> = waiting.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
            for mailbox in due {
                if shutdown.is_cancelled() {
                    return;
                }
                waiting.remove(&mailbox);
                if self.index_some(mailbox, shutdown).await {
                    // More is left: the others have their turn first.
                    waiting.insert(mailbox, Instant::now());
                    self.wake.notify_one();
                }
            }
            if Instant::now() >= sweep {
                self.sweep(shutdown).await;
                sweep = Instant::now() + SWEEP;
            }
        }
    }

    /// Indexes a batch of a mailbox; answers whether more is left.
    pub(super) async fn index_some(&self, mailbox: MailboxId, shutdown: &CancellationToken) -> bool {
        let (slot, Some(index)) = self.slot(mailbox).await else { return false };
        match self.batch(mailbox, &slot, &index, shutdown).await {
            Ok(more) => more,
            Err(why) => {
                tracing::warn!(mailbox = mailbox.0, "the search index does not follow: {why}");
                false
            }
        }
    }

    async fn batch(
        &self,
        mailbox: MailboxId,
        slot: &Slot,
        index: &Index,
        shutdown: &CancellationToken,
    ) -> Result<bool, super::Unavailable> {
        let losses = index.losses();
        if slot.losses.swap(losses, Ordering::Relaxed) != losses {
            slot.done.store(0, Ordering::Relaxed);
        }
        let mut done = slot.done.load(Ordering::Relaxed);
        let indexed = if done == 0 { index.bodies() } else { Vec::new() };
        let (mut documents, mut text, mut more) = (Vec::new(), 0, true);
        'pages: while more {
            let page = self.store.bodies_after(mailbox, done, PAGE).await?;
            more = page.len() == PAGE;
            for bodies in page.chunks(TOGETHER) {
                if shutdown.is_cancelled() {
                    return Ok(false);
                }
                if documents.len() >= BATCH || text >= BATCH_TEXT {
                    more = true;
                    break 'pages;
                }
                let new: Vec<u64> =
                    bodies.iter().copied().filter(|body| indexed.binary_search(body).is_err()).collect();
                for (body, document) in self.documents(mailbox, new).await {
                    text += document.size();
                    documents.push((body, document));
                }
                done = bodies.last().copied().unwrap_or(done);
            }
        }
        index.add(documents)?;
        slot.done.store(done, Ordering::Relaxed);
        // Only sweeping asks which bodies are left: an index entry that is too many answers nothing.
        while !shutdown.is_cancelled() && index.merge_some(&|_| true, false)? {}
        Ok(more)
    }

    /// The documents of those bodies that are there and can be read.
    async fn documents(&self, mailbox: MailboxId, bodies: Vec<u64>) -> Vec<(u64, Document)> {
        let there = |documents: Vec<Option<Document>>, bodies: Vec<u64>| {
            bodies.into_iter().zip(documents).filter_map(|(body, document)| Some((body, document?)))
        };
        if let Ok(documents) = documents(&*self.store, mailbox, &bodies).await {
            return there(documents, bodies).collect();
        }
        // One of them cannot be read: the others are.
        let mut found = Vec::with_capacity(bodies.len());
        for body in bodies {
            match documents(&*self.store, mailbox, &[body]).await {
                Ok(documents) => found.extend(there(documents, vec![body])),
                // It is scanned when it is searched, and the trouble is told then.
                Err(why) => tracing::warn!(mailbox = mailbox.0, "a message is not indexed: {why}"),
            }
        }
        found
    }

    /// Clears indexes of what is gone.
    pub(super) async fn sweep(&self, shutdown: &CancellationToken) {
        let mailboxes = match self.store.mailboxes().await {
            Ok(mailboxes) => mailboxes,
            Err(why) => return tracing::warn!("search indexes are not swept: {why}"),
        };
        for orphan in self.indexed_mailboxes() {
            if !mailboxes.iter().any(|m| m.id == orphan) {
                self.forget(orphan).await;
            }
        }
        for mailbox in mailboxes.into_iter().map(|m| m.id) {
            if shutdown.is_cancelled() {
                return;
            }
            if !self.folder_of(mailbox).is_dir() {
                continue;
            }
            if let Err(why) = self.tidy(mailbox, shutdown).await {
                tracing::warn!(mailbox = mailbox.0, "a search index is not swept: {why}");
            }
        }
    }

    fn indexed_mailboxes(&self) -> Vec<MailboxId> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok().map(MailboxId)).collect()
    }

    async fn tidy(&self, mailbox: MailboxId, shutdown: &CancellationToken) -> Result<(), super::Unavailable> {
        let (_slot, Some(index)) = self.slot(mailbox).await else { return Ok(()) };
        // Those indexed before the store is asked: what arrives meanwhile is not taken for gone.
        let indexed = index.bodies();
        let Some(newest) = indexed.last().copied() else { return Ok(()) };
        let mut left: Vec<u64> = Vec::new();
        loop {
            let page = self.store.bodies_after(mailbox, left.last().copied().unwrap_or(0), PAGE).await?;
            let full = page.len() == PAGE;
            left.extend(page);
            if !full {
                break;
            }
        }
        let alive = |body: u64| body > newest || left.binary_search(&body).is_ok();
        while !shutdown.is_cancelled() && index.merge_some(&alive, true)? {}
        Ok(())
    }
}
