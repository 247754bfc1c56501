//! One BAL over IMAP, as a host program wants it: a session that opens itself again (ECO-REOPEN, ECO-CONN, ECO-ERR).
//!
//! [`Session::open`] gives it; every method takes `&self` and may be called from several tasks, one at a time being carried out.
//! When the connection breaks (`BYE`, a cut, silence, a token that ran out), the step in hand is made again over a new connection
//! with a fresh token, after waits that grow, for [`REOPEN_LIMIT`] at most without progress; long work goes on where it stopped.
//!
//! Invariants:
//! * what may not happen twice does not: [`Session::append`] looks for its Message-ID before it puts it again;
//! * a cancelled call drops its connection, and never leaves the next in the middle of an answer;
//! * a folder that became another one (UIDVALIDITY) is told, never mixed with what it was;
//! * refusals, certificates and logins surface at once, typed; nobody is asked again and again with credentials that were refused;
//! * nothing of a message's content reaches a trace or a log.

mod append;
mod attempt;
mod change;
mod error;
mod fetch;
mod known;
mod link;
mod list;
mod query;
mod summary;
mod sync;
mod watch;

use std::sync::Arc;

use imap::client::{ClientError, Patience};
use mail::SpecialUse;
use tokio::sync::Mutex;

use crate::account::Account;
use crate::space::Space;
use crate::trace::Action;
use attempt::{Attempts, FIRST_LIMIT};
use link::{Link, Opener};

pub use attempt::REOPEN_LIMIT;
pub use error::SessionError;
pub use known::{Changes, Known};
pub use query::Query;
pub use summary::{Correspondent, FIELDS, MAX_ADDRESSES, MAX_HEADER, MAX_NAMES, Summary};
pub use watch::{POLLED_AFTER, RENEWED_AFTER, Watch};

/// An open BAL.
pub struct Session {
    opener: Arc<Opener>,
    slot: Mutex<Option<Link>>,
}

impl Session {
    /// Opens a BAL.
    ///
    /// # Errors
    /// [`SessionError`], within some twenty seconds.
    pub async fn open(space: Arc<Space>, account: Account) -> Result<Session, SessionError> {
        Session::open_with(space, account, Patience::default()).await
    }

    /// The same with other patience towards the server.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open_with(space: Arc<Space>, account: Account, patience: Patience) -> Result<Session, SessionError> {
        let opener = Arc::new(Opener::new(space, account, patience)?);
        let session = Session { opener, slot: Mutex::new(None) };
        session.enter(None, &mut Attempts::within(FIRST_LIMIT)).await?.kept();
        Ok(session)
    }

    /// The account it is of.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.opener.account
    }

    /// The space it is in.
    #[must_use]
    pub fn space(&self) -> &Arc<Space> {
        &self.opener.space
    }

    /// The folders, in the server's order. Those whose names cannot be asked for are left out.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn folders(&self) -> Result<Vec<Folder>, SessionError> {
        let mut attempts = Attempts::new();
        loop {
            let mut guard = self.enter(None, &mut attempts).await?;
            match guard.link().client.list().await {
                Ok(listed) => {
                    guard.kept();
                    return Ok(listed.into_iter().map(Folder::of).collect());
                }
                Err(error) => guard.failed(error, None, &mut attempts).await?,
            }
        }
    }

    /// The folder of that use, where there is one: by what the server says of it, else by the usual names.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn special(&self, special: SpecialUse) -> Result<Option<String>, SessionError> {
        let folders = self.folders().await?;
        let told = folders.iter().find(|folder| folder.special == Some(special));
        let usual = |folder: &&Folder| {
            let last = folder.separator.and_then(|s| folder.name.rsplit(s).next()).unwrap_or(&folder.name);
            folder.selectable && USUAL_NAMES.iter().any(|(of, name)| *of == special && name.eq_ignore_ascii_case(last))
        };
        Ok(told.or_else(|| folders.iter().find(usual)).map(|folder| folder.name.clone()))
    }

    /// Makes a folder, for that use where the server can say so; one that is there already is as good.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn create(&self, folder: &str, special: Option<SpecialUse>) -> Result<(), SessionError> {
        let mut attempts = Attempts::new();
        loop {
            let mut guard = self.enter(None, &mut attempts).await?;
            match guard.link().client.create(folder, special.map(SpecialUse::name)).await {
                Ok(()) => {
                    guard.kept();
                    return Ok(());
                }
                Err(error @ ClientError::Refused { .. })
                    if error.code() == Some(&imap::client::Code::AlreadyExists) =>
                {
                    guard.kept();
                    return Ok(());
                }
                Err(error) => guard.failed(error, Some(folder), &mut attempts).await?,
            }
        }
    }

    /// What a folder holds.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn status(&self, folder: &str) -> Result<Status, SessionError> {
        let mut attempts = Attempts::new();
        loop {
            let mut guard = self.enter(None, &mut attempts).await?;
            match guard.link().client.counts(folder).await {
                Ok(counts) => {
                    guard.kept();
                    return Ok(Status {
                        messages: counts.messages.unwrap_or(0),
                        unseen: counts.unseen.unwrap_or(0),
                        uid_next: counts.uid_next.unwrap_or(0),
                        uid_validity: counts.uid_validity.unwrap_or(0),
                        size: counts.size,
                    });
                }
                Err(error) => guard.failed(error, Some(folder), &mut attempts).await?,
            }
        }
    }

    /// Watches a folder over a connection of its own, from now on.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn watch(&self, folder: &str) -> Result<Watch, SessionError> {
        self.watch_every(folder, POLLED_AFTER).await
    }

    /// The same; a server without IDLE is asked that often.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn watch_every(&self, folder: &str, poll: std::time::Duration) -> Result<Watch, SessionError> {
        let watch = Watch::begin(Arc::clone(&self.opener), folder, poll).await;
        self.opener.trace(Action::List, format!("WATCH {folder}"), watch.as_ref().err(), None);
        watch
    }

    /// Ends the session. It is never needed: a session that is dropped ends too, less politely.
    pub async fn close(self) {
        if let Some(link) = self.slot.into_inner() {
            link.client.logout().await;
        }
    }
}

/// Names of folders on servers that do not tell what they are for.
const USUAL_NAMES: [(SpecialUse, &str); 12] = [
    (SpecialUse::Sent, "Sent"),
    (SpecialUse::Sent, "Envoyés"),
    (SpecialUse::Sent, "Éléments envoyés"),
    (SpecialUse::Sent, "Sent Items"),
    (SpecialUse::Drafts, "Drafts"),
    (SpecialUse::Drafts, "Brouillons"),
    (SpecialUse::Trash, "Trash"),
    (SpecialUse::Trash, "Corbeille"),
    (SpecialUse::Junk, "Junk"),
    (SpecialUse::Junk, "Indésirables"),
    (SpecialUse::Archive, "Archive"),
    (SpecialUse::Archive, "Archives"),
];

impl Folder {
    fn of(listed: imap::client::Listed) -> Folder {
        let special = listed.flags.iter().find_map(|flag| SpecialUse::from_name(flag));
        let selectable = !listed.has("\\Noselect") && !listed.has("\\NonExistent");
        Folder { special, selectable, separator: listed.separator, name: listed.name }
    }
}

/// A folder of the BAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its name in Unicode, levels separated by what the server separates them with.
    pub name: String,
    /// The separator of levels; none on a server without levels.
    pub separator: Option<char>,
    /// What it is for.
    pub special: Option<SpecialUse>,
    /// Whether it holds messages: a mere level of names does not.
    pub selectable: bool,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// The UID the next message will have at least.
    pub uid_next: u32,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// Octets, where the server counts them (STATUS=SIZE).
    pub size: Option<u64>,
}

/// Which messages of a folder are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// UIDs asked for; all when empty.
    pub(crate) uids: Vec<u32>,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) limit: Option<usize>,
    pub(crate) oldest: bool,
}

impl Listing {
    /// All of them, oldest first.
    #[must_use]
    pub fn all() -> Self {
        Listing { from: 1, to: u32::MAX, ..Listing::default() }
    }

    /// Those with this UID or a larger one.
    #[must_use]
    pub fn from_uid(uid: u32) -> Self {
        Listing { from: uid.max(1), ..Listing::all() }
    }

    /// Those from one UID to another, both included.
    #[must_use]
    pub fn range(from: u32, to: u32) -> Self {
        Listing { from: from.max(1), to, ..Listing::all() }
    }

    /// These; what is no longer there is left out.
    #[must_use]
    pub fn uids(uids: &[u32]) -> Self {
        let mut uids = uids.to_vec();
        uids.retain(|uid| *uid > 0);
        uids.sort_unstable();
        uids.dedup();
        // None asked for is none given, not all.
        if uids.is_empty() {
            Listing { from: 1, to: 0, ..Listing::default() }
        } else {
            Listing { uids, ..Listing::all() }
        }
    }

    /// At most so many, the most recent ones.
    #[must_use]
    pub fn last(self, limit: usize) -> Self {
        Listing { limit: Some(limit), oldest: false, ..self }
    }

    /// At most so many, the oldest ones.
    #[must_use]
    pub fn first(self, limit: usize) -> Self {
        Listing { limit: Some(limit), oldest: true, ..self }
    }
}

/// Something happened in a folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages came: their UIDs, ascending.
    Arrived(Vec<u32>),
    /// Flags changed or messages went: [`Session::sync`] tells which.
    Changed,
    /// The folder is another one (UIDVALIDITY): whatever was kept of it must be thrown away.
    Reset,
}
