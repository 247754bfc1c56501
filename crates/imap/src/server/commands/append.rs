//! APPEND (RFC 3501 §6.3.11), several messages at once (MULTIAPPEND, RFC 3502), with APPENDUID (RFC 4315), LITERAL+
//! (RFC 7888) and APPENDLIMIT (RFC 7889). What it shares with REPLACE: [`receive`].
//!
//! The messages go from the wire to the store piece by piece: the next piece is read when the store has taken the one
//! before. All are kept or none, in one durable commit. A refusal comes before the continuation, so that nothing is sent for
//! nothing; a client that did not wait has its messages read and forgotten by the reader, within a bound.

use std::sync::Arc;

use mail::FolderName;

use super::super::Ended;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::session::Session;
use super::{catenate, flags, possible, quota, uid_list};
use crate::backend::{Account, Append, NewMessage};
use crate::command::{self, Announced, AppendPart};
use crate::parse::append_more;
use crate::wire::{MAX_CHUNK, Tail};

/// Most messages in one APPEND: each may take a file and some memory until all are there.
const MAX_MESSAGES: usize = 100;
/// Most parts in one APPEND: each is an answer to wait for, or a message to open.
const MAX_PARTS: usize = 1000;
/// Most octets in one APPEND: what one command may put on the disk before its quota is looked at.
const MAX_OCTETS: u64 = 512 * 1024 * 1024;
/// Longest URL given as a literal.
const MAX_URL: u64 = 8 * 1024;

pub(in super::super) async fn run(session: &mut Session, account: &dyn Account, append: command::Append) -> Outcome {
    let folder = possible(append.folder.clone())?;
    let sink = account.append(&folder).await.map_err(Reply::to_folder)?;
    let code = receive(session, account, sink, &folder, append, MAX_MESSAGES).await?;
    quota::warn(session, account).await;
    Ok(Reply::ok("Done").code(code))
}

/// Takes the messages of the command, at most `most`, into `sink`, which puts them into `folder`, and commits them;
/// `APPENDUID …`.
pub(super) async fn receive(
    session: &mut Session,
    account: &dyn Account,
    sink: Box<dyn Append>,
    folder: &FolderName,
    append: command::Append,
    most: usize,
) -> Result<String, Stop> {
    let limit = account.append_limit();
    let mut receiver = Receiver { session, account, sink, limit, most, messages: 0, parts: 0, total: 0, current: None };
    let command::Append { mut parts, mut state, .. } = append;
    loop {
        let literal = parts.last().and_then(AppendPart::announced);
        for part in parts {
            receiver.part(part).await?;
        }
        if literal.is_none() {
            break;
        }
        let (text, over) = match receiver.next().await? {
            Tail::End(text) => (text, true),
            Tail::Literal { text, .. } => (text, false),
        };
        (parts, state) = append_more(state, &text).map_err(|error| Reply::bad_because(error.to_string()))?;
        if over && parts.is_empty() {
            break;
        }
    }
    receiver.whole()?;
    let (validity, uids) = receiver.sink.commit().await.map_err(Reply::to_folder)?;
    if let Some(selected) = &mut session.selected {
        selected.made(folder, uids.iter().copied());
    }
    Ok(format!("APPENDUID {} {}", validity.0, uid_list(uids.into_iter())))
}

/// An APPEND being received.
struct Receiver<'s> {
    session: &'s mut Session,
    account: &'s dyn Account,
    sink: Box<dyn Append>,
    limit: u64,
    most: usize,
    messages: usize,
    parts: usize,
    /// Octets of all messages.
    total: u64,
    /// Octets of the message that comes, and whether it is made of parts.
    current: Option<(u64, bool)>,
}

impl Receiver<'_> {
    async fn part(&mut self, part: AppendPart) -> Result<(), Stop> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Reply::no("Too many parts in one command").code("LIMIT").into());
        }
        match part {
            AppendPart::Message { flags: names, date, catenate } => {
                self.whole()?;
                self.messages += 1;
                if self.messages > self.most {
                    return Err(Reply::no("Too many messages in one command").code("LIMIT").into());
                }
                let (flags, keywords) = flags(&names)?;
                let message = NewMessage { flags, keywords, internal_date: date };
                self.sink.begin(message).await.map_err(Reply::to_folder)?;
                self.current = Some((0, catenate));
            }
            AppendPart::Octets(literal) => {
                let parts = matches!(self.current, Some((_, true)));
                if literal.size == 0 && !parts {
                    return Err(empty().into());
                }
                self.grow(literal.size)?;
                self.sink.expect(literal.size);
                self.go_on(literal).await?;
                self.stream().await?;
            }
            AppendPart::Url(url) => self.copy(&url).await?,
            AppendPart::UrlOctets(literal) => {
                if literal.size > MAX_URL {
                    return Err(Reply::no("The URL is too long").code("LIMIT").into());
                }
                self.go_on(literal).await?;
                let mut url = Vec::new();
                loop {
                    match self.chunk().await? {
                        chunk if chunk.is_empty() => break,
                        chunk => url.extend_from_slice(&chunk),
                    }
                }
                self.copy(&url).await?;
            }
        }
        Ok(())
    }

    /// The message before, if any, has something in it.
    fn whole(&self) -> Result<(), Reply> {
        if self.current.is_some_and(|(octets, _)| octets == 0) { Err(empty()) } else { Ok(()) }
    }

    /// So many octets more are to come.
    fn grow(&mut self, octets: u64) -> Result<(), Reply> {
        let Some((current, _)) = &mut self.current else { return Err(Reply::bad("No message was begun")) };
        *current = current.saturating_add(octets);
        if *current > self.limit {
            // RFC 7889 §4, RFC 4469 §4.2.
            return Err(crate::backend::Failure::TooBig.into());
        }
        self.total += octets;
        if self.total > MAX_OCTETS { Err(Reply::no("Too much in one command").code("LIMIT")) } else { Ok(()) }
    }

    /// Lets the client send a literal.
    async fn go_on(&mut self, literal: Announced) -> Result<(), Ended> {
        if literal.synchronizing {
            self.session.out.put(b"+ Send it\r\n");
            self.session.out.flush().await?;
        }
        Ok(())
    }

    async fn chunk(&mut self) -> Result<bytes::Bytes, Ended> {
        tokio::select! {
            // What is there is taken without setting a clock for it.
            biased;
            piece = self.session.reader.literal_chunk(MAX_CHUNK as u64) => piece.map_err(|_| Ended::Gone),
            () = tokio::time::sleep(self.session.config.stall_timeout) => Err(Ended::Bye("The message stopped coming")),
            () = self.session.shutdown.cancelled() => Err(Ended::Bye("The server is stopping")),
        }
    }

    async fn stream(&mut self) -> Result<(), Stop> {
        loop {
            let piece = self.chunk().await?;
            if piece.is_empty() {
                return Ok(());
            }
            // What the client still sends belongs to the message: the reader forgets it before it reads another command.
            self.sink.write(&piece).await.map_err(Reply::to_folder)?;
        }
    }

    /// Adds what a URL names.
    async fn copy(&mut self, url: &[u8]) -> Result<(), Stop> {
        let selected = self.session.selected.as_ref().map(|s| (s.name.clone(), Arc::clone(&s.folder)));
        let config = Arc::clone(&self.session.config);
        let source = catenate::open(&config.hostname, selected, self.account, url).await?;
        self.grow(source.len())?;
        source.write_to(&mut *self.sink).await.map_err(Reply::to_folder)?;
        Ok(())
    }

    /// What follows a literal.
    async fn next(&mut self) -> Result<Tail, Stop> {
        let next = tokio::select! {
            biased;
            next = self.session.reader.append_next() => next.map_err(|_| Ended::Gone)?,
            () = tokio::time::sleep(self.session.config.stall_timeout) => {
                return Err(Ended::Bye("The message stopped coming").into());
            }
            () = self.session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
        };
        Ok(next.map_err(|refusal| Reply::bad_because(refusal.to_string()))?)
    }
}

fn empty() -> Reply {
    Reply::no("An empty message cannot be kept").code("CANNOT")
}
