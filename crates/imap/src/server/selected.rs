//! The folder a session has open, as its client knows it.
//!
//! [`Selected::told`] is the picture the client has been told of: sequence numbers are positions in it. The store's own picture
//! ([`Selected::latest`]) runs ahead. [`Selected::tell`] brings the client forward where RFC 3501 §7.4.1 and §5.5 allow:
//!
//! * EXPUNGE changes numbers, so it is held back during FETCH, STORE and SEARCH by sequence number and while no command is
//!   in progress; meanwhile new messages are told all the same: EXISTS counts those that are gone and not told yet
//!   (RFC 5465 §6.1.2 wants only the EXPUNGE delayed);
//! * flag changes of messages the client knows are told always, and then marked in `told` so as not to be told twice;
//! * with CONDSTORE, no MODSEQ is told above [`Selected::complete`] while something below it is held back: a client may take
//!   the highest MODSEQ it saw for the point up to which it knows everything (RFC 7162 §3.2.5), and come back with it.

use std::ops::Range;
use std::sync::Arc;

use mail::sequence::{Number, Ranges, SequenceSet};
use mail::{Entry, Flags, FolderName, Keywords, ModSeq, Rights, Uid, View};
use tokio::sync::watch;

use super::Ended;
use super::enabled::Enabled;
use super::output::Output;
use super::reply::Reply;
use super::resync;
use crate::backend::OpenFolder;
use crate::command::Numbers;
use crate::response::Fetch;

/// Messages that are gone and whose EXPUNGE is held back, beyond which new mail waits with it: each session keeps its own picture of
/// a folder from the first new message told behind one, and somebody may make messages come and go for as long as it holds.
const MOST_HELD: usize = 1000;

/// Whether EXPUNGE may be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expunges {
    /// Yes.
    Tell,
    /// Not now.
    Hold,
}

/// A selected folder.
pub(super) struct Selected {
    pub(super) name: FolderName,
    pub(super) folder: Arc<dyn OpenFolder>,
    /// What the client knows.
    pub(super) told: Arc<View>,
    /// EXAMINE.
    pub(super) read_only: bool,
    /// What the session has enabled.
    pub(super) enabled: Enabled,
    /// The MODSEQ up to which the client was told everything.
    pub(super) complete: ModSeq,
    /// `$`: the UIDs that the last search with SAVE kept (RFC 5182). Those expunged since are passed over, as UIDs are.
    pub(super) saved: Ranges,
    /// The first UID that NOTIFY did not fetch yet.
    pub(super) unfetched: Uid,
    /// What the command under way put here: NOTIFY does not fetch it (RFC 5465 §5.2).
    pub(super) own: Vec<Uid>,
    /// The [`extent`] of the store's picture that the client was told of last.
    seen: (Uid, usize),
    views: watch::Receiver<Arc<View>>,
}

impl Selected {
    /// Opens the folder for the client: what there is now is what it will be told by SELECT.
    pub(super) fn new(name: FolderName, folder: Arc<dyn OpenFolder>, read_only: bool, enabled: Enabled) -> Self {
        let mut views = folder.view();
        let told = views.borrow_and_update().clone();
        let complete = told.highest_modseq;
        let unfetched = told.uid_next;
        let seen = extent(&told);
        Selected {
            name,
            folder,
            told,
            read_only,
            enabled,
            complete,
            saved: Ranges::default(),
            unfetched,
            own: Vec::new(),
            seen,
            views,
        }
    }

    /// The same for a client that was told of a moment that may be over.
    pub(super) fn of(
        name: FolderName,
        folder: Arc<dyn OpenFolder>,
        told: Arc<View>,
        read_only: bool,
        enabled: Enabled,
    ) -> Self {
        let mut selected = Selected::new(name, folder, read_only, enabled);
        if !Arc::ptr_eq(&selected.told, &told) {
            selected.complete = told.highest_modseq;
            selected.unfetched = told.uid_next;
            selected.seen = extent(&told);
            selected.told = told;
            selected.views.mark_changed();
        }
        selected
    }

    /// The flags that may be changed here; none when it is open read-only.
    pub(super) fn permanent(&self) -> Flags {
        if self.read_only { Flags::NONE } else { self.folder.rights().flags() }
    }

    /// The store's picture of this moment.
    pub(super) fn latest(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Waits until there is something new.
    pub(super) async fn changed(&mut self) {
        if self.views.changed().await.is_err() {
            // The store let the folder go: nothing will ever change.
            std::future::pending::<()>().await;
        }
    }

    /// Tells the client what happened since it was told last. With [`Numbers::Uid`] each FETCH carries the UID, and with
    /// [`Enabled::FLAG_CHANGE`] whatever the numbers.
    pub(super) async fn tell(&mut self, out: &mut Output, expunges: Expunges, numbers: Numbers) -> Result<(), Ended> {
        let latest = self.views.borrow_and_update().clone();
        if Arc::ptr_eq(&latest, &self.told) {
            return Ok(());
        }
        let numbers = if self.enabled.has(Enabled::FLAG_CHANGE) { Numbers::Uid } else { numbers };
        if latest.uid_validity != self.told.uid_validity {
            // Another folder took the place: no number the client has means anything any more.
            return Err(Ended::Bye("The folder was replaced, open it again"));
        }
        if latest.keywords != self.told.keywords {
            permanent_flags(out, &latest.keywords, self.permanent());
        }
        self.seen = extent(&latest);
        let difference = latest.difference(&self.told);
        let hold = !difference.expunged.is_empty() && expunges == Expunges::Hold;
        if hold {
            if difference.expunged.len() <= MOST_HELD {
                self.tell_added(out, &latest, difference.added);
            }
        } else {
            self.tell_expunged(out, &difference.expunged).await?;
            if difference.added > 0 {
                out.line(format_args!("* {} EXISTS", latest.len()));
            }
        }
        let limit = if hold { self.complete } else { latest.highest_modseq };
        for position in &difference.changed {
            // Both positions exist: the difference is of these two views.
            let Some(entry) = latest.get(*position).copied() else { continue };
            let Ok(known) = self.told.position(entry.uid) else { continue };
            let same = self.told.get(known).is_some_and(|old| old.flags == entry.flags);
            if !same || self.enabled.has(Enabled::CONDSTORE) {
                let number = if hold { known } else { *position };
                self.tell_flags(out, number, &entry, Some(&latest.keywords), numbers, limit);
                out.room().await?;
            }
            if hold {
                self.mark(&entry);
            }
        }
        if hold {
            self.mark_keywords(&latest.keywords);
        } else {
            self.complete = latest.highest_modseq;
            self.told = latest;
        }
        Ok(())
    }

    /// The number of the folder, which it keeps when it is renamed.
    pub(super) fn number(&self) -> u64 {
        self.folder.id().folder.into()
    }

    /// Whether messages came or went that the client was not told of, and may be told of now.
    pub(super) fn has_other_messages(&self, expunges: Expunges) -> bool {
        let known = match expunges {
            Expunges::Tell => extent(&self.told),
            // What is held back is not news.
            Expunges::Hold => self.seen,
        };
        extent(&self.views.borrow()) != known
    }

    /// The command under way put these messages into a folder.
    pub(super) fn made(&mut self, folder: &FolderName, uids: impl Iterator<Item = Uid>) {
        if *folder == self.name {
            self.own.extend(uids);
        }
    }

    /// The last messages of the store's picture, told after all that the client knows, some of which is gone.
    fn tell_added(&mut self, out: &mut Output, latest: &View, added: usize) {
        if added == 0 {
            return;
        }
        let told = Arc::make_mut(&mut self.told);
        told.extend(latest.range(latest.len() - added..latest.len()).copied());
        out.line(format_args!("* {} EXISTS", told.len()));
    }

    /// EXPUNGE, or VANISHED, of these positions (ascending) of what the client knows.
    async fn tell_expunged(&self, out: &mut Output, expunged: &[usize]) -> Result<(), Ended> {
        if self.enabled.has(Enabled::QRESYNC) || self.enabled.has(Enabled::UIDONLY) {
            let gone: Ranges = expunged.iter().filter_map(|p| self.told.get(*p)).map(|e| e.uid.0).collect();
            return resync::vanished(out, false, &gone).await;
        }
        // From the last to the first: no number moves before it is told.
        for position in expunged.iter().rev() {
            out.line(format_args!("* {} EXPUNGE", position + 1));
            out.room().await?;
        }
        Ok(())
    }

    /// The MODSEQ above which none may be told now, given the store's picture: see [`Selected::complete`].
    pub(super) fn limit(&self, latest: &View) -> ModSeq {
        if self.enabled.has(Enabled::CONDSTORE) && !latest.difference(&self.told).expunged.is_empty() {
            self.complete
        } else {
            latest.highest_modseq
        }
    }

    /// What UNCHANGEDSINCE stands for: who names the highest MODSEQ that could be told knows all that was told (`told` is the picture
    /// before this command), though its MODSEQ may be above.
    pub(super) fn since(&self, named: ModSeq, told: &View) -> ModSeq {
        if named >= self.complete { named.max(told.highest_modseq) } else { named }
    }

    /// Begins the FETCH response of a message, its UID first when `uid`; or UIDFETCH.
    pub(super) fn fetch(&self, out: &mut Output, position: usize, entry: &Entry, uid: bool) -> Fetch {
        if self.enabled.has(Enabled::UIDONLY) {
            return Fetch::begin_uid(out.buffer(), entry.uid);
        }
        let mut fetch = Fetch::begin(out.buffer(), sequence(position));
        if uid {
            fetch.uid(out.buffer(), entry.uid);
        }
        fetch
    }

    /// `* n FETCH (FLAGS (…))` unasked: with the UID in answers to UID commands, with the MODSEQ once CONDSTORE is enabled;
    /// without the flags when there are no `keywords`.
    pub(super) fn tell_flags(
        &self,
        out: &mut Output,
        position: usize,
        entry: &Entry,
        keywords: Option<&Keywords>,
        numbers: Numbers,
        limit: ModSeq,
    ) {
        let uid = numbers == Numbers::Uid || self.enabled.has(Enabled::QRESYNC);
        let mut fetch = self.fetch(out, position, entry, uid);
        if let Some(keywords) = keywords {
            fetch.flags(out.buffer(), entry.flags.names(keywords));
        }
        if self.enabled.has(Enabled::CONDSTORE) {
            fetch.modseq(out.buffer(), entry.modseq.min(limit));
        }
        fetch.end(out.buffer());
    }

    /// Whether what the store has beyond what the client knows is a change of these messages (ascending) and nothing else.
    pub(super) fn only(&self, latest: &View, uids: &[Uid]) -> bool {
        let since = latest.difference(&self.told);
        if !since.expunged.is_empty() || since.added > 0 || since.changed.len() > uids.len() {
            return false;
        }
        // Both ascend, and neighbours are next to each other in both: most often the next UID is it.
        let mut rest = uids;
        since.changed.iter().filter_map(|p| latest.get(*p)).all(|entry| {
            if rest.first().is_some_and(|uid| *uid < entry.uid) {
                rest = &rest[rest.partition_point(|uid| *uid < entry.uid)..];
            }
            rest.split_off_first().is_some_and(|uid| *uid == entry.uid)
        })
    }

    /// The client has been told of everything in this picture by other means.
    pub(super) fn caught_up(&mut self, latest: Arc<View>) {
        self.seen = extent(&latest);
        self.complete = latest.highest_modseq;
        self.told = latest;
    }

    /// The client has been told of this state of a message by other means.
    pub(super) fn mark(&mut self, entry: &Entry) {
        if self.told.find(entry.uid).is_some_and(|old| old != entry) {
            Arc::make_mut(&mut self.told).update(entry.uid, entry.flags, entry.modseq);
        }
    }

    /// The client has been told of these keywords by other means.
    pub(super) fn mark_keywords(&mut self, keywords: &Keywords) {
        if self.told.keywords != *keywords {
            Arc::make_mut(&mut self.told).keywords = keywords.clone();
        }
    }

    /// Where the messages of a set are in what the client knows.
    ///
    /// A sequence number beyond the last message is the client's error, unless the range names `*`: `1:*` of an empty
    /// folder is asked by many and means nothing wrong. UIDs that are not there are passed over (RFC 3501 §6.4.8).
    pub(super) fn positions(&self, set: &SequenceSet, numbers: Numbers) -> Result<Positions, Reply> {
        let ranges = match numbers {
            Numbers::Sequence if !set.is_saved() => {
                let len = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
                let beyond = set.ranges().iter().any(|(from, to)| match (from, to) {
                    (Number::Value(from), Number::Value(to)) => from.get().max(to.get()) > len,
                    _ => false,
                });
                if beyond {
                    return Err(Reply::bad("No message has that number"));
                }
                let resolved = set.resolve(len).up_to(len);
                resolved.ranges().iter().map(|r| *r.start() as usize - 1..*r.end() as usize).collect()
            }
            // What was saved are messages, however they are numbered now.
            Numbers::Uid | Numbers::Sequence => {
                let last = self.told.last().map_or(0, |e| e.uid.0);
                let resolved = if set.is_saved() { self.saved.clone() } else { set.resolve(last) };
                let place = |uid: u32| self.told.position(Uid(uid));
                resolved
                    .ranges()
                    .iter()
                    .map(|r| {
                        let from = place(*r.start()).unwrap_or_else(|next| next);
                        let to = place(*r.end()).map_or_else(|next| next, |at| at + 1);
                        from..to
                    })
                    .filter(|r| !r.is_empty())
                    .collect()
            }
        };
        Ok(Positions(ranges))
    }

    /// The UIDs of these messages that are still there, ascending, and whether any is gone.
    pub(super) fn present(&self, positions: &Positions) -> (Vec<Uid>, bool) {
        let latest = self.latest();
        let whole = Arc::ptr_eq(&latest, &self.told);
        let mut gone = false;
        let mut uids = Vec::with_capacity(positions.count());
        let mut there = latest.follow();
        for entry in positions.ranges().iter().flat_map(|range| self.told.range(range.clone())) {
            if whole || there.find(entry.uid).is_some() {
                uids.push(entry.uid);
            } else {
                gone = true;
            }
        }
        (uids, gone)
    }
}

/// UIDNEXT and the number of messages: one of them changes when a message comes or goes.
fn extent(view: &View) -> (Uid, usize) {
    (view.uid_next, view.len())
}

/// Positions (from 0) in a view: ascending ranges, so that `1:*` costs nothing to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions(Vec<Range<usize>>);

impl Positions {
    /// The ranges, ascending.
    pub(super) fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().flat_map(Clone::clone)
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Of positions in ascending order.
impl FromIterator<usize> for Positions {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for position in positions {
            match ranges.last_mut() {
                Some(range) if range.end == position => range.end += 1,
                _ => ranges.push(position..position + 1),
            }
        }
        Positions(ranges)
    }
}

/// The sequence number of a position. A folder has fewer messages than there are UIDs, which have 32 bits.
pub(super) fn sequence(position: usize) -> u32 {
    u32::try_from(position + 1).unwrap_or(u32::MAX)
}

/// `* FLAGS` and `* OK [PERMANENTFLAGS]`: every flag there is, those that may be changed, and whether new keywords can be made.
pub(super) fn permanent_flags(out: &mut Output, keywords: &Keywords, permanent: Flags) {
    let list = |wanted: Flags| {
        let system = Flags::SYSTEM.iter().map(|(flag, name)| (*flag, *name));
        let named = (0..).zip(keywords.names()).filter_map(|(i, name)| Some((Flags::keyword(i)?, &**name)));
        let names: Vec<&str> = system.chain(named).filter(|(flag, _)| wanted.contains(*flag)).map(|(_, n)| n).collect();
        names.join(" ")
    };
    out.line(format_args!("* FLAGS ({})", list(Rights::ALL.flags())));
    if permanent.is_empty() {
        out.line(format_args!("* OK [PERMANENTFLAGS ()] Nothing can be changed"));
    } else {
        let new = if keywords.has_room() && permanent.contains(Rights::WRITE.flags()) { " \\*" } else { "" };
        out.line(format_args!("* OK [PERMANENTFLAGS ({}{new})] Flags that last", list(permanent)));
    }
}
