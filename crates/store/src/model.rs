//! What a store keeps, as plain values.

use mail::{Flags, FolderName, ModSeq, SpecialUse, Uid, UidValidity};
use mssante::{Address, MailboxKind, NationalId, StructureId};

use crate::body::Spooled;

/// The folders a new mailbox has beside INBOX.
pub const DEFAULT_FOLDERS: [(&str, SpecialUse); 5] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];

/// A mailbox's number in the store, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MailboxId(pub u64);

/// A folder's number in its mailbox, never given twice there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FolderId(pub u32);

/// A queue entry's number in the store, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueId(pub u64);

/// Who a mailbox belongs to (titulaire, BAL-KIND).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A professional: PER, CAB.
    Person(NationalId),
    /// A structure: ORG, APP.
    Structure(StructureId),
}

/// How much a mailbox may hold. `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Octets of all messages, copies counted each.
    pub octets: Option<u64>,
    /// Number of messages.
    pub messages: Option<u64>,
}

/// How much a mailbox holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Octets of all messages, copies counted each.
    pub octets: u64,
    /// Number of messages.
    pub messages: u64,
}

/// A mailbox to be made.
#[derive(Clone, Debug)]
pub struct NewMailbox {
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: MailboxKind,
    /// Its titulaire.
    pub holder: Holder,
    /// What people see beside the address.
    pub label: String,
    /// Its limits.
    pub quota: Quota,
    /// Seconds since 1970.
    pub created_at: i64,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its number.
    pub id: MailboxId,
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: MailboxKind,
    /// Its titulaire.
    pub holder: Holder,
    /// What people see beside the address.
    pub label: String,
    /// Its limits.
    pub quota: Quota,
    /// What it holds.
    pub usage: Usage,
    /// Seconds since 1970.
    pub created_at: i64,
    /// When a user last opened it, seconds since 1970.
    pub last_authentication: Option<i64>,
}

/// What a person may be to a mailbox beside its titulaire (BAL-ROLES).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// Cotitulaire of a CAB.
    CoHolder,
    /// Entitled user (habilité) of an ORG.
    Member,
    /// Délégataire.
    Delegate,
}

/// A dated right of a person on a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Right {
    /// Who.
    pub person: NationalId,
    /// As what.
    pub role: Role,
    /// From when, seconds since 1970.
    pub from: i64,
    /// Until when (excluded); `None` is no end.
    pub until: Option<i64>,
}

impl Right {
    /// Whether the right holds at `now`.
    pub fn holds_at(&self, now: i64) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// A folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    /// Its number.
    pub id: FolderId,
    /// Its name.
    pub name: FolderName,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// `false` for a name that only holds folders (`\NoSelect`).
    pub selectable: bool,
    /// The epoch of its UIDs.
    pub uid_validity: UidValidity,
}

/// Where a message goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The folder.
    pub folder: FolderName,
    /// System flags set from the start.
    pub flags: Flags,
    /// Keywords set from the start, added to the folder's when new.
    pub keywords: Vec<String>,
    /// INTERNALDATE, seconds since 1970.
    pub internal_date: i64,
}

impl Target {
    /// New mail: into INBOX, with no flag.
    pub fn inbox(mailbox: MailboxId, internal_date: i64) -> Self {
        Target { mailbox, folder: FolderName::inbox(), flags: Flags::NONE, keywords: Vec::new(), internal_date }
    }
}

/// A message on its way in.
#[derive(Debug)]
pub struct Content {
    /// Its octets.
    pub body: Spooled,
    /// Its encoded structure ([`mail::mime`]); opaque here.
    pub structure: Vec<u8>,
    /// What ties it to its conversation (RFC 8474 THREADID): its own Message-ID first, then what it answers, the nearest
    /// first. Those beyond [`MAX_LINKS`](crate::limits::MAX_LINKS) are not looked at.
    pub links: Vec<LinkKey>,
}

/// A Message-ID, digested to 64 bits.
///
/// A mailbox's messages are of one conversation when they share one of these. Whoever finds another Message-ID with the same
/// digest joins a conversation: which takes no digest at all, since anybody may write what they like in `References`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkKey(pub u64);

/// Things that become true together, in one durable commit.
#[derive(Debug, Default)]
pub struct Commit {
    /// The message that `deliver` and `enqueue` speak of.
    pub content: Option<Content>,
    /// Folders it goes into. All or none: [`StoreError::OverQuota`](crate::StoreError::OverQuota) for one is for all.
    pub deliver: Vec<Target>,
    /// Recipients elsewhere it is to be relayed to.
    pub enqueue: Option<NewQueueEntry>,
    /// What became of recipients of an earlier entry. Together with `content` and `deliver` this is how a DSN is
    /// delivered exactly once. An entry with no open recipient left goes, with its body.
    pub settle: Option<Settlement>,
    /// A digest of the message as a peer sent it: a mailbox that had it in the last [`DUPLICATE_MEMORY`] does not get it
    /// again ([`Delivered::Duplicate`]): a relay that lost our 250 sends again (OPE-QUEUE: no duplicate over a crash).
    /// The time is `saved_at`, or the target's `internal_date` where that is not known.
    ///
    /// In `enqueue`, with a `sender`: a recipient to whom that mailbox sent it in the last [`DUPLICATE_MEMORY`] is left out; with
    /// none left there is no entry, and [`Committed::queued`] is `None`. The time is `accepted_at`. It is forgotten for a recipient
    /// who did not get it ([`Outcome::Failed`]).
    pub duplicate_key: Option<[u8; 16]>,
    /// The time of the commit, seconds since 1970: SAVEDATE (RFC 8514) of what `deliver` makes. 0: not known.
    pub saved_at: i64,
}

impl Commit {
    /// When it is made, as far as it tells: a target's INTERNALDATE may be of long ago.
    pub(crate) fn time(saved_at: i64, internal_date: i64) -> i64 {
        if saved_at > 0 { saved_at } else { internal_date }
    }
}

/// What is remembered of a message that a mailbox sent to somebody elsewhere.
pub(crate) fn sent_key(message: [u8; 16], to: &Address) -> [u8; 16] {
    let mut digest = openssl::sha::Sha256::new();
    digest.update(&message);
    digest.update(to.lookup_key().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finish()[..16]);
    key
}

/// How long a duplicate is recognised, in seconds: longer than the five days a relay keeps trying.
pub const DUPLICATE_MEMORY: i64 = 10 * 24 * 3600;

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// For each target, in order.
    pub delivered: Vec<Delivered>,
    /// The new queue entry; none when all its recipients had the message already.
    pub queued: Option<QueueId>,
}

/// What became of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is there.
    Message {
        /// The folder's UIDVALIDITY.
        uid_validity: UidValidity,
        /// Its UID.
        uid: Uid,
    },
    /// The mailbox had it already.
    Duplicate,
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
    /// Keywords by name.
    pub keywords: Vec<String>,
    /// Only messages whose MODSEQ is not above this one (RFC 7162).
    pub unchanged_since: Option<ModSeq>,
}

/// Replace, add or remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagOperation {
    /// `FLAGS`.
    Replace,
    /// `FLAGS`, but only these flags change (with every keyword's bit, when keywords are to change): RFC 4314 §4.
    ReplaceWithin(Flags),
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// What a change of flags did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagsSet {
    /// Messages that exist and were not held back, changed or already so, with what they have now.
    pub now: Vec<(Uid, Flags, ModSeq)>,
    /// Messages held back by `unchanged_since`.
    pub modified: Vec<Uid>,
}

/// What was expunged from a folder since a MODSEQ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    /// UIDs gone, ascending.
    pub uids: Vec<Uid>,
    /// Whether that is all of them: `false` when some were forgotten already (RFC 7162 §3.2.7), so that a client can only be
    /// told every UID below UIDNEXT that is not there.
    pub complete: bool,
}

/// What a copy or move did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the folder they went to.
    pub uid_validity: UidValidity,
    /// For each message, in order: the UID it had where it was, and the one it has where it went.
    pub uids: Vec<(Uid, Uid)>,
}

/// A message to be relayed.
#[derive(Clone, Debug)]
pub struct NewQueueEntry {
    /// The mailbox that sent it; `None` for a notice of the server's own.
    pub sender: Option<MailboxId>,
    /// MAIL FROM; `None` is `<>`.
    pub return_path: Option<Address>,
    /// Asked in MAIL FROM, as sent on: `RET` and `ENVID` (xtext) of RFC 3461, `BODY=8BITMIME`, `SMTPUTF8`.
    pub parameters: MailParameters,
    /// Whom to; never empty.
    pub recipients: Vec<NewQueueRecipient>,
    /// Seconds since 1970.
    pub accepted_at: i64,
    /// When it is given up, seconds since 1970.
    pub expires_at: i64,
}

/// What MAIL FROM said beside the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `RET`: `Some(true)` is FULL, `Some(false)` is HDRS.
    pub return_full: Option<bool>,
    /// `ENVID`, xtext as received.
    pub envelope_id: Option<String>,
    /// `BODY=8BITMIME`.
    pub eight_bit: bool,
    /// `SMTPUTF8`.
    pub utf8: bool,
}

/// When the sender wants to hear of a recipient (RFC 3461 NOTIFY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// On success.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
    /// Whether NOTIFY was given at all (it is then sent on).
    pub explicit: bool,
}

impl Default for Notify {
    /// What the absence of NOTIFY means: failures, and delays at the server's choice.
    fn default() -> Self {
        Notify { success: false, failure: true, delay: true, explicit: false }
    }
}

/// One recipient of a message to be relayed.
#[derive(Clone, Debug)]
pub struct NewQueueRecipient {
    /// Whom to.
    pub address: Address,
    /// When the sender wants to hear of it.
    pub notify: Notify,
    /// `ORCPT`, as received (`rfc822;xtext`).
    pub original: Option<String>,
}

/// An entry of the queue.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// Its number.
    pub id: QueueId,
    /// The mailbox that sent it.
    pub sender: Option<MailboxId>,
    /// MAIL FROM; `None` is `<>`.
    pub return_path: Option<Address>,
    /// What MAIL FROM said.
    pub parameters: MailParameters,
    /// Seconds since 1970.
    pub accepted_at: i64,
    /// When it is given up.
    pub expires_at: i64,
    /// Octets of the message.
    pub size: u64,
    /// Those not settled yet.
    pub recipients: Vec<QueueRecipient>,
}

/// A recipient not settled yet.
#[derive(Clone, Debug)]
pub struct QueueRecipient {
    /// Its place in the entry, stable.
    pub index: u32,
    /// Whom to.
    pub address: Address,
    /// When the sender wants to hear of it.
    pub notify: Notify,
    /// `ORCPT`.
    pub original: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// When to try (again), seconds since 1970.
    pub next_attempt: i64,
    /// What the last attempt said, if it failed.
    pub last_error: Option<String>,
    /// Whether the sender was told of the delay.
    pub delay_told: bool,
}

/// What became of recipients of one entry. A recipient that is not open (any more) refuses the whole commit with
/// [`StoreError::Io`](crate::StoreError::Io): its notice was sent already.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The entry.
    pub entry: QueueId,
    /// By [`QueueRecipient::index`].
    pub recipients: Vec<(u32, Outcome)>,
}

/// What became of a recipient after an attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The other side has it: nothing more to do, and the same octets for this recipient are not sent again
    /// ([`Commit::duplicate_key`]).
    Relayed,
    /// Given up: refused, expired or cancelled. In the same commit it is forgotten that the mailbox sent the message to this recipient:
    /// whoever sends it again, once told, sends it.
    Failed,
    /// To be tried again.
    Retry {
        /// When, seconds since 1970.
        at: i64,
        /// What the attempt said.
        error: String,
        /// Whether the sender has now been told of the delay.
        delay_told: bool,
    },
}
