//! A mail service in memory: one mailbox, the semantics of [`imap::backend`], counters that tests look at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use imap::backend::{
    Account, Append, AuthFailure, Backend, Complete, Copied, Credentials, Failure, FlagChange, FlagOperation,
    FolderInfo, FolderStatus, Mechanism, MessageBody, NewMessage, ObjectId, OpenFolder, Opening, Peer, Result, Seeking,
    Vanished,
};
use mail::bits::Bits;
use mail::mime::Structure;
use mail::sought::Sought;
use mail::{Entry, Flags, FolderName, Keywords, ModSeq, Outline, Rights, SpecialUse, Uid, UidValidity, View};
use tokio::sync::watch;

use super::reads::{Reads, UnderWay};
use super::sharing::{Guarded, Sharing};

/// The largest message taken.
pub const APPEND_LIMIT: u64 = 30 * 1024 * 1024;

/// A message's octets.
enum Octets {
    Real(Bytes),
    /// A header and so many times `x`, which takes no memory.
    Synthetic {
        header: Bytes,
        len: u64,
    },
    Gone,
}

struct Folder {
    view: watch::Sender<Arc<View>>,
    subscribed: AtomicBool,
    special_use: Option<SpecialUse>,
    /// What was expunged, and at which MODSEQ; what is below `forgotten` is no longer there.
    expunged: Mutex<Vec<(ModSeq, Uid)>>,
    forgotten: AtomicU64,
    id: u64,
    counter: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Bodies {
    next: u64,
    octets: BTreeMap<u64, (Arc<Octets>, Option<Structure>)>,
}

/// The mailbox.
pub struct Mailbox {
    folders: Mutex<BTreeMap<FolderName, Arc<Folder>>>,
    bodies: Mutex<Bodies>,
    validity: AtomicU64,
    /// Moved by any change.
    counter: Arc<watch::Sender<u64>>,
    /// Octets of messages read.
    pub octets_read: AtomicU64,
    /// Structures asked for.
    pub structures_read: AtomicUsize,
    /// Bodies in which texts were sought.
    pub bodies_sought: AtomicUsize,
    /// How long each of them takes.
    pub seek_takes: Mutex<std::time::Duration>,
    /// What the administration of the mailbox keeps.
    pub shared: Sharing,
    /// Appends refuse with [`Failure::Unavailable`] after their first piece.
    pub disk_full: AtomicBool,
    /// How folders are read.
    pub reads: watch::Sender<Reads>,
    /// Folders that are being read.
    pub reading: Arc<watch::Sender<usize>>,
}

/// What a test's server has behind it.
pub struct Memory {
    pub mailbox: Arc<Mailbox>,
    pub mechanisms: Vec<Mechanism>,
    pub preauthenticated: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds a lock")
}

impl Mailbox {
    pub fn new() -> Arc<Self> {
        let mailbox = Mailbox {
            folders: Mutex::default(),
            bodies: Mutex::default(),
            validity: AtomicU64::new(100),
            counter: Arc::new(watch::Sender::new(0)),
            octets_read: AtomicU64::new(0),
            structures_read: AtomicUsize::new(0),
            bodies_sought: AtomicUsize::new(0),
            seek_takes: Mutex::default(),
            shared: Sharing::default(),
            disk_full: AtomicBool::new(false),
            reads: watch::Sender::new(Reads::First),
            reading: Arc::new(watch::Sender::new(0)),
        };
        mailbox.make(&FolderName::inbox(), None);
        mailbox.make(&FolderName::new("Sent").expect("valid"), Some(SpecialUse::Sent));
        Arc::new(mailbox)
    }

    /// Makes a folder; `false` when there is one of that name.
    fn make(&self, name: &FolderName, special_use: Option<SpecialUse>) -> bool {
        let mut folders = lock(&self.folders);
        if folders.contains_key(name) {
            return false;
        }
        let validity = UidValidity(self.validity.fetch_add(1, Ordering::SeqCst) as u32);
        let view = View::empty(validity, Uid(1), ModSeq(1), Keywords::default());
        let (view, _) = watch::channel(Arc::new(view));
        folders.insert(
            name.clone(),
            Arc::new(Folder {
                view,
                subscribed: AtomicBool::new(true),
                special_use,
                expunged: Mutex::default(),
                forgotten: AtomicU64::new(0),
                id: validity.0.into(),
                counter: Arc::clone(&self.counter),
            }),
        );
        true
    }

    pub(super) fn usage(&self) -> (u64, u64) {
        let folders = lock(&self.folders);
        let views = folders.values().map(|f| f.view.borrow().clone());
        views.fold((0, 0), |(octets, messages), v| (octets + v.octets(), messages + v.len() as u64))
    }

    pub(super) fn has(&self, name: &FolderName) -> bool {
        lock(&self.folders).contains_key(name)
    }

    fn folder(&self, name: &FolderName) -> Result<Arc<Folder>> {
        lock(&self.folders).get(name).cloned().ok_or(Failure::NonExistent)
    }

    fn put(
        &self,
        folder: &Folder,
        octets: Octets,
        structure: Structure,
        flags: Flags,
        keywords: &[String],
        date: i64,
    ) -> Uid {
        let size = structure.size() as u32;
        let body = {
            let mut bodies = lock(&self.bodies);
            bodies.next += 1;
            let body = bodies.next;
            bodies.octets.insert(body, (Arc::new(octets), Some(structure)));
            body
        };
        let mut given = Uid(0);
        folder.change(|view| {
            let flags = keywords.iter().filter_map(|k| view.keywords.intern(k)).fold(flags, Flags::with);
            given = view.uid_next;
            let modseq = ModSeq(view.highest_modseq.0 + 1);
            view.push(Entry { uid: given, size, flags, modseq, internal_date: date, body, saved: 0, thread: 0 });
        });
        given
    }

    /// A message arrives, as by delivery.
    pub fn deliver(&self, folder: &str, message: &str) -> Uid {
        self.deliver_at(folder, message, Flags::NONE, 1_700_000_000)
    }

    pub fn deliver_at(&self, folder: &str, message: &str, flags: Flags, date: i64) -> Uid {
        let folder = self.folder(&FolderName::new(folder).expect("valid")).expect("exists");
        let message = message.replace('\n', "\r\n");
        let structure = Structure::of(message.as_bytes());
        self.put(&folder, Octets::Real(message.into()), structure, flags, &[], date)
    }

    /// A large message that takes no memory here.
    pub fn deliver_large(&self, body: u64) -> (Uid, u64) {
        let folder = self.folder(&FolderName::inbox()).expect("exists");
        let header = Bytes::from_static(b"Subject: large\r\n\r\n");
        let mut structure = Structure::of(&header);
        let len = header.len() as u64 + body;
        structure.root.body.end = len;
        (self.put(&folder, Octets::Synthetic { header, len }, structure, Flags::NONE, &[], 0), len)
    }

    /// Another session removes messages.
    pub fn remove(&self, folder: &str, uids: &[u32]) {
        let folder = self.folder(&FolderName::new(folder).expect("valid")).expect("exists");
        let uids: Vec<Uid> = uids.iter().copied().map(Uid).collect();
        let bodies: Vec<u64> = uids.iter().filter_map(|u| folder.view.borrow().find(*u).map(|e| e.body)).collect();
        folder.change(|view| {
            view.remove(&uids);
        });
        for body in bodies {
            lock(&self.bodies).octets.insert(body, (Arc::new(Octets::Gone), None));
        }
    }

    /// Forgets what was expunged so far.
    pub fn forget_expunged(&self, folder: &str) {
        let folder = self.folder(&FolderName::new(folder).expect("valid")).expect("exists");
        let highest = folder.view.borrow().highest_modseq;
        lock(&folder.expunged).clear();
        folder.forgotten.store(highest.0, Ordering::SeqCst);
    }

    /// The picture of a folder.
    pub fn view(&self, folder: &str) -> Arc<View> {
        self.folder(&FolderName::new(folder).expect("valid")).expect("exists").view.borrow().clone()
    }
}

impl Folder {
    /// No two folders have the same UIDVALIDITY here.
    fn id(&self) -> ObjectId {
        ObjectId { mailbox: 1, folder: self.view.borrow().uid_validity.0 }
    }

    fn change(&self, how: impl FnOnce(&mut View)) {
        self.view.send_modify(|shared| {
            let mut view = View::clone(shared);
            how(&mut view);
            view.highest_modseq = view.highest_modseq.max(ModSeq(shared.highest_modseq.0 + 1));
            let gone = shared.iter().filter(|e| view.find(e.uid).is_none()).map(|e| (view.highest_modseq, e.uid));
            lock(&self.expunged).extend(gone);
            *shared = Arc::new(view);
        });
        self.counter.send_modify(|n| *n += 1);
    }
}

#[async_trait]
impl Backend for Memory {
    fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    async fn authenticate(
        &self,
        _: &Peer,
        credentials: Credentials,
    ) -> std::result::Result<Arc<dyn Account>, AuthFailure> {
        match credentials {
            Credentials::XOAuth2(response) => match response.as_slice() {
                b"user=marie@alpha\x01auth=Bearer good\x01\x01" => Ok(Arc::new(Session(Arc::clone(&self.mailbox)))),
                b"user=marie@alpha\x01auth=Bearer down\x01\x01" => Err(AuthFailure::Unavailable),
                _ => Err(AuthFailure::Refused),
            },
            Credentials::External(identity) if identity.is_empty() || identity == "labo@alpha" => {
                Ok(Arc::new(Session(Arc::clone(&self.mailbox))))
            }
            Credentials::External(_) => Err(AuthFailure::Refused),
        }
    }

    async fn preauthenticate(&self, _: &Peer) -> Option<Arc<dyn Account>> {
        self.preauthenticated.then(|| Arc::new(Session(Arc::clone(&self.mailbox))) as Arc<dyn Account>)
    }
}

pub(super) struct Session(pub(super) Arc<Mailbox>);

#[async_trait]
impl Account for Session {
    fn address(&self) -> &str {
        "marie@alpha"
    }

    fn append_limit(&self) -> u64 {
        APPEND_LIMIT
    }

    async fn folders(&self) -> Result<Vec<FolderInfo>> {
        let info = |(name, folder): (&FolderName, &Arc<Folder>)| FolderInfo {
            id: folder.id,
            name: name.clone(),
            special_use: folder.special_use,
            subscribed: folder.subscribed.load(Ordering::SeqCst),
            selectable: true,
            rights: self.0.shared.rights(name).now(),
        };
        Ok(lock(&self.0.folders).iter().map(info).filter(|info| info.rights.contains(Rights::LOOKUP)).collect())
    }

    async fn create(&self, name: &FolderName, special_use: Option<SpecialUse>) -> Result<ObjectId> {
        if !self.0.make(name, special_use) {
            return Err(Failure::AlreadyExists);
        }
        self.0.counter.send_modify(|n| *n += 1);
        Ok(self.0.folder(name)?.id())
    }

    async fn delete(&self, name: &FolderName) -> Result<()> {
        lock(&self.0.folders).remove(name).ok_or(Failure::NonExistent)?;
        self.0.counter.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn rename(&self, from: &FolderName, to: &FolderName) -> Result<()> {
        let mut folders = lock(&self.0.folders);
        if !folders.contains_key(from) {
            return Err(Failure::NonExistent);
        }
        if folders.contains_key(to) {
            return Err(Failure::AlreadyExists);
        }
        let moved: Vec<FolderName> =
            folders.keys().filter(|name| *name == from || name.is_under(from)).cloned().collect();
        for name in moved {
            let renamed = format!("{}{}", to.as_str(), &name.as_str()[from.as_str().len()..]);
            let folder = folders.remove(&name).expect("listed above");
            folders.insert(FolderName::new(&renamed).expect("short in tests"), folder);
        }
        self.0.counter.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn subscribe(&self, name: &FolderName, subscribed: bool) -> Result<()> {
        self.0.folder(name)?.subscribed.store(subscribed, Ordering::SeqCst);
        self.0.counter.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn status(&self, name: &FolderName) -> Result<FolderStatus> {
        let view = self.0.folder(name)?.view.borrow().clone();
        Ok(FolderStatus {
            messages: view.len() as u32,
            unseen: view.unseen() as u32,
            deleted: view.deleted() as u32,
            size: view.octets(),
            deleted_size: view.iter().filter(|e| e.flags.contains(Flags::DELETED)).map(|e| u64::from(e.size)).sum(),
            uid_next: view.uid_next,
            uid_validity: view.uid_validity,
            highest_modseq: view.highest_modseq,
            id: self.0.folder(name)?.id(),
        })
    }

    async fn open(&self, name: &FolderName) -> Result<Arc<dyn OpenFolder>> {
        let rights = self.0.shared.rights(name);
        Ok(Arc::new(Open { mailbox: Arc::clone(&self.0), folder: self.0.folder(name)?, rights }))
    }

    async fn begin_open(&self, name: &FolderName) -> Result<Opening> {
        let folder = self.open(name).await?;
        let mut reads = self.0.reads.subscribe();
        if *reads.borrow() == Reads::First {
            return Ok(Opening::Open(folder));
        }
        let told = folder.view().borrow().clone();
        let (outline, id, rights) = (Outline::from(&*told), folder.id(), folder.rights());
        let under_way = UnderWay::begin(&self.0.reading);
        let completing = Box::pin(async move {
            let _under_way = under_way;
            let how = *reads.wait_for(|how| *how != Reads::Held).await.map_err(|_| Failure::Unavailable)?;
            if how == Reads::Broken { Err(Failure::Unavailable) } else { Ok(Complete { folder, told }) }
        });
        Ok(Opening::Reading(imap::backend::Reading { outline, id, rights, completing }))
    }

    async fn changes(&self) -> Result<watch::Receiver<u64>> {
        Ok(self.0.counter.subscribe())
    }

    async fn append(&self, to: &FolderName) -> Result<Box<dyn Append>> {
        self.0.folder(to)?;
        Ok(Box::new(Incoming { mailbox: Arc::clone(&self.0), to: to.clone(), messages: Vec::new(), replaced: None }))
    }
}

struct Incoming {
    mailbox: Arc<Mailbox>,
    to: FolderName,
    messages: Vec<(NewMessage, Vec<u8>)>,
    replaced: Option<(Arc<Folder>, Uid)>,
}

#[async_trait]
impl Append for Incoming {
    async fn begin(&mut self, message: NewMessage) -> Result<()> {
        self.messages.push((message, Vec::new()));
        Ok(())
    }

    async fn write(&mut self, piece: &[u8]) -> Result<()> {
        let (_, octets) = self.messages.last_mut().expect("a message was begun");
        octets.extend_from_slice(piece);
        if self.mailbox.disk_full.load(Ordering::SeqCst) { Err(Failure::Unavailable) } else { Ok(()) }
    }

    async fn commit(self: Box<Self>) -> Result<(UidValidity, Vec<Uid>)> {
        let folder = self.mailbox.folder(&self.to)?;
        if let Some((from, uid)) = &self.replaced {
            let mut there = false;
            from.change(|view| {
                there = view.find(*uid).is_some();
                view.remove(&[*uid]);
            });
            if !there {
                return Err(Failure::Expunged);
            }
        }
        let mut uids = Vec::new();
        for (message, octets) in self.messages {
            let structure = Structure::of(&octets);
            let (flags, date) = (message.flags, message.internal_date.unwrap_or(1_700_000_000));
            let octets = Octets::Real(octets.into());
            uids.push(self.mailbox.put(&folder, octets, structure, flags, &message.keywords, date));
        }
        Ok((folder.view.borrow().uid_validity, uids))
    }
}

struct Open {
    mailbox: Arc<Mailbox>,
    folder: Arc<Folder>,
    rights: Guarded,
}

impl Open {
    fn transfer(&self, uids: &[Uid], to: &FolderName) -> Result<Copied> {
        let target = self.mailbox.folder(to)?;
        let here = self.folder.view.borrow().clone();
        let mut copied = Vec::new();
        for entry in uids.iter().filter_map(|u| here.find(*u)) {
            let names: Vec<String> = entry.flags.names(&here.keywords).map(str::to_owned).collect();
            target.change(|view| {
                let uid = view.uid_next;
                let flag = |n: &String| Flags::system(n).or_else(|| view.keywords.intern(n));
                let flags = names.iter().filter_map(flag).fold(Flags::NONE, Flags::with);
                view.push(Entry { uid, flags, modseq: ModSeq(view.highest_modseq.0 + 1), ..*entry });
                copied.push((entry.uid, uid));
            });
        }
        let uid_validity = target.view.borrow().uid_validity;
        Ok(Copied { uid_validity, uids: copied })
    }
}

#[async_trait]
impl OpenFolder for Open {
    fn id(&self) -> ObjectId {
        self.folder.id()
    }

    async fn replace(&self, uid: Uid, to: &FolderName) -> Result<Box<dyn Append>> {
        self.mailbox.folder(to)?;
        let replaced = Some((Arc::clone(&self.folder), uid));
        Ok(Box::new(Incoming { mailbox: Arc::clone(&self.mailbox), to: to.clone(), messages: Vec::new(), replaced }))
    }

    fn rights(&self) -> mail::Rights {
        self.rights.now()
    }

    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.folder.view.subscribe()
    }

    async fn structures(&self, bodies: &[u64]) -> Result<Vec<Option<Structure>>> {
        self.mailbox.structures_read.fetch_add(bodies.len(), Ordering::SeqCst);
        let kept = lock(&self.mailbox.bodies);
        Ok(bodies.iter().map(|b| kept.octets.get(b).and_then(|(_, s)| s.clone())).collect())
    }

    /// Reads what it is asked for, a few bodies at a time, as a backend does that has indexed nothing.
    async fn seek(&self, sought: &[Sought], bodies: &Arc<Vec<u64>>) -> Result<Seeking> {
        const BITE: usize = 2;
        let mut seeking = Seeking { judged: 0, matching: vec![Bits::none(bodies.len()); sought.len()] };
        for (at, body) in (0..).zip(bodies.iter().take(BITE)) {
            seeking.judged += 1;
            self.mailbox.bodies_sought.fetch_add(1, Ordering::SeqCst);
            let takes = *lock(&self.mailbox.seek_takes);
            tokio::time::sleep(takes).await;
            let structure = lock(&self.mailbox.bodies).octets.get(body).and_then(|(_, s)| s.clone());
            let (Some(octets), Some(structure)) = (self.body(*body).await?, structure) else { continue };
            let mut scan = search::Scan::new(&structure, sought);
            while let Some(wanted) = scan.wanted() {
                scan.push(&octets.read(wanted.start, (wanted.end - wanted.start) as usize).await?);
            }
            for (found, matching) in scan.finish().into_iter().zip(&mut seeking.matching) {
                if found {
                    matching.set(at);
                }
            }
        }
        Ok(seeking)
    }

    async fn body(&self, body: u64) -> Result<Option<Box<dyn MessageBody>>> {
        let octets = lock(&self.mailbox.bodies).octets.get(&body).map(|(o, _)| Arc::clone(o));
        let reading = |octets| Box::new(Reading { mailbox: Arc::clone(&self.mailbox), octets }) as Box<dyn MessageBody>;
        Ok(octets.filter(|o| !matches!(**o, Octets::Gone)).map(reading))
    }

    async fn set_flags(&self, change: FlagChange) -> Result<Vec<Uid>> {
        let mut held_back = Vec::new();
        self.folder.change(|view| {
            let named = change.keywords.iter().filter_map(|k| view.keywords.intern(k)).fold(change.flags, Flags::with);
            let modseq = ModSeq(view.highest_modseq.0 + 1);
            for uid in &change.uids {
                let Some(entry) = view.find(*uid).copied() else { continue };
                if change.unchanged_since.is_some_and(|since| entry.modseq > since) {
                    held_back.push(*uid);
                    continue;
                }
                let flags = match change.how {
                    FlagOperation::Replace => named,
                    FlagOperation::Add => entry.flags.with(named),
                    FlagOperation::Remove => entry.flags.without(named),
                };
                if flags != entry.flags {
                    view.update(*uid, flags, modseq);
                }
            }
        });
        Ok(held_back)
    }

    async fn expunge(&self, uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        let mut gone = Vec::new();
        self.folder.change(|view| {
            let goes =
                |e: &&Entry| e.flags.contains(Flags::DELETED) && uids.as_ref().is_none_or(|u| u.contains(&e.uid));
            gone = view.iter().filter(goes).map(|e| e.uid).collect();
            view.remove(&gone);
        });
        Ok(gone)
    }

    async fn vanished(&self, since: ModSeq) -> Result<Vanished> {
        let mut uids: Vec<Uid> =
            lock(&self.folder.expunged).iter().filter(|(modseq, _)| *modseq > since).map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        let complete = since.0 >= self.folder.forgotten.load(Ordering::SeqCst);
        Ok(Vanished { uids: if complete { uids } else { Vec::new() }, complete })
    }

    async fn copy(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied> {
        self.transfer(&uids, to)
    }

    async fn move_to(&self, uids: Vec<Uid>, to: &FolderName) -> Result<Copied> {
        let moved = self.transfer(&uids, to)?;
        self.folder.change(|view| {
            view.remove(&uids);
        });
        Ok(moved)
    }
}

struct Reading {
    mailbox: Arc<Mailbox>,
    octets: Arc<Octets>,
}

#[async_trait]
impl MessageBody for Reading {
    fn len(&self) -> u64 {
        match &*self.octets {
            Octets::Real(octets) => octets.len() as u64,
            Octets::Synthetic { len, .. } => *len,
            Octets::Gone => 0,
        }
    }

    async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        assert!(len <= 64 * 1024, "more was asked for than the contract allows");
        let end = (offset + len as u64).min(self.len());
        self.mailbox.octets_read.fetch_add(end - offset, Ordering::SeqCst);
        Ok(match &*self.octets {
            Octets::Real(octets) => octets.slice(offset as usize..end as usize),
            Octets::Synthetic { header, .. } => {
                let mut octets = vec![b'x'; (end - offset) as usize];
                for (octet, at) in octets.iter_mut().zip(offset..end) {
                    *octet = header.get(at as usize).copied().unwrap_or(b'x');
                }
                octets.into()
            }
            Octets::Gone => Bytes::new(),
        })
    }
}
