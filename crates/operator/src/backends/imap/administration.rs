//! Rights, quota and annotations over the store (RFC 4314, RFC 9208, RFC 5464). Identifiers are national identifiers and
//! `anyone`; what they mean is in [`crate::sharing`].

use async_trait::async_trait;
use imap::administration::{Administration, Audience, EntryName, Grantable, Mark, Modification, QuotaStatus};
use imap::backend::{Failure, Result};
use mail::{FolderName, Rights};
use mssante::NationalId;
use store::sharing::MAX_ANNOTATION;
use store::{AccessEntry, Annotation, AnnotationChange, FolderId, Grantee, Holder, Right, Role, Scope};
use tokio::sync::watch;

use super::guard::{Seen, allowed};
use super::{StoreAccount, failure};
use crate::access::seconds;
use crate::rights::{self, Capacity};
use crate::sharing;
use crate::traces::{Action, Trace};

fn grantee(identifier: &str) -> Result<Grantee> {
    Grantee::parse(identifier).map_err(|_| Failure::Cannot("An identifier is a national identifier or anyone"))
}

impl StoreAccount {
    /// A folder whose list the session may change, and the lists as they are.
    async fn administered(&self, name: &FolderName) -> Result<(FolderId, Seen)> {
        let seen = self.guard.fresh().await?;
        let folders = self.store.folders(self.mailbox).await.map_err(failure)?;
        let (folder, rights) = seen.find(&folders, name)?;
        allowed(rights, Rights::ADMINISTER)?;
        Ok((folder.id, seen))
    }

    async fn rights_given(&self) -> Result<Vec<Right>> {
        self.store.rights(self.mailbox).await.map_err(failure)
    }

    /// As what a person may open the mailbox now.
    fn capacity_of(&self, given: &[Right], person: &NationalId) -> Option<Capacity> {
        rights::of_person(&self.traced.opened.mailbox, given, person, seconds(self.clock.as_ref()))
    }

    /// Writes an entry, unless whoever does it would lose the right to: nobody is left who could undo it, perhaps.
    async fn write(
        &self,
        name: &FolderName,
        folder: FolderId,
        seen: &Seen,
        who: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()> {
        let mut list: Vec<AccessEntry> =
            seen.list().iter().filter(|e| (e.folder, &e.grantee) != (folder, who)).cloned().collect();
        list.extend(rights.map(|rights| AccessEntry { folder, grantee: who.clone(), rights }));
        let outcome = if seen.under(list).rights(folder).contains(sharing::OF_THE_HOLDER) {
            self.store.set_access(self.mailbox, folder, who, rights).await.map_err(failure)
        } else {
            Err(Failure::Cannot("You would lose the right to undo this"))
        };
        let given = rights.map_or_else(|| "-".to_owned(), |rights| rights.to_string());
        self.traced.tracer.record(Trace {
            capacity: Some(seen.capacity.label()),
            with: vec![name.to_string(), who.as_str().to_owned(), given],
            answer: outcome.as_ref().err().map(ToString::to_string),
            connection: Some(self.traced.peer.connection),
            ..Trace::new(self.traced.opened.who.clone(), Action::Share, outcome.is_ok())
                .mailbox(&self.traced.opened.mailbox.address)
        });
        self.guard.fresh().await?;
        outcome
    }

    /// The number annotations are kept under, if the session may do what needs these rights there.
    async fn annotated(&self, of: Option<&FolderName>, needed: Rights) -> Result<Option<FolderId>> {
        match of {
            Some(name) => {
                let (folder, rights) = self.folder(name).await?;
                allowed(rights, needed)?;
                Ok(Some(folder.id))
            }
            None => Ok(None),
        }
    }
}

/// As IMAP names it.
fn named(annotation: Annotation) -> Option<(EntryName, Vec<u8>)> {
    let audience = match annotation.scope {
        Scope::Shared => Audience::Shared,
        Scope::Private(_) => Audience::Private,
    };
    Some((EntryName::new(audience, &annotation.entry)?, annotation.value))
}

#[async_trait]
impl Administration for StoreAccount {
    async fn still_open(&self) -> bool {
        self.guard.still_open().await
    }

    async fn my_rights(&self, folder: &FolderName) -> Result<Rights> {
        let seen = self.guard.fresh().await?;
        let folders = self.store.folders(self.mailbox).await.map_err(failure)?;
        seen.find(&folders, folder).map(|(_, rights)| rights)
    }

    async fn acl(&self, folder: &FolderName) -> Result<Vec<(String, Rights)>> {
        let (folder, seen) = self.administered(folder).await?;
        let given = self.rights_given().await?;
        let entries = seen.list().iter().filter(|e| e.folder == folder);
        // Everybody who may open the mailbox, then the entries of others: they wait for a right.
        let mut people: Vec<NationalId> = given.iter().map(|right| right.person.clone()).collect();
        if let Holder::Person(holder) = &self.traced.opened.mailbox.holder {
            people.push(holder.clone());
        }
        people.sort_unstable();
        people.dedup();
        let mut told: Vec<(String, Rights)> = people
            .iter()
            .filter_map(|person| {
                let capacity = self.capacity_of(&given, person)?;
                Some((person.to_string(), sharing::in_folder(capacity, Some(person), seen.list(), folder)))
            })
            .collect();
        for entry in entries {
            if !told.iter().any(|(who, _)| who == entry.grantee.as_str()) {
                told.push((entry.grantee.as_str().to_owned(), entry.rights));
            }
        }
        Ok(told)
    }

    async fn set_acl(&self, folder: &FolderName, identifier: &str, how: Modification, rights: Rights) -> Result<()> {
        let (number, seen) = self.administered(folder).await?;
        let who = grantee(identifier)?;
        let given = self.rights_given().await?;
        let capacity = match &who {
            Grantee::Person(person) => self.capacity_of(&given, person),
            Grantee::Anyone => None,
        };
        let entry = seen.list().iter().find(|e| e.folder == number && e.grantee == who).map(|e| e.rights);
        let now = match (&who, capacity) {
            (Grantee::Person(person), Some(capacity)) => {
                sharing::in_folder(capacity, Some(person), seen.list(), number)
            }
            _ => entry.unwrap_or(Rights::NONE),
        };
        let after = match how {
            Modification::Replace => rights,
            Modification::Add => now.with(rights),
            Modification::Remove => now.without(rights),
        };
        if capacity.is_some_and(|capacity| !sharing::by_capacity(capacity).contains(after)) {
            return Err(Failure::Cannot("That right is not a delegate's"));
        }
        self.write(folder, number, &seen, &who, Some(after)).await
    }

    async fn delete_acl(&self, folder: &FolderName, identifier: &str) -> Result<()> {
        let (number, seen) = self.administered(folder).await?;
        self.write(folder, number, &seen, &grantee(identifier)?, None).await
    }

    async fn list_rights(&self, folder: &FolderName, identifier: &str) -> Result<Grantable> {
        self.administered(folder).await?;
        let capacity = match grantee(identifier)? {
            Grantee::Anyone => Some(Capacity::As(Role::Member)),
            Grantee::Person(person) => self.capacity_of(&self.rights_given().await?, &person),
        };
        let required = if capacity == Some(Capacity::Holder) { sharing::OF_THE_HOLDER } else { Rights::NONE };
        let most = capacity.map_or(Rights::ALL, sharing::by_capacity);
        Ok(Grantable { required, optional: most.without(required) })
    }

    async fn quota(&self) -> Result<QuotaStatus> {
        let mailbox = self.store.mailbox(&self.traced.opened.mailbox.address).await.map_err(failure)?;
        let mailbox = mailbox.filter(|mailbox| mailbox.id == self.mailbox).ok_or(Failure::Unavailable)?;
        Ok(QuotaStatus {
            octets: mailbox.usage.octets,
            octets_limit: mailbox.quota.octets,
            messages: mailbox.usage.messages,
            messages_limit: mailbox.quota.messages,
        })
    }

    fn annotation_limit(&self) -> usize {
        MAX_ANNOTATION
    }

    async fn annotations(&self, of: Option<&FolderName>) -> Result<Vec<(EntryName, Vec<u8>)>> {
        let of = self.annotated(of, Rights::READ).await?;
        let kept = self.store.annotations(self.mailbox, of, &self.reader()).await.map_err(failure)?;
        let mut named: Vec<(EntryName, Vec<u8>)> = kept.into_iter().filter_map(named).collect();
        named.sort_unstable();
        Ok(named)
    }

    async fn marks(&self) -> Result<Vec<((Option<u64>, EntryName), Mark)>> {
        let seen = self.guard.fresh().await?;
        let kept = self.store.all_annotations(self.mailbox, &self.reader()).await.map_err(failure)?;
        let readable = |of: &Option<FolderId>| of.is_none_or(|folder| seen.rights(folder).contains(Rights::READ));
        Ok(kept
            .into_iter()
            .filter(|(of, _)| readable(of))
            .filter_map(|(of, annotation)| {
                let (entry, value) = named(annotation)?;
                Some(((of.map(|folder| folder.0.into()), entry), Mark::of(&value)))
            })
            .collect())
    }

    async fn annotation_changes(&self) -> Result<watch::Receiver<u64>> {
        self.store.watch_annotations(self.mailbox).await.map_err(failure)
    }

    async fn annotate(&self, of: Option<&FolderName>, changes: Vec<(EntryName, Option<Vec<u8>>)>) -> Result<()> {
        let shared = changes.iter().any(|(name, _)| name.audience() == Audience::Shared);
        // RFC 5464 §3.3: reading is enough for what only oneself sees.
        let needed = if shared { Rights::READ.with(Rights::WRITE) } else { Rights::READ };
        let folder = self.annotated(of, needed).await?;
        if folder.is_none() && shared {
            // What all see of the whole mailbox is for those who administer it; where the operator is found is not theirs.
            allowed(sharing::by_capacity(self.guard.now().capacity), Rights::ADMINISTER)?;
            if changes.iter().any(|(name, _)| name.audience() == Audience::Shared && name.path() == "/admin") {
                return Err(Failure::NoPermission);
            }
        }
        let reader = self.reader();
        let changes = changes
            .into_iter()
            .map(|(name, value)| AnnotationChange {
                scope: match name.audience() {
                    Audience::Shared => Scope::Shared,
                    Audience::Private => Scope::Private(reader.clone()),
                },
                entry: name.path().to_owned(),
                value,
            })
            .collect();
        self.store.annotate(self.mailbox, folder, changes).await.map_err(failure)
    }
}
