//! Waiting for what becomes of letters: at the traps, and in the BAL of the tests. Whatever comes first is seen first; nobody sleeps for longer
//! than it takes to look again.

use std::time::{Duration, Instant};

use super::notice::{self, Notice};
use super::post::{Handed, Letter};
use crate::context::Context;
use crate::reader::Reader;
use crate::stand::{Client, StandError};
use crate::trap::record::{Message, Session, Transaction};
use crate::verdict::Verdict;
use crate::wire::{Log, WireError};

/// Pause between two looks into the BAL, at first and later.
const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(5);
/// After this long it is later.
const A_WHILE: Duration = Duration::from_secs(30);
/// How long the stand is asked to wait for a change.
const POLL: Duration = Duration::from_secs(5);

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Sessions at the traps since the letters were handed over, oldest first.
    pub sessions: Vec<Session>,
    /// Notices.
    pub notices: Vec<Notice>,
}

impl Seen {
    /// Messages taken for a letter.
    pub(super) fn taken<'a>(&'a self, letter: &'a Letter) -> Vec<(&'a Session, &'a Transaction, &'a Message)> {
        let all = self.sessions.iter();
        all.flat_map(|session| {
            session.taken(&letter.run).map(move |(transaction, message)| (session, transaction, message))
        })
        .collect()
    }

    /// Octets of messages for a letter, taken or not.
    pub(super) fn octets(&self, letter: &Letter) -> u64 {
        let ours = |transaction: &&Transaction| transaction.to.iter().any(|to| to.run.as_deref() == Some(&*letter.run));
        let all = self.sessions.iter().flat_map(|session| &session.transactions);
        all.filter(ours).filter_map(|transaction| transaction.message.as_ref()).map(|message| message.octets).sum()
    }

    /// Sessions in which this letter was named.
    pub(super) fn of<'a>(&'a self, letter: &'a Letter) -> impl Iterator<Item = &'a Session> {
        self.sessions.iter().filter(|session| session.recipients().any(|to| to.run.as_deref() == Some(&*letter.run)))
    }

    /// Sessions at a door of its own that named nobody: attempts that broke off before.
    pub(super) fn nameless(&self, door: &str) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(move |session| session.door == door && session.recipients().next().is_none())
    }

    /// The final notice about a letter.
    pub(super) fn notice(&self, letter: &Letter) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.run == letter.run && notice.is_final())
    }

    /// Whether it is known what became of a letter.
    pub(super) fn is_settled(&self, letter: &Letter) -> bool {
        !matches!(letter.handed, Handed::Taken(_)) || !self.taken(letter).is_empty() || self.notice(letter).is_some()
    }
}

/// Who watches.
pub(super) struct Watch<'a> {
    context: &'a Context,
    stand: &'a Client,
    /// The number of the last session before the letters.
    since: u64,
    version: u64,
    /// Looking for notices again and again is no evidence: the notices are.
    log: Log,
    pub(super) domain: String,
    /// What its letters have in common.
    pub(super) batch: String,
    pub(super) seen: Seen,
}

impl<'a> Watch<'a> {
    /// Begins to watch: before anything is handed over.
    pub(super) async fn begin(context: &'a Context) -> Result<Watch<'a>, Verdict> {
        let stand = context.stand()?;
        let known = match stand.traps().await {
            Ok(known) => known,
            Err(StandError::Refused { status: 404, .. }) => {
                return Err(Verdict::NonExecute { cause: "le banc n'a pas de boîtes pièges".into() });
            }
            Err(error) => return Err(error.into()),
        };
        let (since, version, domain) = (known.last, known.version, known.domain);
        Ok(Watch {
            context,
            stand,
            since,
            version,
            log: Log::default(),
            domain,
            batch: super::post::batch(),
            seen: Seen::default(),
        })
    }

    /// Waits until `is_done`, or so long.
    pub(super) async fn until(
        &mut self,
        letters: &[Letter],
        most: Duration,
        is_done: impl Fn(&Seen) -> bool,
    ) -> Result<(), Verdict> {
        let began = Instant::now();
        let mut reader = Reader::open(self.context, &self.log).await?;
        self.look(0, Duration::ZERO).await?;
        loop {
            self.seen.notices.extend(collect(self.context, &self.log, &mut reader, &self.batch, letters).await?);
            if is_done(&self.seen) || began.elapsed() >= most {
                return Ok(());
            }
            // Notices are looked for at intervals, the traps tell at once.
            let pause = if began.elapsed() < A_WHILE { SOON } else { LATER };
            let next = Instant::now() + pause;
            while Instant::now() < next && !is_done(&self.seen) {
                let left = next.saturating_duration_since(Instant::now());
                match tokio::time::timeout(left, self.look(self.version, POLL)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(error),
                    Err(_) => break,
                }
            }
        }
    }

    /// Asks the traps, which answer when something changed after that version.
    async fn look(&mut self, version: u64, wait: Duration) -> Result<(), Verdict> {
        let mut page = self.stand.trap_sessions(&self.batch, self.since, version, wait).await?;
        page.sessions.reverse();
        (self.version, self.seen.sessions) = (page.version, page.sessions);
        Ok(())
    }
}

/// The notices there are; a session that the operator closed meanwhile is opened again, once.
async fn collect(
    context: &Context,
    log: &Log,
    reader: &mut Reader,
    batch: &str,
    letters: &[Letter],
) -> Result<Vec<Notice>, Verdict> {
    match notice::collect(reader, batch, letters).await {
        Ok(notices) => Ok(notices),
        Err(WireError::Closed | WireError::Silent) => {
            *reader = Reader::open(context, log).await?;
            notice::collect(reader, batch, letters).await.map_err(Verdict::unclear)
        }
        Err(error) => Err(Verdict::unclear(error)),
    }
}
