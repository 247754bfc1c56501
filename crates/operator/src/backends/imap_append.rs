//! APPEND, MULTIAPPEND and REPLACE over the store: messages stream to spools, then all are committed at once or none.
//!
//! Invariant: what waits for the commit takes at most [`HELD`] octets of memory and one message's own buffer; the rest lies in
//! spool files.

use std::sync::Arc;

use async_trait::async_trait;
use imap::backend::{Append, Failure, NewMessage, Result};
use mail::{FolderName, Rights, Uid, UidValidity};
use store::{Commit, Committed, Content, Delivered, FolderId, MailboxId, Store, Target};
use trust::clock::Clock;

use super::imap::{Traced, failure};
use super::incoming::Streamed;
use crate::access::seconds;
use crate::traces::Action;

/// Octets of messages held in memory while others of the same command come.
const HELD: u64 = 1024 * 1024;

/// What receives messages for a session.
#[derive(Clone)]
pub(super) struct Receiving {
    pub(super) store: Arc<dyn Store>,
    pub(super) mailbox: MailboxId,
    /// The largest message, in octets.
    pub(super) limit: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) traced: Traced,
}

/// Messages on their way in.
pub(super) struct StoreAppend {
    receiving: Receiving,
    /// The message that goes.
    replaced: Option<(FolderId, Uid)>,
    folder: FolderName,
    /// What the session may do there: flags that may not be set are left out (RFC 4314 §4).
    rights: Rights,
    /// The message that comes, octets so far.
    current: Option<(Streamed, Target, u64)>,
    whole: Vec<(Content, Target)>,
    held: u64,
}

impl StoreAppend {
    /// Nothing received yet.
    pub(super) fn new(
        receiving: &Receiving,
        replaced: Option<(FolderId, Uid)>,
        folder: &FolderName,
        rights: Rights,
    ) -> Self {
        StoreAppend {
            receiving: receiving.clone(),
            replaced,
            folder: folder.clone(),
            rights,
            current: None,
            whole: Vec::new(),
            held: 0,
        }
    }

    /// The message that came is whole. `more`: others come, so that it may have to wait outside memory.
    async fn end(&mut self, more: bool) -> Result<()> {
        let Some((mut streamed, target, size)) = self.current.take() else { return Ok(()) };
        if more && self.held + size > HELD {
            streamed.spill().await.map_err(failure)?;
        } else {
            self.held += size;
        }
        self.whole.push((streamed.finish().await.map_err(failure)?, target));
        Ok(())
    }

    async fn make_durable(&mut self) -> Result<(UidValidity, Vec<Uid>)> {
        let Receiving { store, mailbox, clock, .. } = &self.receiving;
        let saved_at = seconds(clock.as_ref());
        let mut commits: Vec<Commit> = self
            .whole
            .drain(..)
            .map(|(content, target)| Commit {
                content: Some(content),
                deliver: vec![target],
                saved_at,
                ..Commit::default()
            })
            .collect();
        let done: Vec<Committed> = match (self.replaced, commits.len()) {
            (Some((folder, uid)), 1) => {
                let by = commits.pop().unwrap_or_default();
                let done = store.replace(*mailbox, folder, uid, by).await.map_err(failure)?;
                vec![done.ok_or(Failure::Expunged)?]
            }
            (Some(_), _) => return Err(Failure::Cannot("one message takes the place of one")),
            (None, 1) => vec![store.commit(commits.pop().unwrap_or_default()).await.map_err(failure)?],
            (None, _) => store.commit_all(commits).await.map_err(failure)?,
        };
        let mut validity = None;
        let mut uids = Vec::with_capacity(done.len());
        for committed in done {
            match committed.delivered.first() {
                Some(Delivered::Message { uid_validity, uid }) => {
                    validity = Some(*uid_validity);
                    uids.push(*uid);
                }
                // Only a commit with a duplicate key can find one.
                Some(Delivered::Duplicate) | None => return Err(Failure::Unavailable),
            }
        }
        Ok((validity.ok_or(Failure::Cannot("no message was given"))?, uids))
    }
}

#[async_trait]
impl Append for StoreAppend {
    async fn begin(&mut self, message: NewMessage) -> Result<()> {
        self.end(true).await?;
        let target = Target {
            mailbox: self.receiving.mailbox,
            folder: self.folder.clone(),
            flags: message.flags.without(message.flags.without(self.rights.flags())),
            keywords: if self.rights.contains(Rights::WRITE) { message.keywords } else { Vec::new() },
            internal_date: message.internal_date.unwrap_or_else(|| seconds(self.receiving.clock.as_ref())),
        };
        self.current = Some((Streamed::new(self.receiving.store.spool()), target, 0));
        Ok(())
    }

    fn expect(&mut self, octets: u64) {
        if let Some((streamed, ..)) = &mut self.current {
            streamed.expect(octets);
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.receiving.traced.pace(piece.len() as u64).await;
        let Some((streamed, _, size)) = &mut self.current else { return Err(Failure::Unavailable) };
        *size += piece.len() as u64;
        if *size > self.receiving.limit {
            return Err(Failure::TooBig);
        }
        streamed.write(piece).await.map_err(failure)
    }

    async fn commit(mut self: Box<Self>) -> Result<(UidValidity, Vec<Uid>)> {
        self.end(false).await?;
        let size = self.whole.iter().map(|(content, _)| content.body.len()).sum();
        let outcome = self.make_durable().await;
        self.receiving.traced.record(Action::Append, &self.folder, Some(size), &outcome);
        outcome
    }
}
