//! Lists and searches, in pipelined windows: what was listed before a cut is not listed again.
//!
//! Servers may answer several windows before they end the first (Dovecot does): a summary is given when the window of its UID has
//! ended, so that a cut between can neither lose one nor give it twice.

use std::collections::{BTreeMap, VecDeque};

use imap::client::{ClientError, Command, Fetched, Untagged, uid_sets};

use super::attempt::Attempts;
use super::link::Link;
use super::summary::{FIELDS, MAX_NAMES};
use super::{Listing, Query, Session, SessionError, Summary};
use crate::trace::Action;

/// Messages of one window: some 2 KB each, so that a window that is lost costs little and a round trip is nothing beside it.
const WINDOW: usize = 500;
/// Windows asked for before the first is answered.
const AHEAD: usize = 3;

impl Session {
    /// The messages of a folder, ascending by UID.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn list(&self, folder: &str, listing: &Listing) -> Result<Vec<Summary>, SessionError> {
        let mut all = Vec::new();
        self.list_each(folder, listing, &mut |summary| all.push(summary)).await?;
        Ok(all)
    }

    /// The same, each given as it comes, so that memory does not grow with the folder.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn list_each(
        &self,
        folder: &str,
        listing: &Listing,
        take: &mut (dyn FnMut(Summary) + Send),
    ) -> Result<(), SessionError> {
        let mut count = 0;
        let listed = self
            .list_windows(folder, listing, &mut |summary| {
                count += 1;
                take(summary);
            })
            .await;
        self.opener().trace(Action::List, format!("LIST {folder}, {count} messages"), listed.as_ref().err(), None);
        listed
    }

    async fn list_windows(
        &self,
        folder: &str,
        listing: &Listing,
        take: &mut (dyn FnMut(Summary) + Send),
    ) -> Result<(), SessionError> {
        if listing.from > listing.to {
            return Ok(());
        }
        let mut attempts = Attempts::new();
        let (uids, validity) = if listing.uids.is_empty() {
            let query = match (listing.from, listing.to) {
                (1, u32::MAX) => Query::All,
                (from, to) => Query::Uids(from, to),
            };
            let (mut uids, validity) = self.find(folder, &query, &mut attempts).await?;
            uids.retain(|uid| (listing.from..=listing.to).contains(uid));
            (uids, Some(validity))
        } else {
            (listing.uids.clone(), None)
        };
        let uids = match listing.limit {
            Some(limit) if limit < uids.len() && listing.oldest => &uids[..limit],
            Some(limit) if limit < uids.len() => &uids[uids.len() - limit..],
            _ => &uids[..],
        };
        // All that there is between the first and the last of each is wanted: a range says it.
        let range = |window: &[u32]| (format!("{}:{}", window[0], window[window.len() - 1]), window[window.len() - 1]);
        let windows: Vec<(String, u32)> = if validity.is_some() {
            uids.chunks(WINDOW).map(range).collect()
        } else {
            uids.chunks(WINDOW)
                .flat_map(|window| uid_sets(window, WINDOW))
                .map(|set| (set.clone(), last(&set)))
                .collect()
        };
        self.windows(folder, validity, &windows, &mut attempts, take).await
    }

    async fn windows(
        &self,
        folder: &str,
        mut validity: Option<u32>,
        windows: &[(String, u32)],
        attempts: &mut Attempts,
        take: &mut (dyn FnMut(Summary) + Send),
    ) -> Result<(), SessionError> {
        let mut done = 0;
        while done < windows.len() {
            let mut guard = self.enter(Some(folder), attempts).await?;
            let now = guard.link().validity();
            if *validity.get_or_insert(now) != now {
                guard.kept();
                return Err(SessionError::FolderChanged(folder.to_owned()));
            }
            let before = done;
            match fetch_windows(guard.link(), &windows[before..], &mut done, take).await {
                Ok(()) => guard.kept(),
                Err(error) => {
                    if done > before {
                        attempts.progress();
                    }
                    guard.failed(error, Some(folder), attempts).await?;
                }
            }
        }
        Ok(())
    }

    /// The messages that are what the query says, ascending by UID.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn search(&self, folder: &str, query: &Query) -> Result<Vec<u32>, SessionError> {
        let found = self.find(folder, query, &mut Attempts::new()).await.map(|(uids, _)| uids);
        self.opener().trace(Action::List, format!("SEARCH {folder}"), found.as_ref().err(), None);
        found
    }

    /// With the UIDVALIDITY of the folder.
    pub(super) async fn find(
        &self,
        folder: &str,
        query: &Query,
        attempts: &mut Attempts,
    ) -> Result<(Vec<u32>, u32), SessionError> {
        loop {
            let mut guard = self.enter(Some(folder), attempts).await?;
            let validity = guard.link().validity();
            let keys = |command: Command| query.write(command);
            match guard.link().client.uid_search(keys, query.needs_utf8()).await {
                Ok(uids) => {
                    guard.kept();
                    return Ok((uids, validity));
                }
                Err(error) => guard.failed(error, Some(folder), attempts).await?,
            }
        }
    }
}

impl Link {
    /// UIDVALIDITY of the folder that is open.
    pub(super) fn validity(&self) -> u32 {
        self.selected.as_ref().map_or(0, |(_, selected)| selected.validity)
    }
}

/// The largest UID of a set that [`uid_sets`] made: its last number.
fn last(set: &str) -> u32 {
    set.rsplit([',', ':']).next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

/// Some windows (each with its last UID) ahead of the answers; `done` counts those that ended, whose summaries are given.
async fn fetch_windows(
    link: &mut Link,
    windows: &[(String, u32)],
    done: &mut usize,
    take: &mut (dyn FnMut(Summary) + Send),
) -> Result<(), ClientError> {
    let modseq = if link.client.capabilities().has("CONDSTORE") { " MODSEQ" } else { "" };
    let fields = FIELDS.join(" ");
    let items =
        format!("(UID FLAGS INTERNALDATE RFC822.SIZE{modseq} BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ({fields})])");
    let mut tags = VecDeque::new();
    let mut waiting: BTreeMap<u32, Summary> = BTreeMap::new();
    for (ended, (_, last)) in windows.iter().enumerate() {
        while tags.len() < AHEAD && ended + tags.len() < windows.len() {
            let (set, _) = &windows[ended + tags.len()];
            tags.push_back(link.client.submit(&super::link::Client::fetch_command(set, &items, "")).await?);
        }
        let Some(tag) = tags.pop_front() else { break };
        let mut each = |untagged| {
            // One more than can have been asked for shows that it is too many.
            if let Untagged::Fetch(fetched) = untagged
                && waiting.len() <= AHEAD * WINDOW
                && let Some(summary) = summary(fetched)
            {
                waiting.insert(summary.uid, summary);
            }
        };
        if let Err(error) = link.client.complete(tag, &mut each).await {
            // What was asked ahead is still to be answered: the connection cannot be used by others.
            return Err(if error.is_clean() && !tags.is_empty() { ClientError::Closed } else { error });
        }
        if waiting.len() > AHEAD * WINDOW {
            return Err(ClientError::TooMuch("messages that were not asked for"));
        }
        let later = waiting.split_off(&last.saturating_add(1));
        std::mem::replace(&mut waiting, later).into_values().for_each(&mut *take);
        *done += 1;
    }
    Ok(())
}

/// None for news of flags only.
fn summary(fetched: Fetched) -> Option<Summary> {
    let header = fetched.section("HEADER.FIELDS")?.clone();
    let date = fetched.internal_date.and_then(|date| time::OffsetDateTime::from_unix_timestamp(date.unix).ok());
    let flags = fetched.flags.unwrap_or_default();
    let mut summary = Summary::new(fetched.uid?, flags, date, fetched.size.unwrap_or(0), &header);
    summary.modseq = fetched.modseq.unwrap_or(0);
    if let Some(structure) = &fetched.structure {
        summary.attachments = structure.all().into_iter().filter_map(|p| p.name.clone()).take(MAX_NAMES).collect();
    }
    Some(summary)
}
