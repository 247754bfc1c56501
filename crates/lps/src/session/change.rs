//! Marks, deletions, moves. All may be made twice without harm, so all are made again after a cut; but COPY, which stands in for
//! MOVE on old servers.

use imap::client::{ClientError, uid_sets};

use super::attempt::Attempts;
use super::link::Link;
use super::{Session, SessionError};
use crate::trace::Action;

/// Messages of one command.
const WINDOW: usize = 1000;

/// What is done to each set of messages.
enum Step<'s> {
    Store(char, &'s [&'s str]),
    Expunge,
    Move(&'s str),
}

impl Step<'_> {
    async fn make(&self, link: &mut Link, set: &str) -> Result<(), ClientError> {
        match self {
            Step::Store(sign, flags) => link.client.uid_store(set, *sign, flags).await,
            Step::Expunge => {
                link.client.uid_store(set, '+', &["\\Deleted"]).await?;
                link.client.uid_expunge(set, &mut |_| {}).await
            }
            Step::Move(folder) => link.client.uid_move(set, folder).await,
        }
    }
}

impl Session {
    /// Sets and clears flags and keywords.
    ///
    /// # Errors
    /// [`SessionError::NotKept`] when the folder cannot keep a keyword for good, and others.
    pub async fn mark(&self, folder: &str, uids: &[u32], add: &[&str], remove: &[&str]) -> Result<(), SessionError> {
        let done = async {
            if !add.is_empty() {
                self.check_kept(folder, add).await?;
                self.each_set(folder, uids, &Step::Store('+', add)).await?;
            }
            if !remove.is_empty() {
                self.each_set(folder, uids, &Step::Store('-', remove)).await?;
            }
            Ok(())
        }
        .await;
        let request = format!("STORE {folder}, {} messages, +{add:?} -{remove:?}", uids.len());
        self.opener().trace(Action::Mark, request, done.as_ref().err(), None);
        done
    }

    /// Deletes these messages for good and no others, whatever else is marked in the folder.
    ///
    /// # Errors
    /// [`SessionError::Unsupported`] on a server without UIDPLUS, and others.
    pub async fn expunge(&self, folder: &str, uids: &[u32]) -> Result<(), SessionError> {
        let done = self.each_set(folder, uids, &Step::Expunge).await;
        let request = format!("UID EXPUNGE {folder} {}", shown(uids));
        self.opener().trace(Action::Delete, request, done.as_ref().err(), None);
        done
    }

    /// Moves messages to another folder.
    ///
    /// # Errors
    /// [`SessionError::Uncertain`] when a server without MOVE breaks off in the middle, and others.
    pub async fn move_to(&self, folder: &str, uids: &[u32], target: &str) -> Result<(), SessionError> {
        let done = match self.each_set(folder, uids, &Step::Move(target)).await {
            Err(SessionError::Unsupported(_)) => self.copy_away(folder, uids, target).await,
            // What NONEXISTENT and TRYCREATE speak of is the folder to move to.
            Err(SessionError::NoFolder(_)) => Err(SessionError::NoFolder(target.to_owned())),
            done => done,
        };
        let request = format!("MOVE {folder} {} to {target}", shown(uids));
        self.opener().trace(Action::Mark, request, done.as_ref().err(), None);
        done
    }

    async fn copy_away(&self, folder: &str, uids: &[u32], target: &str) -> Result<(), SessionError> {
        for set in uid_sets(uids, WINDOW) {
            let mut attempts = Attempts::new();
            let mut guard = self.enter(Some(folder), &mut attempts).await?;
            match guard.link().client.uid_copy(&set, target).await {
                Ok(()) => guard.kept(),
                Err(error) if error.is_clean() => {
                    guard.kept();
                    return Err(SessionError::of(error, Some(target)));
                }
                // The copies may be there or not: made again they might be there twice.
                Err(_) => return Err(SessionError::Uncertain),
            }
        }
        self.each_set(folder, uids, &Step::Expunge).await
    }

    async fn each_set(&self, folder: &str, uids: &[u32], step: &Step<'_>) -> Result<(), SessionError> {
        let mut uids = uids.to_vec();
        uids.retain(|uid| *uid > 0);
        uids.sort_unstable();
        uids.dedup();
        let sets = uid_sets(&uids, WINDOW);
        let mut attempts = Attempts::new();
        let mut validity = None;
        let mut done = 0;
        while done < sets.len() {
            let mut guard = self.enter(Some(folder), &mut attempts).await?;
            let now = guard.link().validity();
            if *validity.get_or_insert(now) != now {
                guard.kept();
                return Err(SessionError::FolderChanged(folder.to_owned()));
            }
            if guard.link().selected.as_ref().is_some_and(|(_, selected)| selected.read_only) {
                guard.kept();
                return Err(SessionError::NoRight);
            }
            match step.make(guard.link(), &sets[done]).await {
                Ok(()) => {
                    guard.kept();
                    done += 1;
                    attempts.progress();
                }
                Err(error) => guard.failed(error, Some(folder), &mut attempts).await?,
            }
        }
        Ok(())
    }

    /// A keyword that the server forgets at the end of the session is no mark.
    async fn check_kept(&self, folder: &str, flags: &[&str]) -> Result<(), SessionError> {
        let mut guard = self.enter(Some(folder), &mut Attempts::new()).await?;
        let permanent = guard.link().selected.as_ref().map(|(_, selected)| selected.permanent.clone());
        guard.kept();
        // A server that tells nothing keeps everything (RFC 3501 §7.1).
        let permanent = permanent.filter(|permanent| !permanent.is_empty()).unwrap_or_else(|| vec!["\\*".into()]);
        let any = permanent.iter().any(|p| p == "\\*");
        let kept = |flag: &str| permanent.iter().any(|p| p.eq_ignore_ascii_case(flag));
        match flags.iter().find(|flag| !kept(flag) && (!any || flag.starts_with('\\'))) {
            Some(flag) if flag.starts_with('\\') && any => {
                tracing::debug!(flag, "imap: a system flag that the server does not name as permanent");
                Ok(())
            }
            Some(flag) => Err(SessionError::NotKept((*flag).to_owned())),
            None => Ok(()),
        }
    }
}

/// UIDs for a trace.
fn shown(uids: &[u32]) -> String {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uid_sets(&uids, WINDOW).into_iter().next().unwrap_or_default().chars().take(120).collect()
}
