//! Mailboxes (BAL) made durable.
//!
//! One trait, [`Store`], and several engines behind it that one suite of contract tests ([`contract`]) holds to the same
//! behaviour: [`sqlite`] (embedded, durable) and [`memory`] (tests).
//!
//! Invariants every engine keeps:
//! * **Durable means on disk before the answer.** A method that returns `Ok` has its effect on disk, synced. One that
//!   returns `Err` has no effect at all.
//! * **One commit, one truth.** UID, MODSEQ, quota, queue and body of one [`Commit`] are written together or not at all;
//!   a [`View`](mail::View) is published after the commit it shows and in the order of the commits, so that nobody ever
//!   sees UID 12 before UID 10.
//! * The exception to "no effect at all": marks, moves and expunges of more than [`limits::BULK`] messages are several commits,
//!   and an error may leave those before it done. Each message is changed whole, a copy is one commit.
//! * UIDs and MODSEQs are never given twice, crashes included; UIDVALIDITY changes when a folder of the same name is made anew.
//! * A full disk is [`StoreError::Full`], acknowledges nothing, and is over as soon as there is room: no restart.
//! * Every table's key starts with the mailbox id (design decision 2), so that a BAL can move to another shard or be erased.
#![deny(missing_docs)]

pub mod body;
pub mod contract;
#[doc(hidden)]
pub mod counted;
mod crypt;
mod error;
pub mod keys;
pub mod limits;
pub mod memory;
pub mod model;
pub mod opening;
pub mod sharing;
pub mod sqlite;
mod statistics;
mod views;

use std::sync::Arc;

use async_trait::async_trait;
use mail::{FolderName, ModSeq, Rights, SpecialUse, Uid, View};
use mssante::{Address, NationalId};
use tokio::sync::watch;

pub use body::{Body, Spool, Spooled};
pub use error::StoreError;
pub use model::*;
pub use opening::{Opening, Reading};
pub use sharing::{AccessEntry, Annotation, AnnotationChange, Grantee, Scope};
pub use statistics::Statistics;

/// What every method answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Mailboxes, their mail and the outgoing queue, made durable.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // --- the register of mailboxes -------------------------------------------------------------------------------

    /// Opens a mailbox with INBOX and the special-use folders of [`DEFAULT_FOLDERS`], all subscribed.
    async fn create_mailbox(&self, new: NewMailbox) -> Result<MailboxId>;
    /// The mailbox of an address (compared as addresses are), if any. Reads what is on disk: another process may write it.
    async fn mailbox(&self, address: &Address) -> Result<Option<Mailbox>>;
    /// All mailboxes in the order of their addresses.
    async fn mailboxes(&self) -> Result<Vec<Mailbox>>;
    /// Erases a mailbox and all its mail. What it sent and was accepted stays in the queue until it is settled.
    async fn delete_mailbox(&self, id: MailboxId) -> Result<()>;
    /// Changes a quota.
    async fn set_quota(&self, id: MailboxId, quota: Quota) -> Result<()>;
    /// Gives a person a right; the same person and role replaces the earlier one (BAL-ROLES).
    async fn grant(&self, id: MailboxId, right: Right) -> Result<()>;
    /// Ends every right of a person on a mailbox at `at` (seconds since 1970); the row stays as a trace.
    async fn revoke(&self, id: MailboxId, person: &NationalId, at: i64) -> Result<()>;
    /// Every right on a mailbox, ended ones included.
    async fn rights(&self, id: MailboxId) -> Result<Vec<Right>>;
    /// Notes that a user opened the mailbox at `at` (MSS-14, MSS-19). Kept at most one minute behind; may be lost by a crash.
    async fn note_authentication(&self, id: MailboxId, at: i64) -> Result<()>;

    // --- folders -------------------------------------------------------------------------------------------------

    /// Every folder of a mailbox, by name.
    async fn folders(&self, mailbox: MailboxId) -> Result<Vec<Folder>>;
    /// One folder of a mailbox, if there is one of that name: what every APPEND asks.
    async fn folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<Option<Folder>> {
        Ok(self.folders(mailbox).await?.into_iter().find(|folder| folder.name == *name))
    }
    /// Makes a folder and the missing ones above it.
    async fn create_folder(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<Folder>;
    /// Deletes a folder and its messages. One with folders under it stays as a `\NoSelect` name.
    async fn delete_folder(&self, mailbox: MailboxId, name: &FolderName) -> Result<()>;
    /// Renames a folder and those under it; INBOX gives its messages to the new folder and stays, empty (RFC 3501 §6.3.5);
    /// `at` (seconds since 1970) is then their SAVEDATE.
    async fn rename_folder(&self, mailbox: MailboxId, from: &FolderName, to: &FolderName, at: i64) -> Result<()>;
    /// Subscribes or not. A name that does not exist may be unsubscribed only.
    async fn subscribe(&self, mailbox: MailboxId, name: &FolderName, subscribed: bool) -> Result<()>;
    /// The picture of a folder, kept up to date as long as a receiver lives. The value is never behind an answered commit.
    /// The channel closes when the folder or the mailbox is gone, or the store closed. Unknown and `\NoSelect` folders
    /// are [`StoreError::NoSuchFolder`].
    async fn watch(&self, mailbox: MailboxId, folder: FolderId) -> Result<watch::Receiver<Arc<View>>>;
    /// Opens a folder for somebody who is first told how many messages it has: at once, before they are read, where they are many.
    /// As fresh as [`Store::watch`], and the same errors.
    async fn open_folder(&self, mailbox: MailboxId, folder: FolderId) -> Result<Opening> {
        self.watch(mailbox, folder).await.map(Opening::Whole)
    }
    /// The picture of the very moment that the outline of `reading` is of, whatever happened since, and the one that is kept up to date
    /// ([`Store::watch`]). [`StoreError::Damaged`] when what was told is not true.
    async fn picture(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        reading: Reading,
    ) -> Result<(Arc<View>, watch::Receiver<Arc<View>>)> {
        let read = reading.picture().await?;
        Ok((read, self.watch(mailbox, folder).await?))
    }
    /// A receiver that changes whenever the set of folders of the mailbox, or anything in any of them, changes; closes with
    /// the mailbox or the store.
    async fn watch_mailbox(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>>;
    /// The same for annotations of the mailbox or of a folder of it, whosever they are.
    async fn watch_annotations(&self, mailbox: MailboxId) -> Result<watch::Receiver<u64>>;

    // --- sharing: see the module -----------------------------------------------------------------------------------

    /// The access lists of all folders of a mailbox, by folder and grantee. Reads what is on disk.
    async fn access(&self, mailbox: MailboxId) -> Result<Vec<AccessEntry>>;
    /// [`Store::folder`] and [`Store::access`] as of one moment: what every message that a client puts somewhere asks first.
    async fn folder_and_access(
        &self,
        mailbox: MailboxId,
        name: &FolderName,
    ) -> Result<(Option<Folder>, Vec<AccessEntry>)> {
        // The lists first: rights that are older than the folder are those of none.
        let access = self.access(mailbox).await?;
        Ok((self.folder(mailbox, name).await?, access))
    }
    /// Writes one entry of a folder's access list, or with `None` removes it.
    async fn set_access(
        &self,
        mailbox: MailboxId,
        folder: FolderId,
        grantee: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()>;
    /// The annotations of a folder, or with `None` of the mailbox itself, that `reader` may see: the shared ones and their own.
    async fn annotations(&self, mailbox: MailboxId, of: Option<FolderId>, reader: &str) -> Result<Vec<Annotation>>;
    /// All of them, of the mailbox (`None`) and of its folders.
    async fn all_annotations(&self, mailbox: MailboxId, reader: &str) -> Result<Vec<(Option<FolderId>, Annotation)>>;
    /// Changes annotations, all or none. Beyond the limits of [`sharing`]: [`StoreError::TooManyAnnotations`].
    async fn annotate(&self, mailbox: MailboxId, of: Option<FolderId>, changes: Vec<AnnotationChange>) -> Result<()>;

    // --- messages ------------------------------------------------------------------------------------------------

    /// Where a new message streams to before [`Store::commit`].
    fn spool(&self) -> Spool;
    /// Everything that makes messages: delivery, APPEND, acceptance into the queue, the end of a queue entry. One commit,
    /// on disk when it returns.
    async fn commit(&self, commit: Commit) -> Result<Committed>;
    /// Several of them as one: all or none, quotas counted together, on disk when it returns (MULTIAPPEND, RFC 3502). Answers
    /// for each, in order.
    async fn commit_all(&self, commits: Vec<Commit>) -> Result<Vec<Committed>>;
    /// Removes one message, whatever its flags, and commits what takes its place: both or none, on disk when it returns
    /// (REPLACE, RFC 8508). The room it took is free for `by`. `None`: the message is gone, and nothing was changed.
    async fn replace(&self, mailbox: MailboxId, folder: FolderId, uid: Uid, by: Commit) -> Result<Option<Committed>>;
    /// The encoded structures given at delivery, in the order of `bodies` (from [`mail::Entry::body`]); `None` for one that
    /// is gone.
    async fn structures(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>>;
    /// A message's octets; `None` when it is gone. What was opened stays readable until dropped.
    async fn body(&self, mailbox: MailboxId, body: u64) -> Result<Option<Body>>;
    /// The octets of several messages, in the order of `bodies`, asked for together: for many small ones, whose octets may be in
    /// memory when it returns.
    async fn bodies(&self, mailbox: MailboxId, bodies: &[u64]) -> Result<Vec<Option<Body>>> {
        let mut found = Vec::with_capacity(bodies.len());
        for body in bodies {
            found.push(self.body(mailbox, *body).await?);
        }
        Ok(found)
    }
    /// Changes flags. Answers which messages changed, and which did not because of `unchanged_since`.
    async fn set_flags(&self, mailbox: MailboxId, folder: FolderId, change: FlagChange) -> Result<FlagsSet>;
    /// Removes messages that have `\Deleted`: all of them, or those among `uids` (ascending). Answers the UIDs gone.
    async fn expunge(&self, mailbox: MailboxId, folder: FolderId, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>>;
    /// Copies messages (UIDs ascending; unknown ones are left out) into another folder of the same mailbox, at `at`
    /// (seconds since 1970: their SAVEDATE). They stay of the same conversation.
    async fn copy(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied>;
    /// Moves messages (RFC 6851), each [`limits::BULK`] of them in one commit, at `at` (seconds since 1970: their SAVEDATE).
    async fn move_messages(
        &self,
        mailbox: MailboxId,
        from: FolderId,
        uids: Vec<Uid>,
        to: &FolderName,
        at: i64,
    ) -> Result<Copied>;

    /// The UIDs expunged since `since` (RFC 7162 VANISHED).
    async fn vanished(&self, mailbox: MailboxId, folder: FolderId, since: ModSeq) -> Result<Vanished>;

    // --- what the search index follows ---------------------------------------------------------------------------

    /// Mailboxes that received bodies since the last call, each once; the first call after opening answers every mailbox
    /// that has any. A caller that gets a mailbox sees its bodies in [`Store::bodies_after`].
    fn arrivals(&self) -> Vec<MailboxId>;
    /// Bodies of a mailbox that are still named, numbered above `after`, ascending, at most `limit`. Numbers are given in
    /// the order of arrival and never twice.
    async fn bodies_after(&self, mailbox: MailboxId, after: u64, limit: usize) -> Result<Vec<u64>>;
    /// A key derived from the mailbox's data key for one `purpose` (HMAC-SHA256): gone for good when that key is destroyed.
    async fn derived_key(&self, _mailbox: MailboxId, _purpose: &'static str) -> Result<zeroize::Zeroizing<[u8; 32]>> {
        Err(StoreError::Unusable("not built yet".into()))
    }

    // --- the outgoing queue --------------------------------------------------------------------------------------

    /// Every entry of the queue with its open recipients, by id (read at start by the queue runner).
    async fn queue(&self) -> Result<Vec<QueueEntry>>;
    /// One entry, `None` when it is settled.
    async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>>;
    /// The message of an entry.
    async fn queue_body(&self, id: QueueId) -> Result<Option<Body>>;

    // --- upkeep --------------------------------------------------------------------------------------------------

    /// Gives back what is no longer needed (bodies nobody names, old duplicate keys). `now` in seconds since 1970.
    async fn maintain(&self, now: i64) -> Result<()>;
    /// As long as what it answers lives, no file of the data folder is removed: for a copy that is made meanwhile. `None`: an engine without
    /// files.
    fn hold(&self) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        None
    }
    /// How its commits go, for monitoring; `None` for an engine that has none.
    fn statistics(&self) -> Option<Arc<Statistics>> {
        None
    }
    /// How many folders are open in memory (see [`Store::watch`]).
    fn open_views(&self) -> usize {
        0
    }
    /// Waits for what is under way and closes; further calls answer [`StoreError::Closed`].
    async fn close(&self);
}
