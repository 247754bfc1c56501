//! What a client of NOTIFY is told between commands (RFC 5465).
//!
//! The mailbox has one counter that any change of it moves: a session waits on that, and then looks at its own list of
//! folders, which costs a comparison of a few numbers for each folder watched. What was told last is kept, not what is to be
//! told: nothing queues up, however long a client does not read, and any number of changes is told as one.
//!
//! Invariants: at most [`MAX_WATCHED`] folders are watched; between two looks passes at least [`PAUSE`]; at most [`MAX_OWN`]
//! changes of the session's own are remembered, those beyond are told as anybody's.
//!
//! [`names`]: which names are told; [`annotations`]: which annotations; [`own`]: what the session did itself.

mod annotations;
mod names;
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mail::{FolderName, ModSeq, Rights, Uid, UidValidity, View};
use tokio::sync::watch;
use tokio::time::Instant;

use self::annotations::Annotations;
pub(super) use self::own::Own;
use super::Ended;
use super::output::Output;
use super::reply::Stop;
use crate::backend::{Account, Failure, FolderInfo};
use crate::command::{FetchItem, StatusItem};
use crate::notify::{Event, Filter, Group};
use crate::response;

/// Most folders whose messages one session watches: each costs a receiver and keeps a picture in memory.
pub(super) const MAX_WATCHED: usize = 256;
/// The shortest time between two looks: a burst of deliveries is told as one.
const PAUSE: Duration = Duration::from_millis(200);
/// The same after a look that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Most changes of the session's own between two looks: a client may send many commands at once.
const MAX_OWN: usize = 200;

/// What is to be told of the folder that is open.
#[derive(Clone, Debug)]
pub(super) struct OfSelected {
    /// Expunges wait for a command.
    pub(super) delayed: bool,
    /// What is fetched of new messages.
    pub(super) items: Vec<FetchItem>,
    /// `FlagChange`: a change of flags is worth a word by itself.
    pub(super) flags: bool,
}

/// What a client wants to be told, and what it was told.
pub(super) struct Notifying {
    groups: Vec<Group>,
    /// `None`: nothing between commands.
    pub(super) selected: Option<OfSelected>,
    counter: watch::Receiver<u64>,
    /// `None`: nobody asked for them.
    annotations: Option<Annotations>,
    /// Not before.
    next: Instant,
    /// By the number that a folder keeps when it is renamed.
    folders: BTreeMap<u64, Known>,
    /// Since the last look.
    own: Vec<Own>,
}

/// A folder as it was told last.
struct Known {
    info: FolderInfo,
    watched: Option<Watched>,
}

struct Watched {
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

/// Whether a name fits a filter.
fn fits(filter: &Filter, name: &FolderName, subscribed: bool) -> bool {
    match filter {
        Filter::Selected | Filter::SelectedDelayed => false,
        Filter::Inboxes => name.is_inbox(),
        Filter::Personal => true,
        Filter::Subscribed => subscribed,
        Filter::Subtree(named) => named.iter().flatten().any(|above| name == above || name.is_under(above)),
        Filter::Mailboxes(named) => named.iter().flatten().any(|one| name == one),
    }
}

impl Notifying {
    /// Begins to watch; what there is now counts as told, and is told with `status`.
    pub(super) async fn new(
        account: &dyn Account,
        out: &mut Output,
        groups: Vec<Group>,
        status: bool,
        open: Option<u64>,
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
            let flags = group.events.contains(&Event::FlagChange);
            items.map(|items| OfSelected { delayed, items, flags })
        });
        let mut counter = account.changes().await?;
        counter.mark_unchanged();
        let of_annotations =
            |event: &Event| matches!(event, Event::MailboxMetadataChange | Event::ServerMetadataChange);
        let wanted = groups.iter().flat_map(|group| &group.events).any(of_annotations);
        let annotations = Annotations::new(account, wanted).await?;
        let (next, folders, own) = (Instant::now(), BTreeMap::new(), Vec::new());
        let mut this = Notifying { groups, selected, counter, annotations, next, folders, own };
        let now = account.folders().await?;
        let picture = names::Now::new(&now);
        for info in &now {
            let known = this.watch(account, info.clone()).await?;
            this.folders.insert(known.info.id, known);
        }
        if this.folders.values().filter(|k| k.watched.is_some()).count() > MAX_WATCHED {
            return Err(Refused::TooMany);
        }
        for info in &now {
            // RFC 5465 §3.1: it can be listed, and not what was asked for.
            if !info.rights.contains(Rights::READ) && names::reads(this.events(info)) {
                let names = out.names;
                response::list(out.buffer(), &picture.closed(&info.name).as_list(names));
            }
        }
        if status {
            for known in this.folders.values().filter(|k| Some(k.info.id) != open) {
                if let Some(watched) = &known.watched {
                    watched.told.tell(out, &known.info.name);
                }
            }
        }
        Ok(this)
    }

    /// The events wanted of a folder.
    fn events(&self, folder: &FolderInfo) -> &[Event] {
        self.events_of(&folder.name, folder.subscribed)
    }

    /// The events wanted of a name.
    fn events_of(&self, name: &FolderName, subscribed: bool) -> &[Event] {
        events_of(&self.groups, name, subscribed)
    }

    /// A command of this session did this.
    pub(super) fn did(&mut self, own: Own) {
        if self.own.len() < MAX_OWN {
            self.own.push(own);
        }
        // It may have changed nothing: the next look forgets it all the same.
        self.counter.mark_changed();
    }

    async fn watch(&self, account: &dyn Account, info: FolderInfo) -> Result<Known, Failure> {
        let wanted = self.events(&info).iter().any(|e| matches!(e, Event::MessageNew(_)));
        let enough = self.folders.values().filter(|k| k.watched.is_some()).count() > MAX_WATCHED;
        if !wanted || !info.selectable || !info.rights.contains(Rights::READ) || enough {
            return Ok(Known { info, watched: None });
        }
        let watched = match account.open(&info.name).await {
            Ok(folder) => {
                let mut views = folder.view();
                let told = Counts::of(&views.borrow_and_update());
                Some(Watched { views, told })
            }
            // Gone meanwhile, or no longer to be read: the next look finds it.
            Err(Failure::NonExistent | Failure::NoPermission) => None,
            Err(failure) => return Err(failure),
        };
        Ok(Known { info, watched })
    }

    /// Waits until there may be something to tell.
    pub(super) async fn changed(&mut self) {
        let annotations = async {
            match &mut self.annotations {
                Some(annotations) => annotations.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = annotations => {}
            () = moved(&mut self.counter) => {}
        }
        tokio::time::sleep_until(self.next).await;
    }

    /// Whether there may be something to tell.
    fn has_changed(&self) -> bool {
        self.counter.has_changed().unwrap_or(false) || self.annotations.as_ref().is_some_and(Annotations::has_changed)
    }

    /// The client has another folder open, or none: of the one it had it was told no more than its own responses said.
    pub(super) fn left(&mut self) {
        self.counter.mark_changed();
    }

    /// Tells what happened elsewhere than in the folder that is open. `false`: there is too much to watch.
    pub(super) async fn tell(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        open: Option<u64>,
    ) -> Result<bool, Stop> {
        if !self.has_changed() || Instant::now() < self.next {
            return Ok(true);
        }
        self.counter.mark_unchanged();
        self.next = Instant::now() + PAUSE;
        let own = std::mem::take(&mut self.own);
        let looked = self.look(account, out, open, &own).await;
        if looked.is_err() {
            // Again, and not at once: what was told already is told twice rather than not at all.
            self.own.splice(0..0, own);
            self.counter.mark_changed();
            self.next = Instant::now() + AGAIN;
        }
        looked
    }

    async fn look(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        open: Option<u64>,
        own: &[Own],
    ) -> Result<bool, Stop> {
        let now = account.folders().await?;
        for line in names::changed(self, &self.folders, &now, own) {
            let names = out.names;
            response::list(out.buffer(), &line.as_list(names));
            out.room().await?;
        }
        let ids: BTreeSet<u64> = now.iter().map(|folder| folder.id).collect();
        self.folders.retain(|id, _| ids.contains(id));
        for info in &now {
            out.room().await?;
            self.folder(account, out, info.clone(), open).await?;
        }
        if let Some(annotations) = &mut self.annotations {
            let groups = &self.groups;
            let events = |folder: Option<&FolderInfo>| match folder {
                Some(folder) => events_of(groups, &folder.name, folder.subscribed),
                None => of_the_mailbox(groups),
            };
            for changed in annotations.look(account, &now, events, own).await? {
                let names = out.names;
                response::metadata_changed(out.buffer(), names, changed.of.as_ref(), &changed.entries);
                out.room().await?;
            }
        }
        Ok(self.folders.values().filter(|k| k.watched.is_some()).count() <= MAX_WATCHED)
    }

    /// Tells what happened in one folder, and goes on or stops watching it.
    async fn folder(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        info: FolderInfo,
        open: Option<u64>,
    ) -> Result<(), Stop> {
        let flags = self.events(&info).contains(&Event::FlagChange);
        let Some(known) = self.folders.get_mut(&info.id) else {
            return self.begin(account, out, info, open, None).await;
        };
        let fits_anew = known.info.name != info.name
            || known.info.subscribed != info.subscribed
            || known.info.selectable != info.selectable;
        let opened = !known.info.rights.contains(Rights::READ) && info.rights.contains(Rights::READ);
        known.info = info;
        if !known.info.rights.contains(Rights::READ) {
            // Taken away meanwhile, and with it every word about what comes there.
            known.watched = None;
        }
        if let Some(watched) = &mut known.watched {
            let counts = Counts::of(&watched.views.borrow_and_update());
            let moved = counts.uid_next != watched.told.uid_next || counts.messages < watched.told.messages;
            let told = moved || counts.uid_validity != watched.told.uid_validity || (flags && counts != watched.told);
            if Some(known.info.id) != open {
                watched.told = counts;
                if told {
                    counts.tell(out, &known.info.name);
                }
            } else if self.selected.is_some() {
                // It is told of by its own responses; where none were asked for, once it is left.
                watched.told = counts;
            }
        }
        if opened || fits_anew {
            // Watched again where the right to read came back (RFC 5465 §5.9).
            let (info, told) = (known.info.clone(), known.watched.as_ref().map(|watched| watched.told));
            return self.begin(account, out, info, open, told).await;
        }
        Ok(())
    }

    /// Begins to watch a folder, and tells what the client does not know: everything, if it was told nothing of it.
    async fn begin(
        &mut self,
        account: &dyn Account,
        out: &mut Output,
        info: FolderInfo,
        open: Option<u64>,
        told: Option<Counts>,
    ) -> Result<(), Stop> {
        let known = self.watch(account, info).await?;
        if let Some(watched) = &known.watched
            && told.map_or(watched.told.messages > 0, |told| told != watched.told)
            && Some(known.info.id) != open
        {
            watched.told.tell(out, &known.info.name);
        }
        self.folders.insert(known.info.id, known);
        Ok(())
    }
}

/// Waits until a counter moves. It is as if not seen then, so that who gives this waiting up before its end is woken again at once.
async fn moved(counter: &mut watch::Receiver<u64>) {
    // A counter that is gone never moves again, though its last move may not have been seen.
    if counter.changed().await.is_err() || counter.has_changed().is_err() {
        std::future::pending::<()>().await;
    }
    counter.mark_changed();
}

/// The events wanted of a name: those of the first group it fits.
fn events_of<'g>(groups: &'g [Group], name: &FolderName, subscribed: bool) -> &'g [Event] {
    groups.iter().find(|group| fits(&group.filter, name, subscribed)).map_or(&[], |group| &group.events)
}

/// The events wanted of the mailbox itself: whichever group asks for them.
fn of_the_mailbox(groups: &[Group]) -> &[Event] {
    let wants = |group: &&Group| group.events.contains(&Event::ServerMetadataChange);
    groups.iter().find(wants).map_or(&[], |group| &group.events)
}

/// Tells that notifications end, as by `NOTIFY NONE` (RFC 5465 §3.1).
pub(super) fn overflow(out: &mut Output) -> Result<(), Ended> {
    out.line(format_args!("* OK [NOTIFICATIONOVERFLOW] Too much to watch, ask again for less"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mailbox that is deleted moves its counter once more, and drops it.
    #[tokio::test]
    async fn a_counter_that_is_gone_wakes_nobody() {
        let (sender, mut counter) = watch::channel(0);
        sender.send_modify(|n| *n += 1);
        moved(&mut counter).await;
        moved(&mut counter).await;
        drop(sender);
        let waited = tokio::time::timeout(Duration::from_millis(50), moved(&mut counter));
        waited.await.expect_err("it would be woken for ever");
    }
}
