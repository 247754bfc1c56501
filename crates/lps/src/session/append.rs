//! A message into a folder, once: after a cut it is looked for before it is put there again.
//!
//! The server may have taken it without our knowing. Order: UIDNEXT is asked for first; after a cut the folder is searched for the
//! Message-ID from there on; when it is not there the message is put again, and then looked for once more, since the server may
//! still have been at the first: what is there twice then is made once.

use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use imap::client::{Appended, ClientError, Command};
use mail::date::Moment;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::attempt::Attempts;
use super::{Query, Session, SessionError};
use crate::content::{Content, ContentReader};
use crate::trace::Action;

/// Where the Message-ID is looked for: headers end before.
const HEAD: usize = 256 * 1024;

impl Session {
    /// Puts a message of `size` octets into a folder; gives its UID where the server tells. What is read is kept, in memory or in a
    /// nameless file, until the server has it.
    ///
    /// # Errors
    /// [`SessionError::Uncertain`] when the connection broke at the end and the message has no Message-ID, and others.
    pub async fn append(
        &self,
        folder: &str,
        flags: &[&str],
        date: Option<OffsetDateTime>,
        size: u64,
        source: &mut (dyn AsyncRead + Unpin + Send),
    ) -> Result<Option<u32>, SessionError> {
        let content = spool(size, source).await.map_err(SessionError::Source)?;
        self.append_content(folder, flags, date, &content).await
    }

    /// The same of what is kept already.
    ///
    /// # Errors
    /// As [`Session::append`].
    pub async fn append_content(
        &self,
        folder: &str,
        flags: &[&str],
        date: Option<OffsetDateTime>,
        content: &Content,
    ) -> Result<Option<u32>, SessionError> {
        let mut head = Vec::new();
        content.reader().take(HEAD as u64).read_to_end(&mut head).map_err(SessionError::Source)?;
        let id = mail::header::find(&head, "Message-ID").filter(|id| !id.is_empty());
        // RFC 6855 §4: said only where it is so.
        let header = &head[..mail::header::end(&head).unwrap_or(head.len())];
        let utf8_header = !header.is_ascii() && std::str::from_utf8(header).is_ok();
        let done = self.put(folder, flags, date, (content, utf8_header), id.as_deref()).await;
        let request = format!("APPEND {folder}, {} octets", content.len());
        self.opener().trace(Action::Mark, request, done.as_ref().err(), id);
        done
    }

    async fn put(
        &self,
        folder: &str,
        flags: &[&str],
        date: Option<OffsetDateTime>,
        (content, utf8_header): (&Content, bool),
        id: Option<&str>,
    ) -> Result<Option<u32>, SessionError> {
        let moment =
            date.map(|date| Moment { unix: date.unix_timestamp(), offset_minutes: date.offset().whole_minutes() });
        let mut attempts = Attempts::new();
        let mut first_uid = None;
        let mut begun = false;
        loop {
            if begun {
                let Some(id) = id else { return Err(SessionError::Uncertain) };
                if let Some(uid) = self.copies(folder, id, first_uid, &mut attempts).await?.first() {
                    return Ok(Some(*uid));
                }
            }
            let again = begun;
            let mut guard = self.enter(None, &mut attempts).await?;
            if first_uid.is_none() {
                match guard.link().client.counts(folder).await {
                    Ok(counts) => first_uid = counts.uid_next,
                    Err(error) => {
                        guard.failed(error, Some(folder), &mut attempts).await?;
                        continue;
                    }
                }
            }
            let mut reader = Blocking(content.reader());
            let client = &mut guard.link().client;
            let message = Appended { flags, date: moment, size: content.len(), utf8_header };
            match client.append(folder, &message, &mut reader, &mut begun).await {
                Ok(put) => {
                    guard.kept();
                    let uid = put.map(|(_, uid)| uid);
                    return match id.filter(|_| again) {
                        Some(id) => self.once(folder, id, first_uid, uid, &mut attempts).await,
                        None => Ok(uid),
                    };
                }
                Err(error) => {
                    if matches!(error, ClientError::Refused { .. }) {
                        begun = again; // It is not there: the server said so.
                    }
                    guard.failed(error, Some(folder), &mut attempts).await?;
                }
            }
        }
    }

    /// The messages of that Message-ID that came since.
    async fn copies(
        &self,
        folder: &str,
        id: &str,
        first: Option<u32>,
        attempts: &mut Attempts,
    ) -> Result<Vec<u32>, SessionError> {
        let first = first.unwrap_or(1);
        let query = Query::Uids(first, u32::MAX).and(Query::message_id(id));
        loop {
            let mut guard = self.enter(Some(folder), attempts).await?;
            let keys = |command: Command| query.write(command);
            match guard.link().client.uid_search(keys, query.needs_utf8()).await {
                Ok(mut uids) => {
                    guard.kept();
                    uids.retain(|uid| *uid >= first);
                    return Ok(uids);
                }
                Err(error) => guard.failed(error, Some(folder), attempts).await?,
            }
        }
    }

    /// After it was put again: the first stays, what is there besides goes.
    async fn once(
        &self,
        folder: &str,
        id: &str,
        first: Option<u32>,
        put: Option<u32>,
        attempts: &mut Attempts,
    ) -> Result<Option<u32>, SessionError> {
        let copies = self.copies(folder, id, first, attempts).await?;
        if copies.len() > 1 {
            self.expunge(folder, &copies[1..]).await?;
        }
        Ok(copies.first().copied().or(put))
    }
}

/// Reads all, into memory or a nameless file.
async fn spool(size: u64, source: &mut (dyn AsyncRead + Unpin + Send)) -> std::io::Result<Content> {
    use std::io::Write as _;
    let mut source = source.take(size);
    let content = if size <= crate::content::MEMORY as u64 {
        let mut octets = Vec::new();
        source.read_to_end(&mut octets).await?;
        Content::of(&octets)?
    } else {
        let mut file = tempfile::tempfile()?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = source.read(&mut buffer).await?;
            if read == 0 {
                break Content::of_file(file)?;
            }
            file.write_all(&buffer[..read])?;
        }
    };
    if content.len() == size { Ok(content) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// Memory, or a file of this machine that was just written: reading it does not wait.
struct Blocking(ContentReader);

impl AsyncRead for Blocking {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let read = self.0.read(buf.initialize_unfilled())?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}
