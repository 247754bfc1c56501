//! Waiting for mail: IDLE on a connection of its own, renewed in time, opened again when it breaks; polling where there is no IDLE.
//!
//! Invariant: no arrival is missed. What is known (UIDVALIDITY, the next UID) moves forward only with what was told to the caller;
//! after each opening and each sign of news the folder is asked for everything from there on. [`Watch::next`] may be cancelled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imap::client::{ClientError, Command, Selected, Tag, Untagged};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::attempt::{Attempts, FIRST_LIMIT};
use super::link::{Link, Opener};
use super::{Event, Query, SessionError};

/// IDLE is begun anew after so long: servers end it after 30 minutes, firewalls forget a silent connection sooner, and a dead one is
/// found out by it.
pub const RENEWED_AFTER: Duration = Duration::from_secs(9 * 60);
/// How often a server without IDLE is asked, when nobody says.
pub const POLLED_AFTER: Duration = Duration::from_secs(30);
/// How long a server that is away is waited for before the caller is told.
const AWAY_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A folder that is watched.
pub struct Watch {
    opener: Arc<Opener>,
    /// How often a server without IDLE is asked.
    poll: Duration,
    folder: String,
    link: Option<Link>,
    /// IDLE is under way.
    idle: Option<Tag>,
    until: Instant,
    validity: u32,
    /// The first UID not told yet.
    next: u32,
    exists: u32,
    modseq: Option<u64>,
    events: VecDeque<Event>,
    attempts: Attempts,
}

/// What was heard while waiting.
#[derive(Default, Clone, Copy)]
struct Heard {
    exists: Option<u32>,
    changed: bool,
}

impl Heard {
    fn take(&mut self, untagged: &Untagged) {
        match untagged {
            Untagged::Exists(exists) => self.exists = Some(*exists),
            Untagged::Expunge(_) | Untagged::Vanished(..) | Untagged::Fetch(_) => self.changed = true,
            _ => {}
        }
    }

    fn is_news(self, exists: u32) -> bool {
        self.changed || self.exists.is_some_and(|now| now != exists)
    }
}

impl Watch {
    /// What happens from now on.
    pub(super) async fn begin(opener: Arc<Opener>, folder: &str, poll: Duration) -> Result<Watch, SessionError> {
        let mut watch = Watch {
            opener,
            poll,
            folder: folder.to_owned(),
            link: None,
            idle: None,
            until: Instant::now(),
            validity: 0,
            next: 0,
            exists: 0,
            modseq: None,
            events: VecDeque::new(),
            attempts: Attempts::within(FIRST_LIMIT),
        };
        while watch.link.is_none() {
            watch.open().await?;
        }
        watch.attempts = Attempts::within(AWAY_LIMIT);
        Ok(watch)
    }

    /// The folder's name.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The next thing that happens, however long it takes. Cancelled, it loses nothing.
    ///
    /// # Errors
    /// [`SessionError`]: the server stayed away for a quarter of an hour, the login is over… It may be called again.
    pub async fn next(&mut self) -> Result<Event, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if self.link.is_none() {
                self.open().await?;
                continue;
            }
            let waited = self.wait().await;
            match waited {
                Ok(heard) => self.look(heard).await?,
                Err(error) => self.failed(error).await?,
            }
        }
    }

    async fn failed(&mut self, error: ClientError) -> Result<(), SessionError> {
        (self.link, self.idle) = (None, None);
        self.attempts.failed(SessionError::of(error, Some(&self.folder))).await.inspect_err(|_| {
            self.attempts = Attempts::within(AWAY_LIMIT);
        })
    }

    /// Opens the connection and the folder, and compares. One try.
    async fn open(&mut self) -> Result<(), SessionError> {
        let opened = async {
            let mut link = self.opener.open().await?;
            let of = |error| SessionError::of(error, Some(&self.folder));
            let selected = link.select(&self.folder, false).await.map_err(of)?.clone();
            let first = selected.next.max(1);
            let from = if self.validity == selected.validity { self.next } else { 1 };
            let uids = if self.validity != 0 && selected.exists > 0 && (selected.next == 0 || from < selected.next) {
                arrived(&mut link, from).await.map_err(of)?
            } else {
                Vec::new()
            };
            Ok::<_, SessionError>((link, selected, first, uids))
        }
        .await;
        let (link, selected, first, uids) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let again = self.attempts.failed(error).await;
                return again.inspect_err(|_| self.attempts = Attempts::within(AWAY_LIMIT));
            }
        };
        let known = self.validity != 0;
        if known && self.validity != selected.validity {
            self.events.push_back(Event::Reset);
        } else if known
            && (selected.modseq.is_none() || selected.modseq != self.modseq)
            && self.differs(&selected, &uids)
        {
            self.events.push_back(Event::Changed);
        }
        self.next = uids.last().map_or(first.max(self.next), |last| last.saturating_add(1).max(first));
        if !known || self.validity != selected.validity {
            self.next = uids.last().map_or(first, |last| last.saturating_add(1).max(first));
        }
        if !uids.is_empty() {
            self.events.push_back(Event::Arrived(uids));
        }
        (self.validity, self.exists, self.modseq) = (selected.validity, selected.exists, selected.modseq);
        self.until = Instant::now() + RENEWED_AFTER;
        self.attempts.progress();
        (self.link, self.idle) = (Some(link), None);
        Ok(())
    }

    /// Whether more than arrivals may have happened while the connection was away.
    fn differs(&self, selected: &Selected, uids: &[u32]) -> bool {
        selected.modseq.is_some() || selected.exists as usize != self.exists as usize + uids.len()
    }

    /// Waits for a sign. Cancel-safe: what IDLE is in the middle of stays where it is.
    async fn wait(&mut self) -> Result<Heard, ClientError> {
        let mut heard = Heard::default();
        let Some(mut link) = self.link.take() else { return Err(ClientError::Closed) };
        if !link.client.capabilities().can("IDLE") {
            self.link = Some(link);
            sleep_until(self.until.min(Instant::now() + self.poll)).await;
            let Some(mut link) = self.link.take() else { return Err(ClientError::Closed) };
            link.client.noop(&mut |untagged| heard.take(&untagged)).await?;
            self.link = Some(link);
            return Ok(heard);
        }
        if self.idle.is_none() {
            // Cancelled here, the connection is dropped and opened again: it is one round trip.
            self.idle = Some(link.client.idle(&mut |untagged| heard.take(&untagged)).await?);
        }
        let link = self.link.insert(link);
        while !heard.is_news(self.exists) {
            match timeout_at(self.until, link.client.news()).await {
                Ok(untagged) => heard.take(&untagged?),
                Err(_) => break,
            }
        }
        let Some(tag) = self.idle.take() else { return Err(ClientError::Closed) };
        let Some(mut link) = self.link.take() else { return Err(ClientError::Closed) };
        link.client.idle_done(tag, &mut |untagged| heard.take(&untagged)).await?;
        self.link = Some(link);
        Ok(heard)
    }

    /// What the sign meant.
    async fn look(&mut self, heard: Heard) -> Result<(), SessionError> {
        if Instant::now() >= self.until {
            if let Err(error) = self.opener.check_login().await {
                (self.link, self.idle) = (None, None);
                return Err(error);
            }
            self.until = Instant::now() + RENEWED_AFTER;
        }
        let Some(mut link) = self.link.take() else { return Ok(()) };
        if !heard.is_news(self.exists) {
            self.link = Some(link);
            return Ok(());
        }
        match arrived(&mut link, self.next).await {
            Ok(uids) => {
                self.link = Some(link);
                self.exists = heard.exists.unwrap_or(self.exists);
                // What came is news, and what it looks like belongs to it; anything else changed.
                let count = u32::try_from(uids.len()).unwrap_or(u32::MAX);
                if let Some(last) = uids.last() {
                    self.next = last.saturating_add(1);
                    self.events.push_back(Event::Arrived(uids));
                }
                if heard.changed || count == 0 {
                    self.events.push_back(Event::Changed);
                }
                // MODSEQ moved; where to is told when the folder is opened again.
                self.modseq = None;
                Ok(())
            }
            Err(error) => self.failed(error).await,
        }
    }

    /// Ends the watch politely.
    pub async fn close(mut self) {
        if let Some(mut link) = self.link.take() {
            if let Some(tag) = self.idle.take()
                && link.client.idle_done(tag, &mut |_| {}).await.is_err()
            {
                return;
            }
            link.client.logout().await;
        }
    }
}

/// UIDs from that one on, ascending.
async fn arrived(link: &mut Link, from: u32) -> Result<Vec<u32>, ClientError> {
    let query = Query::Uids(from, u32::MAX);
    let mut uids = link.client.uid_search(|command: Command| query.write(command), false).await?;
    uids.retain(|uid| *uid >= from);
    Ok(uids)
}
