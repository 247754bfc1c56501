//! Access lists and annotations of the engine in memory. The rules are in [`crate::sharing`].

use std::sync::Arc;

use mail::Rights;

use super::State;
use crate::sharing::*;
use crate::{FolderId, MailboxId, Result, StoreError};

/// Annotations of the mailbox itself are under this number, which no folder has.
const WHOLE: FolderId = FolderId(0);

impl State {
    pub(super) fn access(&self, mailbox: MailboxId) -> Result<Vec<AccessEntry>> {
        let entry = |((folder, grantee), rights): (&(FolderId, Grantee), &Rights)| AccessEntry {
            folder: *folder,
            grantee: grantee.clone(),
            rights: *rights,
        };
        let mut all: Vec<AccessEntry> = self.mailbox(mailbox)?.access.iter().map(entry).collect();
        all.sort_by(|a, b| (a.folder, a.grantee.as_str()).cmp(&(b.folder, b.grantee.as_str())));
        Ok(all)
    }

    fn folder_must_exist(&self, mailbox: MailboxId, folder: FolderId) -> Result<()> {
        self.mailbox(mailbox)?.folders.get(&folder).map(drop).ok_or(StoreError::NoSuchFolder)
    }

    pub(super) fn set_access(
        &mut self,
        mailbox: MailboxId,
        folder: FolderId,
        grantee: &Grantee,
        rights: Option<Rights>,
    ) -> Result<()> {
        self.folder_must_exist(mailbox, folder)?;
        let access = &mut self.mailbox_mut(mailbox)?.access;
        let key = (folder, grantee.clone());
        let was_there = match rights {
            Some(rights) => access.insert(key, rights).is_some(),
            None => access.remove(&key).is_some(),
        };
        if rights.is_some() && !was_there {
            check_entries(access.keys().filter(|(of, _)| *of == folder).count(), access.len())?;
        }
        Ok(())
    }

    pub(super) fn inherit(&mut self, mailbox: MailboxId, from: FolderId, to: FolderId) -> Result<()> {
        let access = &mut self.mailbox_mut(mailbox)?.access;
        let copies: Vec<_> =
            access.iter().filter(|((of, _), _)| *of == from).map(|((_, who), rights)| (who.clone(), *rights)).collect();
        let count = copies.len();
        access.extend(copies.into_iter().map(|(who, rights)| ((to, who), rights)));
        if count == 0 { Ok(()) } else { check_entries(count, access.len()) }
    }

    pub(super) fn forget_sharing(&mut self, mailbox: MailboxId, folder: FolderId) -> Result<()> {
        let state = self.mailbox_mut(mailbox)?;
        state.access.retain(|(of, _), _| *of != folder);
        state.annotations.retain(|(of, ..), _| *of != folder);
        Ok(())
    }

    fn number(&self, mailbox: MailboxId, of: Option<FolderId>) -> Result<FolderId> {
        match of {
            Some(folder) => self.folder_must_exist(mailbox, folder).map(|()| folder),
            None => self.mailbox(mailbox).map(|_| WHOLE),
        }
    }

    pub(super) fn annotations(
        &self,
        mailbox: MailboxId,
        of: Option<FolderId>,
        reader: &str,
    ) -> Result<Vec<Annotation>> {
        let folder = self.number(mailbox, of)?;
        let kept = &self.mailbox(mailbox)?.annotations;
        Ok(kept
            .iter()
            .filter(|((of, scope, _), _)| *of == folder && (*scope == Scope::Shared || scope.owner() == reader))
            .map(|((_, scope, entry), value)| Annotation {
                scope: scope.clone(),
                entry: entry.clone(),
                value: value.clone(),
            })
            .collect())
    }

    pub(super) fn all_annotations(
        &self,
        mailbox: MailboxId,
        reader: &str,
    ) -> Result<Vec<(Option<FolderId>, Annotation)>> {
        let kept = &self.mailbox(mailbox)?.annotations;
        Ok(kept
            .iter()
            .filter(|((_, scope, _), _)| *scope == Scope::Shared || scope.owner() == reader)
            .map(|((of, scope, entry), value)| {
                let annotation = Annotation { scope: scope.clone(), entry: entry.clone(), value: value.clone() };
                ((*of != WHOLE).then_some(*of), annotation)
            })
            .collect())
    }

    pub(super) fn annotate(
        &mut self,
        mailbox: MailboxId,
        of: Option<FolderId>,
        changes: Vec<AnnotationChange>,
    ) -> Result<()> {
        let folder = self.number(mailbox, of)?;
        // Not `mailbox_mut`: annotations are watched apart.
        let state = self.boxes.get_mut(&mailbox).map(Arc::make_mut).ok_or(StoreError::NoSuchMailbox)?;
        let kept = &mut state.annotations;
        for AnnotationChange { scope, entry, value } in changes {
            match value {
                None => {
                    kept.remove(&(folder, scope, entry));
                }
                Some(value) if value.len() > MAX_ANNOTATION => return Err(StoreError::TooManyAnnotations),
                Some(value) => {
                    kept.insert((folder, scope.clone(), entry), value);
                    if kept.keys().filter(|(of, s, _)| *of == folder && *s == scope).count() > MAX_ANNOTATIONS {
                        return Err(StoreError::TooManyAnnotations);
                    }
                }
            }
        }
        let octets: usize = kept.iter().map(|((_, _, entry), value)| entry.len() + value.len()).sum();
        if octets > MAX_ANNOTATION_OCTETS {
            return Err(StoreError::TooManyAnnotations);
        }
        self.annotated.push(mailbox);
        Ok(())
    }
}
