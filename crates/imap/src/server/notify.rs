//! What a client of NOTIFY is told between commands (RFC 5465).
//!
//! The mailbox has one counter that any change of it moves: a session waits on that, and then looks at its own list of
//! folders, which costs a comparison of a few numbers for each folder watched. What was told last is kept, not what is to be
//! told: nothing queues up, however long a client does not read, and any number of changes is told as one.
//!
//! Invariants: at most [`MAX_WATCHED`] folders are watched; between two looks passes at least [`PAUSE`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::{FolderName, ModSeq, Rights, Uid, UidValidity, View};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Ended;
use super::output::Output;
use super::reply::Stop;
use crate::backend::{Account, Failure, FolderInfo, OpenFolder};
use crate::command::{FetchItem, StatusItem};
use crate::notify::{Event, Filter, Group};
use crate::response::{self, ListKind, ListLine};

/// Most folders whose messages one session watches: each costs a receiver and keeps a picture in memory.
pub(super) const MAX_WATCHED: usize = 256;
/// The shortest time between two looks: a burst of deliveries is told as one.
const PAUSE: Duration = Duration::from_millis(200);

/// What is to be told of the folder that is open.
#[derive(Clone, Debug)]
pub(super) struct OfSelected {
    /// Expunges wait for a command.
    pub(super) delayed: bool,
    /// What is fetched of new messages.
    pub(super) items: Vec<FetchItem>,
}

/// What a client wants to be told, and what it was told.
pub(super) struct Notifying {
    groups: Vec<Group>,
    /// `None`: nothing between commands.
    pub(super) selected: Option<OfSelected>,
    counter: watch::Receiver<u64>,
    /// Not before.
    next: Instant,
    /// By the number that a folder keeps when it is renamed.
    folders: BTreeMap<u64, Known>,
}

/// A folder as it was told last.
struct Known {
    info: FolderInfo,
    watched: Option<Watched>,
}

struct Watched {
    folder: Arc<dyn OpenFolder>,
    views: watch::Receiver<Arc<View>>,
    told: Counts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Counts {
    messages: usize,
    unseen: usize,
    uid_next: Uid,
    uid_validity: UidValidity,
    modseq: ModSeq,
}

impl Counts {
    fn of(view: &View) -> Self {
        Counts {
            messages: view.len(),
            unseen: view.unseen(),
            uid_next: view.uid_next,
            uid_validity: view.uid_validity,
            modseq: view.highest_modseq,
        }
    }

    fn tell(&self, out: &mut Output, name: &FolderName) {
        let items = [
            (StatusItem::Messages, self.messages as u64),
            (StatusItem::UidNext, self.uid_next.0.into()),
            (StatusItem::UidValidity, self.uid_validity.0.into()),
            (StatusItem::Unseen, self.unseen as u64),
            (StatusItem::HighestModSeq, self.modseq.0),
        ];
        let names = out.names;
        response::status(out.buffer(), name, names, &items, None);
    }
}

/// Why notifications cannot be had.
pub(super) enum Refused {
    /// More than [`MAX_WATCHED`] folders.
    TooMany,
    /// The backend's trouble.
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused::Failure(failure)
    }
}

/// Whether a folder fits a filter.
fn fits(filter: &Filter, folder: &FolderInfo) -> bool {
    match filter {
        Filter::Selected | Filter::SelectedDelayed => false,
        Filter::Inboxes => folder.name.is_inbox(),
        Filter::Personal => true,
        Filter::Subscribed => folder.subscribed,
        Filter::Subtree(names) => names.iter().flatten().any(|name| folder.name == *name || folder.name.is_under(name)),
        Filter::Mailboxes(names) => names.iter().flatten().any(|name| folder.name == *name),
    }
}

impl Notifying {
    /// Begins to watch; what there is now counts as told, and is told with `status`.
    pub(super) async fn new(
        account: &dyn Account,
        out: &mut Output,
        groups: Vec<Group>,
        status: bool,
        open: Option<&FolderName>,
    ) -> Result<Self, Refused> {
        let selected = groups.iter().find_map(|group| {
            let delayed = match group.filter {
                Filter::Selected => false,
                Filter::SelectedDelayed => true,
                _ => return None,
            };
            let items = group.events.iter().find_map(|e| match e {
                Event::MessageNew(items) => Some(items.clone()),
                _ => None,
            });
            items.map(|items| OfSelected { delayed, items })
        });
        let mut counter = account.changes().await?;
        counter.mark_unchanged();
        let mut this = Notifying { groups, selected, counter, next: Instant::now(), folders: BTreeMap::new() };
        for info in account.folders().await? {
            let known = this.watch(account, info).await?;
            this.folders.insert(known.info.id, known);
        }
        if this.folders.values().filter(|k| k.watched.is_some()).count() > MAX_WATCHED {
            return Err(Refused::TooMany);
        }
        if status {
            for known in this.folders.values().filter(|k| Some(&k.info.name) != open) {
                if let Some(watched) = &known.watched {
                    watched.told.tell(out, &known.info.name);
                }
            }
        }
        Ok(this)
    }

    /// The events wanted of a folder.
    fn events(&self, folder: &FolderInfo) -> &[Event] {
        self.groups.iter().find(|group| fits(&group.filter, folder)).map_or(&[], |group| &group.events)
    }

    async fn watch(&self, account: &dyn Account, info: FolderInfo) -> Result<Known, Failure> {
        let wanted = self.events(&info).iter().any(|e| matches!(e, Event::MessageNew(_)));
        let enough = self.folders.values().filter(|k| k.watched.is_some()).count() > MAX_WATCHED;
        if !wanted || !info.selectable || enough {
            return Ok(Known { info, watched: None });
        }
        let watched = match account.open(&info.name).await {
            Ok(folder) => {
                let mut views = folder.view();
                let told = Counts::of(&views.borrow_and_update());
                Some(Watched { folder, views, told })
            }
            // Gone meanwhile, which the next look finds; or not to be read (RFC 5465 §5: nothing is told of it).
            Err(Failure::NonExistent | Failure::NoPermission) => None,
            Err(failure) => return Err(failure),
        };
        Ok(Known { info, watched })
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(&mut self) {
        if self.counter.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        // Woken again at once when this waiting is given up before its end.
        self.counter.mark_changed();
        tokio::time::sleep_until(self.next).await;
    }

    /// Tells what happened elsewhere than in the folder that is open. `false`: there is too much to watch.
    pub(super) async fn tell(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        open: Option<&FolderName>,
    ) -> Result<bool, Stop> {
        if !self.counter.has_changed().unwrap_or(false) || Instant::now() < self.next {
            return Ok(true);
        }
        self.counter.mark_unchanged();
        self.next = Instant::now() + PAUSE;
        let now = account.folders().await?;
        let gone: Vec<u64> =
            self.folders.keys().copied().filter(|id| now.iter().all(|folder| folder.id != *id)).collect();
        for id in gone {
            let Some(known) = self.folders.remove(&id) else { continue };
            if self.events(&known.info).contains(&Event::MailboxName) {
                line(out, &known.info, &["\\NonExistent"], None);
            }
        }
        for info in now {
            out.room().await?;
            self.folder(account, out, info, open).await?;
        }
        Ok(self.folders.values().filter(|k| k.watched.is_some()).count() <= MAX_WATCHED)
    }

    /// Tells what happened to one folder.
    async fn folder(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        info: FolderInfo,
        open: Option<&FolderName>,
    ) -> Result<(), Stop> {
        let names = self.events(&info).contains(&Event::MailboxName);
        let subscriptions = self.events(&info).contains(&Event::SubscriptionChange);
        let flags = self.events(&info).contains(&Event::FlagChange);
        let Some(known) = self.folders.get_mut(&info.id) else {
            if names {
                line(out, &info, attributes(&info), None);
            }
            let known = self.watch(account, info).await?;
            if let Some(watched) = &known.watched
                && watched.told.messages > 0
            {
                watched.told.tell(out, &known.info.name);
            }
            self.folders.insert(known.info.id, known);
            return Ok(());
        };
        let renamed = known.info.name != info.name;
        if renamed && names {
            line(out, &info, attributes(&info), Some(&known.info.name));
        }
        if known.info.subscribed != info.subscribed && subscriptions {
            line(out, &info, attributes(&info), None);
        }
        let refit = renamed || known.info.subscribed != info.subscribed || known.info.selectable != info.selectable;
        known.info = info;
        if known.watched.as_ref().is_some_and(|watched| !watched.folder.rights().contains(Rights::READ)) {
            // Taken away meanwhile, and with it every word about what comes there.
            known.watched = None;
        }
        if let Some(watched) = &mut known.watched {
            let counts = Counts::of(&watched.views.borrow_and_update());
            let moved = counts.uid_next != watched.told.uid_next || counts.messages < watched.told.messages;
            let told = moved || counts.uid_validity != watched.told.uid_validity || (flags && counts != watched.told);
            watched.told = counts;
            // The folder that is open is told of by its own responses.
            if told && Some(&known.info.name) != open {
                counts.tell(out, &known.info.name);
            }
        }
        if refit {
            let info = known.info.clone();
            let known = self.watch(account, info).await?;
            self.folders.insert(known.info.id, known);
        }
        Ok(())
    }
}

fn attributes(info: &FolderInfo) -> &'static [&'static str] {
    match (info.subscribed, info.selectable) {
        (true, true) => &["\\Subscribed"],
        (true, false) => &["\\Subscribed", "\\Noselect"],
        (false, true) => &[],
        (false, false) => &["\\Noselect"],
    }
}

fn line(out: &mut Output, info: &FolderInfo, attributes: &[&str], old: Option<&FolderName>) {
    let line = ListLine {
        kind: ListKind::List,
        attributes,
        name: info.name.as_str(),
        child_subscribed: false,
        old_name: old.map(FolderName::as_str),
        names: out.names,
    };
    response::list(out.buffer(), &line);
}

/// Tells that notifications end, as by `NOTIFY NONE` (RFC 5465 §3.1).
pub(super) fn overflow(out: &mut Output) -> Result<(), Ended> {
    out.line(format_args!("* OK [NOTIFICATIONOVERFLOW] Too much to watch, ask again for less"));
    Ok(())
}
