//! What the IMAP server asks of whoever keeps the mail.
//!
//! Everything a client can do is authorised by whoever implements [`Backend::authenticate`]: the [`Account`] it answers is
//! already the one mailbox (BAL) this session may see, with the rights it has there.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mail::bits::Bits;
use mail::mime::Structure;
use mail::sought::Sought;
use mail::{Flags, FolderName, ModSeq, Outline, Rights, SpecialUse, Uid, UidValidity, View};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::administration::Administration;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// A number for the connection, unique in the process, for logs and traces.
    pub connection: u64,
    /// Its address.
    pub address: SocketAddr,
    /// What TLS said, client certificate included.
    pub tls: Arc<trust::tls::TlsInfo>,
}

/// What a client presents to open a mailbox.
pub enum Credentials {
    /// SASL XOAUTH2: the decoded client response, not parsed (MSS-7.2). Never logged.
    XOAuth2(Zeroizing<Vec<u8>>),
    /// SASL EXTERNAL with the authorization identity asked for (empty: none); the certificate is in [`Peer::tls`] (LPS-APP).
    External(String),
}

/// Why a mailbox is not opened. Says nothing of which mailboxes exist (LPS-IDENT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// `NO [AUTHENTICATIONFAILED]` (LPS-ERR).
    Refused,
    /// `NO [UNAVAILABLE]`: our trouble or Pro Santé Connect's, not the client's.
    Unavailable,
}

/// Why something was not done, told by the response code it becomes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// `[NONEXISTENT]`, or `[TRYCREATE]` where a message was to go there.
    #[error("no such folder")]
    NonExistent,
    /// `[ALREADYEXISTS]`.
    #[error("the folder exists already")]
    AlreadyExists,
    /// `[CANNOT]` with why.
    #[error("{0}")]
    Cannot(&'static str),
    /// `[NOPERM]`.
    #[error("not allowed")]
    NoPermission,
    /// `[OVERQUOTA]`.
    #[error("the mailbox is over its quota")]
    OverQuota,
    /// `[EXPUNGEISSUED]`: the message is gone.
    #[error("the message is gone")]
    Expunged,
    /// `[TOOBIG]`: larger than [`Account::append_limit`].
    #[error("the message is larger than this server takes")]
    TooBig,
    /// `[LIMIT]` with which.
    #[error("{0}")]
    Limit(&'static str),
    /// `[UNAVAILABLE]`: temporary, full disk included.
    #[error("temporarily unavailable")]
    Unavailable,
}

impl Failure {
    /// A structure that was kept cannot be read again.
    pub(crate) fn damaged(error: mail::mime::DecodeError) -> Failure {
        tracing::error!("a stored structure cannot be read: {error}");
        Failure::Unavailable
    }
}

/// What every call answers.
pub type Result<T> = std::result::Result<T, Failure>;

/// The mail service behind the server.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// SASL mechanisms this entry point offers once TLS is up, e.g. `["XOAUTH2"]` or `["EXTERNAL"]`.
    fn mechanisms(&self) -> &[Mechanism];

    /// Opens the mailbox asked for, if the credentials allow it.
    async fn authenticate(
        &self,
        peer: &Peer,
        credentials: Credentials,
    ) -> std::result::Result<Arc<dyn Account>, AuthFailure>;

    /// By switch (LPS-APP): a connection whose certificate is enough is greeted with PREAUTH after STARTTLS is impossible in
    /// IMAP, so this is asked right after the handshake and the session is authenticated at once. `None`: it must authenticate.
    async fn preauthenticate(&self, _peer: &Peer) -> Option<Arc<dyn Account>> {
        None
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// `XOAUTH2`.
    XOAuth2,
    /// `EXTERNAL`.
    External,
}

impl Mechanism {
    /// Its name in capabilities.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::External => "EXTERNAL",
        }
    }
}

/// A folder, as LIST tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderInfo {
    /// A number that no other folder of the mailbox has, and that stays with it when it is renamed.
    pub id: u64,
    /// Its name.
    pub name: FolderName,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// `false`: only holds other folders.
    pub selectable: bool,
    /// What the session may do there.
    pub rights: Rights,
}

/// What STATUS tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderStatus {
    /// MESSAGES.
    pub messages: u32,
    /// UNSEEN.
    pub unseen: u32,
    /// DELETED.
    pub deleted: u32,
    /// SIZE in octets.
    pub size: u64,
    /// Octets of the messages that have `\Deleted` (RFC 9208 DELETED-STORAGE).
    pub deleted_size: u64,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// MAILBOXID.
    pub id: ObjectId,
}

/// What names a folder for good, whatever it is called (MAILBOXID, RFC 8474): letters, digits, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ObjectId {
    /// The number of the mailbox (BAL).
    pub mailbox: u64,
    /// The number of the folder there, never given again.
    pub folder: u32,
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "F{:x}-{:x}", self.mailbox, self.folder)
    }
}

/// A message to be appended.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// INTERNALDATE, seconds since 1970; `None` is now.
    pub internal_date: Option<i64>,
}

/// Receives messages piece by piece. Dropped before [`Append::commit`], it leaves nothing.
#[async_trait]
pub trait Append: Send {
    /// A message begins; the one before it is whole.
    async fn begin(&mut self, message: NewMessage) -> Result<()>;
    /// So many octets of it are about to come.
    fn expect(&mut self, _octets: u64) {}
    /// The next piece of it.
    async fn write(&mut self, piece: &[u8]) -> Result<()>;
    /// Keeps all of them or none. Durable when it answers; the UIDs in their order.
    async fn commit(self: Box<Self>) -> Result<(UidValidity, Vec<Uid>)>;
}

/// A change of flags.
#[derive(Clone, Debug)]
pub struct FlagChange {
    /// Whose, ascending.
    pub uids: Vec<Uid>,
    /// How.
    pub how: FlagOperation,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Only messages whose MODSEQ is not above this one (RFC 7162 UNCHANGEDSINCE).
    pub unchanged_since: Option<ModSeq>,
}

/// Replace, add or remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagOperation {
    /// `FLAGS`.
    Replace,
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// What a copy or a move did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the folder they went to.
    pub uid_validity: UidValidity,
    /// For each message, in order: the UID it had where it was, and the one it has where it went.
    pub uids: Vec<(Uid, Uid)>,
}

/// What was expunged from a folder since a MODSEQ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    /// UIDs gone, ascending.
    pub uids: Vec<Uid>,
    /// Whether that is all of them: `false` when some were forgotten already (RFC 7162 §3.2.10.2).
    pub complete: bool,
}

/// Which messages have the texts sought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeking {
    /// How many of the bodies asked for were judged, from the first: the caller goes on with the rest, and may tell how far it is.
    pub judged: usize,
    /// For each text sought, in order: those of the judged bodies that have it, by their places in the list of bodies.
    pub matching: Vec<Bits>,
}

/// A folder that is being opened.
pub enum Opening {
    /// It is open.
    Open(Arc<dyn OpenFolder>),
    /// Its messages are being read.
    Reading(Reading),
}

/// A folder whose messages are being read.
pub struct Reading {
    /// What it is at this moment.
    pub outline: Outline,
    /// What names it for good.
    pub id: ObjectId,
    /// What the session may do there.
    pub rights: Rights,
    /// Waits for the messages. Dropped, they are not read.
    pub completing: Completing,
}

/// Waits for the messages of a folder.
pub type Completing = Pin<Box<dyn Future<Output = Result<Complete>> + Send>>;

/// A folder whose messages were read.
pub struct Complete {
    /// It.
    pub folder: Arc<dyn OpenFolder>,
    /// The picture of the very moment that [`Reading::outline`] is of. What happened since is in [`OpenFolder::view`].
    pub told: Arc<View>,
}

/// One mailbox (BAL), opened by one session.
#[async_trait]
pub trait Account: Administration {
    /// Its address.
    fn address(&self) -> &str;
    /// The largest message APPEND takes, in octets (APPENDLIMIT).
    fn append_limit(&self) -> u64;
    /// Every folder, by name.
    async fn folders(&self) -> Result<Vec<FolderInfo>>;
    /// Makes a folder.
    async fn create(&self, name: &FolderName, special_use: Option<SpecialUse>) -> Result<ObjectId>;
    /// Deletes one.
    async fn delete(&self, name: &FolderName) -> Result<()>;
    /// Renames one and those under it.
    async fn rename(&self, from: &FolderName, to: &FolderName) -> Result<()>;
    /// Subscribes or not.
    async fn subscribe(&self, name: &FolderName, subscribed: bool) -> Result<()>;
    /// Counts of one folder.
    async fn status(&self, name: &FolderName) -> Result<FolderStatus>;
    /// Opens one. Opening again gives the same messages under the same numbers while a session lives.
    async fn open(&self, name: &FolderName) -> Result<Arc<dyn OpenFolder>>;
    /// Begins to open one: what SELECT tells of it at once, where its messages are many and still to be read. As fresh as
    /// [`Account::open`], and the same failures.
    async fn begin_open(&self, name: &FolderName) -> Result<Opening> {
        self.open(name).await.map(Opening::Open)
    }
    /// A counter that any change of a folder, or of the set of folders, moves.
    async fn changes(&self) -> Result<watch::Receiver<u64>>;
    /// Begins an APPEND into a folder, if it is there.
    async fn append(&self, to: &FolderName) -> Result<Box<dyn Append>>;
}

/// A message's octets.
#[async_trait]
pub trait MessageBody: Send + Sync {
    /// How many.
    fn len(&self) -> u64;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Some of them: `len` from `offset`, fewer only at the end. Callers ask at most 64 KiB at a time.
    async fn read(&self, offset: u64, len: usize) -> Result<Bytes>;
}

/// A folder opened by a session.
#[async_trait]
pub trait OpenFolder: Send + Sync {
    /// What names it for good.
    fn id(&self) -> ObjectId;
    /// What the session may do here, as last seen: what may be changed is checked again at each change.
    fn rights(&self) -> Rights {
        Rights::ALL
    }
    /// Always the latest picture; changes wake IDLE. Every commit answered is in it.
    fn view(&self) -> watch::Receiver<Arc<View>>;
    /// The structures computed at delivery, in the order of `bodies` ([`mail::Entry::body`]); `None` for messages gone.
    async fn structures(&self, bodies: &[u64]) -> Result<Vec<Option<Structure>>>;
    /// The same as they are kept ([`Structure::encode`]), so that what is only looked at is not copied.
    async fn encoded_structures(&self, bodies: &[u64]) -> Result<Vec<Option<Arc<[u8]>>>> {
        let structures = self.structures(bodies).await?;
        Ok(structures.into_iter().map(|s| s.map(|s| s.encode().into())).collect())
    }
    /// A message's octets; `None` when it is gone.
    async fn body(&self, body: u64) -> Result<Option<Box<dyn MessageBody>>>;
    /// The octets of some messages, in the order of `bodies`: asked for together where each is small.
    async fn bodies(&self, bodies: &[u64]) -> Result<Vec<Option<Box<dyn MessageBody>>>> {
        let mut found = Vec::with_capacity(bodies.len());
        for body in bodies {
            found.push(self.body(*body).await?);
        }
        Ok(found)
    }
    /// Judges which of `bodies` (ascending, each once) have each text: exactly, whether they are indexed or must be read.
    /// Judges at least one body; answers within about a second, judged or not. The list is shared: other threads may look at it.
    async fn seek(&self, _sought: &[Sought], _bodies: &Arc<Vec<u64>>) -> Result<Seeking> {
        Err(Failure::Unavailable)
    }
    /// Changes flags. Durable when it answers, and in the view. Answers the messages held back by `unchanged_since`, ascending.
    async fn set_flags(&self, change: FlagChange) -> Result<Vec<Uid>>;
    /// Removes messages that have `\Deleted`: all, or those among `uids` (ascending).
    async fn expunge(&self, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>>;
    /// The UIDs expunged since `since` (RFC 7162 VANISHED).
    async fn vanished(&self, since: ModSeq) -> Result<Vanished>;
    /// Copies messages (UIDs ascending) to another folder.
    async fn copy(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied>;
    /// Moves messages, all or none.
    async fn move_to(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied>;
    /// Begins a REPLACE (RFC 8508): what is received goes to a folder and this message goes, in one durable commit.
    /// [`Failure::Expunged`] when it is gone by then.
    async fn replace(&self, uid: Uid, to: &FolderName) -> Result<Box<dyn Append>>;
}
