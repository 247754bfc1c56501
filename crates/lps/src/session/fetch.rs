//! Messages whole, one streamed or many given as they come, and header fields.

use std::collections::HashSet;

use imap::client::{ClientError, Fetched, Wanted, uid_sets};
use tokio::io::AsyncWrite;

use super::attempt::Attempts;
use super::{Session, SessionError};
use crate::trace::Action;

/// Messages of one command when many are fetched: what came before a cut is kept, so that only round trips count.
const WINDOW: usize = 500;
/// Octets of header fields kept: everything under this is a header.
const MAX_FIELDS: usize = 1024 * 1024;

impl Session {
    /// A whole message into `sink`, marked by nobody; gives its octets. After a cut it goes on where it stopped.
    ///
    /// # Errors
    /// [`SessionError::NoMessage`], [`SessionError::TooLarge`] (some octets may have been written), and others.
    pub async fn fetch(
        &self,
        folder: &str,
        uid: u32,
        sink: &mut (dyn AsyncWrite + Unpin + Send),
        limit: u64,
    ) -> Result<u64, SessionError> {
        let fetched = self.fetch_on(folder, uid, sink, limit).await;
        self.opener().trace(Action::Read, format!("FETCH {folder} {uid}"), fetched.as_ref().err(), None);
        fetched
    }

    async fn fetch_on(
        &self,
        folder: &str,
        uid: u32,
        sink: &mut (dyn AsyncWrite + Unpin + Send),
        limit: u64,
    ) -> Result<u64, SessionError> {
        let mut attempts = Attempts::new();
        let mut validity = None;
        let mut written = 0;
        // A message that the server does not know of yet is looked for once more: most are known, and a round trip is spared.
        let mut refresh = false;
        loop {
            let mut guard = self.enter_with(Some(folder), refresh, &mut attempts).await?;
            let now = guard.link().validity();
            if *validity.get_or_insert(now) != now {
                guard.kept();
                return Err(SessionError::FolderChanged(folder.to_owned()));
            }
            let before = written;
            let wanted = Wanted { uid, from: written, limit };
            match guard.link().client.message(wanted, sink, &mut written).await {
                Ok(()) => {
                    guard.kept();
                    return Ok(written);
                }
                Err(ClientError::Missing) if !refresh => {
                    refresh = true;
                    guard.kept();
                }
                Err(error) => {
                    if written > before {
                        attempts.progress();
                    }
                    guard.failed(error, Some(folder), &mut attempts).await?;
                }
            }
        }
    }

    /// A whole message in memory.
    ///
    /// # Errors
    /// As [`Session::fetch`].
    pub async fn fetch_bytes(&self, folder: &str, uid: u32, limit: u64) -> Result<Vec<u8>, SessionError> {
        let mut octets = Vec::new();
        self.fetch(folder, uid, &mut octets, limit).await?;
        Ok(octets)
    }

    /// Many whole messages, each given once as it comes, in memory one at a time: none instead of one larger than `limit`. Those
    /// that are gone are left out.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn fetch_each(
        &self,
        folder: &str,
        uids: &[u32],
        limit: u64,
        take: &mut (dyn FnMut(u32, Option<bytes::Bytes>) + Send),
    ) -> Result<(), SessionError> {
        let fetched = self.fetch_all(folder, uids, limit, take).await;
        self.opener().trace(
            Action::Read,
            format!("FETCH {folder}, {} messages", uids.len()),
            fetched.as_ref().err(),
            None,
        );
        fetched
    }

    async fn fetch_all(
        &self,
        folder: &str,
        uids: &[u32],
        limit: u64,
        take: &mut (dyn FnMut(u32, Option<bytes::Bytes>) + Send),
    ) -> Result<(), SessionError> {
        let mut wanted = uids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut attempts = Attempts::new();
        let mut validity = None;
        for window in wanted.chunks(WINDOW) {
            let mut left = window.to_vec();
            while !left.is_empty() {
                let mut guard = self.enter(Some(folder), &mut attempts).await?;
                let now = guard.link().validity();
                if *validity.get_or_insert(now) != now {
                    guard.kept();
                    return Err(SessionError::FolderChanged(folder.to_owned()));
                }
                let mut given = HashSet::new();
                let mut each = |fetched: Fetched, octets: Option<bytes::Bytes>| {
                    let whole = fetched.sections.iter().any(|section| section.name.is_empty());
                    if let Some(uid) =
                        fetched.uid.filter(|uid| whole && left.binary_search(uid).is_ok() && !given.contains(uid))
                    {
                        given.insert(uid);
                        take(uid, octets);
                    }
                };
                let mut done = Ok(());
                for set in uid_sets(&left, WINDOW) {
                    done = guard.link().client.messages(&set, "UID", limit, &mut each).await;
                    if done.is_err() {
                        break;
                    }
                }
                match done {
                    Ok(()) => {
                        guard.kept();
                        left.clear();
                    }
                    Err(error) => {
                        if !given.is_empty() {
                            attempts.progress();
                        }
                        left.retain(|uid| !given.contains(uid));
                        guard.failed(error, Some(folder), &mut attempts).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Header fields of a message as they are; all of them when none is named.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn header(&self, folder: &str, uid: u32, fields: &[&str]) -> Result<Vec<u8>, SessionError> {
        let fits = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let names: Vec<&str> = fields.iter().copied().filter(fits).collect();
        let items = match names.len() {
            0 => "(UID BODY.PEEK[HEADER])".to_owned(),
            _ => format!("(UID BODY.PEEK[HEADER.FIELDS ({})])", names.join(" ")),
        };
        let mut attempts = Attempts::new();
        let read = loop {
            let mut guard = match self.enter(Some(folder), &mut attempts).await {
                Ok(guard) => guard,
                Err(error) => break Err(error),
            };
            let mut header: Option<Vec<u8>> = None;
            let mut take = |told: u32, fetched: Fetched| {
                let octets = fetched.section("HEADER").or_else(|| fetched.section("HEADER.FIELDS"));
                if let Some(octets) = octets.filter(|octets| told == uid && octets.len() <= MAX_FIELDS) {
                    header = Some(octets.to_vec());
                }
            };
            match guard.link().client.uid_fetch(&uid.to_string(), &items, "", &mut take).await {
                Ok(()) => {
                    guard.kept();
                    break header.ok_or(SessionError::NoMessage);
                }
                Err(error) => {
                    if let Err(error) = guard.failed(error, Some(folder), &mut attempts).await {
                        break Err(error);
                    }
                }
            }
        };
        self.opener().trace(Action::Read, format!("FETCH {folder} {uid} HEADER"), read.as_ref().err(), None);
        read
    }
}
