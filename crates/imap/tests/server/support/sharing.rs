//! Rights, quota and annotations of the mailbox in memory: what the tests set is what is answered. Nothing but what the
//! server itself decides by rights is enforced here; that is the operator's, and tested there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use imap::administration::{Administration, EntryName, Grantable, Mark, Modification, QuotaStatus};
use imap::backend::{Account, Failure, Result};
use mail::{FolderName, Rights};
use tokio::sync::watch;

use super::memory::Session;

/// The longest value of an annotation.
pub const ANNOTATION_LIMIT: usize = 64;
/// The most annotations of a folder.
pub const ANNOTATIONS: usize = 3;

type Entries = BTreeMap<String, Rights>;
type Annotations = BTreeMap<(Option<FolderName>, EntryName), Vec<u8>>;

#[derive(Default)]
pub struct Sharing {
    /// What the session may do, by folder; everything where nothing is said.
    mine: Mutex<BTreeMap<FolderName, Arc<Mutex<Rights>>>>,
    acl: Mutex<BTreeMap<FolderName, Entries>>,
    annotations: Mutex<Annotations>,
    annotated: watch::Sender<u64>,
    /// Limits of octets and messages.
    pub limits: Mutex<(Option<u64>, Option<u64>)>,
    /// The right to open the mailbox ended.
    pub ended: AtomicBool,
}

/// What a session may do in a folder it opened.
pub struct Guarded(Arc<Mutex<Rights>>);

impl Guarded {
    pub fn now(&self) -> Rights {
        *self.0.lock().expect("no panic")
    }
}

impl Sharing {
    /// The session may do this in a folder from now on.
    pub fn allow(&self, folder: &str, rights: &str) {
        let name = FolderName::new(folder).expect("valid");
        *self.rights(&name).0.lock().expect("no panic") = rights.parse().expect("rights");
    }

    pub fn rights(&self, folder: &FolderName) -> Guarded {
        let mut mine = self.mine.lock().expect("no panic");
        Guarded(Arc::clone(mine.entry(folder.clone()).or_insert_with(|| Arc::new(Mutex::new(Rights::ALL)))))
    }
}

impl Session {
    fn seen(&self, folder: &FolderName) -> Result<Rights> {
        let rights = self.0.shared.rights(folder).now();
        if self.0.has(folder) && rights.contains(Rights::LOOKUP) { Ok(rights) } else { Err(Failure::NonExistent) }
    }

    fn administered(&self, folder: &FolderName) -> Result<()> {
        if self.seen(folder)?.contains(Rights::ADMINISTER) { Ok(()) } else { Err(Failure::NoPermission) }
    }
}

#[async_trait]
impl Administration for Session {
    async fn still_open(&self) -> bool {
        !self.0.shared.ended.load(Ordering::SeqCst)
    }

    async fn my_rights(&self, folder: &FolderName) -> Result<Rights> {
        self.seen(folder)
    }

    async fn acl(&self, folder: &FolderName) -> Result<Vec<(String, Rights)>> {
        self.administered(folder)?;
        let acl = self.0.shared.acl.lock().expect("no panic");
        Ok(acl.get(folder).into_iter().flatten().map(|(who, rights)| (who.clone(), *rights)).collect())
    }

    async fn set_acl(&self, folder: &FolderName, identifier: &str, how: Modification, rights: Rights) -> Result<()> {
        self.administered(folder)?;
        let mut acl = self.0.shared.acl.lock().expect("no panic");
        let kept = acl.entry(folder.clone()).or_default().entry(identifier.to_owned()).or_default();
        *kept = match how {
            Modification::Replace => rights,
            Modification::Add => kept.with(rights),
            Modification::Remove => kept.without(rights),
        };
        Ok(())
    }

    async fn delete_acl(&self, folder: &FolderName, identifier: &str) -> Result<()> {
        self.administered(folder)?;
        self.0.shared.acl.lock().expect("no panic").entry(folder.clone()).or_default().remove(identifier);
        Ok(())
    }

    async fn list_rights(&self, folder: &FolderName, _: &str) -> Result<Grantable> {
        self.administered(folder)?;
        Ok(Grantable { required: Rights::LOOKUP, optional: Rights::ALL.without(Rights::LOOKUP) })
    }

    async fn quota(&self) -> Result<QuotaStatus> {
        let (octets, messages) = self.0.usage();
        let (octets_limit, messages_limit) = *self.0.shared.limits.lock().expect("no panic");
        Ok(QuotaStatus { octets, octets_limit, messages, messages_limit })
    }

    fn annotation_limit(&self) -> usize {
        ANNOTATION_LIMIT
    }

    async fn annotations(&self, of: Option<&FolderName>) -> Result<Vec<(EntryName, Vec<u8>)>> {
        if let Some(folder) = of {
            self.seen(folder)?;
        }
        let kept = self.0.shared.annotations.lock().expect("no panic");
        let here = kept.iter().filter(|((folder, _), _)| folder.as_ref() == of);
        Ok(here.map(|((_, name), value)| (name.clone(), value.clone())).collect())
    }

    async fn marks(&self) -> Result<Vec<((Option<u64>, EntryName), Mark)>> {
        let ids: BTreeMap<FolderName, u64> =
            self.folders().await?.into_iter().map(|folder| (folder.name, folder.id)).collect();
        let kept = self.0.shared.annotations.lock().expect("no panic");
        let here = kept.iter().filter_map(|((folder, name), value)| {
            let of = match folder {
                Some(folder) => Some(*ids.get(folder)?),
                None => None,
            };
            Some(((of, name.clone()), Mark::of(value)))
        });
        Ok(here.collect())
    }

    async fn annotation_changes(&self) -> Result<watch::Receiver<u64>> {
        Ok(self.0.shared.annotated.subscribe())
    }

    async fn annotate(&self, of: Option<&FolderName>, changes: Vec<(EntryName, Option<Vec<u8>>)>) -> Result<()> {
        if let Some(folder) = of {
            self.seen(folder)?;
        }
        let mut kept = self.0.shared.annotations.lock().expect("no panic");
        for (name, value) in changes {
            let key = (of.cloned(), name);
            match value {
                Some(value) => kept.insert(key, value),
                None => kept.remove(&key),
            };
            if kept.keys().filter(|(folder, _)| folder.as_ref() == of).count() > ANNOTATIONS {
                return Err(Failure::Limit("too many annotations"));
            }
        }
        self.0.shared.annotated.send_modify(|n| *n += 1);
        Ok(())
    }
}
