//! Taking in the documents of a BAL: fetch, open, file by the host program, answer, mark. What an integration platform (PFI) stands
//! on. ECO-RECEIPT, ECO-CLEAN; client.md §2.7, §2.8.
//!
//! Effects come in this order, each on disk in the [`Journal`] before the next begins:
//!
//! ```text
//! begun → the host program files → filed → notice stamped → notice in the outbox → queued → keywords → marked → notice sent → cleaned
//! ```
//!
//! A kill at any place is taken up there ([`Intake::resume`]). Invariants:
//! * a message is given to the host program again only when the kill fell between its beginning and its being filed, and then
//!   [`Arrival::again`] says so: the host program looks whether it has it, by [`Arrival::key`];
//! * a message answered is never answered again, whether it comes back by another way, under another UID or UIDVALIDITY, or twice:
//!   it is recognised by its [`Key`];
//! * nothing is deleted here: [`crate::clean`] does that, and only what this journal says is processed;
//! * one message is in memory at a time; one that cannot be read does not stop the others.

mod error;
mod mailbox;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use mssante::receipt::{Code, IntegrationError};
use trust::SharedClock;

pub use error::{IntakeError, Trouble};
pub use mailbox::{Mailbox, OutboxPost, Post};

use crate::journal::{Answer, Event, Filed, Journal, Key, Place};
use crate::read::{Limits, Message, Warning};
use crate::receipt::Respondent;
use crate::session::{Listing, Session};

/// Set on a message whose documents were filed.
pub const INTEGRATED: &str = "$Integrated";
/// Set on a message whose documents were refused: people must look at it.
pub const REFUSED: &str = "$IntegrationFailed";

/// A message for the host program.
#[derive(Debug)]
pub struct Arrival<'m> {
    /// The message.
    pub message: &'m Message,
    /// What it is recognised by, wherever and however often it comes: to be kept beside what is filed.
    pub key: &'m Key,
    /// Where it lies.
    pub place: &'m Place,
    /// Whether it was given before and nobody knows whether it was filed: look for the key first.
    pub again: bool,
}

impl Arrival<'_> {
    /// Whether something does not fit together so that a person should look before anything is filed.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.message.warnings.iter().any(|warning| warning.is_grave())
    }

    /// The refusal that what does not fit calls for; none when everything does, or when a person must decide.
    #[must_use]
    pub fn suggested_refusal(&self) -> Option<IntegrationError> {
        let of = |warning: &Warning| match warning {
            Warning::WrongIns(_) => Some(Code::INS_INCOMPLETE),
            Warning::NoPatient(_) => Some(Code::NO_INS),
            Warning::Archive(_)
            | Warning::Integrity(_)
            | Warning::Document(_)
            | Warning::SeveralPatients
            | Warning::PatientDiffers(_) => Some(Code::OTHER),
            _ => None,
        };
        self.message.warnings.iter().find_map(|warning| {
            let code = of(warning)?;
            let label = (code == Code::OTHER).then(|| warning.message(crate::explain::Language::French));
            Some(IntegrationError { code, label })
        })
    }
}

/// What the host program made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The documents are in the record, durably. A notice goes out when one was asked for.
    Filed,
    /// They are not and never will be: at least one reason. A notice of failure goes out.
    Refused(Vec<IntegrationError>),
    /// Not now (the record is down): the message is given again at the next pass.
    Later,
    /// It is for people: it stays as it is, and is not given again before the next start.
    Leave,
}

/// The host program.
#[async_trait]
pub trait Filer: Send {
    /// Files the documents of a message. [`Verdict::Filed`] must be true after a power cut.
    async fn file(&mut self, arrival: &Arrival<'_>) -> Verdict;

    /// A receipt, a notice or a bounce came. True when the host program took note of it: it may then be cleaned away; nothing is
    /// answered. Whether it is about a message that was sent is the host program's to check
    /// ([`About::belief`](crate::read::About::belief)).
    async fn told(&mut self, arrival: &Arrival<'_>) -> bool {
        let _ = arrival;
        false
    }
}

/// What is taken in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder.
    pub folder: String,
    /// Limits of reading.
    pub limits: Limits,
}

impl Default for Settings {
    /// INBOX, with the default limits.
    fn default() -> Self {
        Settings { folder: "INBOX".into(), limits: Limits::default() }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Messages whose documents were filed.
    pub filed: usize,
    /// Messages whose documents were refused.
    pub refused: usize,
    /// Receipts, notices and bounces noted.
    pub noted: usize,
    /// Messages left to people.
    pub left: usize,
    /// Messages to be given again.
    pub later: usize,
    /// Messages known already, met again.
    pub known: usize,
    /// Messages that cannot be read (too large): left to people.
    pub unreadable: usize,
    /// Notices the operator took.
    pub sent: usize,
}

/// Takes in the documents of a BAL.
pub struct Intake<M, P> {
    mailbox: M,
    post: P,
    journal: Journal,
    respondent: Respondent,
    settings: Settings,
    clock: SharedClock,
    /// Left to people since the start.
    left: HashSet<Place>,
    /// UIDVALIDITY of the folder and the UID from which nothing was looked at.
    next: Option<(u32, u32)>,
}

impl<M: Mailbox, P: Post> Intake<M, P> {
    /// An intake that goes on where the journal says. Nothing may run the outbox behind `post` before [`Intake::resume`] returned.
    pub fn new(
        mailbox: M,
        post: P,
        journal: Journal,
        respondent: Respondent,
        settings: Settings,
        clock: SharedClock,
    ) -> Self {
        Intake { mailbox, post, journal, respondent, settings, clock, left: HashSet::new(), next: None }
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The BAL.
    #[must_use]
    pub fn mailbox(&self) -> &M {
        &self.mailbox
    }

    /// Takes up what a kill interrupted: notices stamped but not in the outbox, messages filed but not answered or not marked.
    ///
    /// # Errors
    /// [`IntakeError`]: nothing is lost, it may be called again.
    pub async fn resume(&mut self, filer: &mut dyn Filer) -> Result<Pass, IntakeError> {
        let mut pass = Pass::default();
        // First of all, before anything can be sent: what waits in the outbox is queued.
        let waiting = self.post.waiting();
        for (key, entry) in self.journal.entries() {
            let Some((notice, _)) = &entry.notice else { continue };
            if entry.answer == Answer::Stamped && waiting.contains(notice) {
                self.journal.record(Event::Queued { key }).await?;
            }
        }
        let validity = self.mailbox.validity(&self.settings.folder).await.map_err(IntakeError::Mailbox)?;
        let unfinished: Vec<Place> = self
            .journal
            .entries()
            .into_iter()
            .filter(|(_, entry)| entry.filed.is_some() && !entry.marked)
            .flat_map(|(_, entry)| entry.places)
            .filter(|place| place.validity == validity && place.folder == self.settings.folder)
            .collect();
        for place in unfinished {
            self.take(place, filer, &mut pass).await?;
        }
        self.settle(&mut pass).await?;
        Ok(pass)
    }

    /// One pass: every message that is new is taken in, then notices are sent.
    ///
    /// # Errors
    /// [`IntakeError`] when the BAL, the journal or the outbox fails; what was done is in the journal.
    pub async fn run(&mut self, filer: &mut dyn Filer) -> Result<Pass, IntakeError> {
        let mut pass = Pass::default();
        let folder = self.settings.folder.clone();
        let validity = self.mailbox.validity(&folder).await.map_err(IntakeError::Mailbox)?;
        let from = match self.next {
            Some((known, uid)) if known == validity => uid,
            _ => 1,
        };
        let listed = self.mailbox.list(&folder, &Listing::from_uid(from)).await.map_err(IntakeError::Mailbox)?;
        let settled: HashSet<u32> = self
            .journal
            .entries()
            .into_iter()
            .filter(|(_, entry)| entry.marked)
            .flat_map(|(_, entry)| entry.places)
            .filter(|place| place.validity == validity && place.folder == folder)
            .map(|place| place.uid)
            .collect();
        // What has to wait is where the next pass begins.
        let mut next = listed.last().map_or(from, |last| last.uid.saturating_add(1));
        for summary in listed {
            let place = Place { folder: folder.clone(), validity, uid: summary.uid };
            if settled.contains(&place.uid) || self.left.contains(&place) {
                continue;
            }
            let later = pass.later;
            self.take(place, filer, &mut pass).await?;
            if pass.later > later {
                next = next.min(summary.uid);
            }
        }
        self.next = Some((validity, next));
        self.settle(&mut pass).await?;
        Ok(pass)
    }

    /// Sends what waits, and notes what the operator has.
    async fn settle(&mut self, pass: &mut Pass) -> Result<(), IntakeError> {
        self.post.run().await.map_err(IntakeError::Post)?;
        let queued: HashMap<String, Key> = self
            .journal
            .entries()
            .into_iter()
            .filter(|(_, entry)| entry.answer == Answer::Queued)
            .filter_map(|(key, entry)| Some((entry.notice?.0, key)))
            .collect();
        if queued.is_empty() {
            return Ok(());
        }
        // What is no longer in the outbox is with the operator: nothing else takes it out, but for a person who decides so.
        let waiting = self.post.waiting();
        for (notice, key) in queued {
            if !waiting.contains(&notice) {
                self.journal.record(Event::Sent { key }).await?;
                pass.sent += 1;
            }
        }
        Ok(())
    }
}

impl<P: Post> Intake<std::sync::Arc<Session>, P> {
    /// Takes in what is there and then what comes, until `stop` says so. `seen` is told of each pass that did something, and of
    /// each trouble; after one it waits and goes on, unless a person must act ([`crate::Fault::User`]).
    ///
    /// # Errors
    /// A trouble that does not pass by itself.
    pub async fn watch(
        &mut self,
        filer: &mut dyn Filer,
        stop: &mut (dyn std::future::Future<Output = ()> + Send + Unpin),
        seen: &mut (dyn FnMut(Result<&Pass, &IntakeError>) + Send),
    ) -> Result<(), IntakeError> {
        use crate::explain::Explain;
        /// After a trouble, and for what was put off.
        const PAUSE: std::time::Duration = std::time::Duration::from_secs(30);
        /// Without any arrival: notices that wait in the outbox are tried again.
        const IDLE: std::time::Duration = std::time::Duration::from_secs(300);
        let session = std::sync::Arc::clone(&self.mailbox);
        let mut resumed = false;
        let mut watch = None;
        loop {
            let passed = async {
                if watch.is_none() {
                    // Before the first pass: what comes while it runs is heard.
                    let begun = session.watch(&self.settings.folder).await;
                    watch = Some(begun.map_err(|error| IntakeError::Mailbox(Box::new(error)))?);
                }
                if !resumed {
                    let pass = self.resume(filer).await?;
                    resumed = true;
                    if pass != Pass::default() {
                        seen(Ok(&pass));
                    }
                }
                self.run(filer).await
            };
            let passed = tokio::select! {
                passed = passed => passed,
                () = &mut *stop => return Ok(()),
            };
            let pause = match &passed {
                Ok(pass) => {
                    if *pass != Pass::default() {
                        seen(Ok(pass));
                    }
                    if pass.later > 0 { PAUSE } else { IDLE }
                }
                Err(error) => {
                    seen(Err(error));
                    PAUSE
                }
            };
            if let Err(error) = passed
                && !error.is_temporary()
            {
                return Err(error);
            }
            let event = async {
                match &mut watch {
                    // A watch that fails is begun again after a pause.
                    Some(heard) => heard.next().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                heard = event => heard,
                () = tokio::time::sleep(pause) => true,
                () = &mut *stop => return Ok(()),
            };
            if !heard {
                watch = None;
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = &mut *stop => return Ok(()),
                }
            }
        }
    }
}

/// What is written of a verdict.
fn filed(verdict: &Verdict) -> Option<Filed> {
    match verdict {
        Verdict::Filed => Some(Filed::Done),
        // A refusal without a reason is one for another reason.
        Verdict::Refused(errors) if errors.is_empty() => Some(Filed::Refused(vec![Code::OTHER.number()])),
        Verdict::Refused(errors) => Some(Filed::Refused(errors.iter().map(|error| error.code.number()).collect())),
        Verdict::Later | Verdict::Leave => None,
    }
}
