//! Whole messages: one into a sink, in bounded memory and from any octet on; or many into memory, one at a time.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connection::Result;
use super::{ClientError, Connection, Fetched, Piece, Response, Untagged};

/// Which octets of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The message.
    pub uid: u32,
    /// The first octet.
    pub from: u64,
    /// The message may have no more octets than this.
    pub limit: u64,
}

/// Octets of a message that are gathered before memory is asked for what was announced.
const TRUSTED: u64 = 1024 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// BODY.PEEK[] into `sink`. `given` counts the octets that the sink took, also when it fails: from there it can be gone on.
    ///
    /// # Errors
    /// [`ClientError::Missing`], [`ClientError::TooLarge`], [`ClientError::Sink`], or the connection's.
    pub async fn message(
        &mut self,
        wanted: Wanted,
        sink: &mut (dyn AsyncWrite + Unpin + Send),
        given: &mut u64,
    ) -> Result<()> {
        let Wanted { uid, from, limit } = wanted;
        // More than 32 bits cannot be asked for by parts; the limits of this trade are far below.
        let partial = if from == 0 { String::new() } else { format!("<{from}.{}>", u32::MAX) };
        let command = Self::fetch_command(&uid.to_string(), &format!("(UID BODY.PEEK[]{partial})"), "");
        let tag = self.submit(&command).await?;
        self.reader.stream(true);
        let mut found = false;
        let mut drawn = false;
        let told = loop {
            match self.reader.next().await? {
                Piece::Message(size) => {
                    if std::mem::replace(&mut drawn, true) {
                        return Err(ClientError::Protocol("a message twice"));
                    }
                    if from.saturating_add(size) > limit {
                        return Err(ClientError::TooLarge { limit });
                    }
                    while let Some(chunk) = self.reader.chunk().await? {
                        sink.write_all(&chunk).await.map_err(ClientError::Sink)?;
                        *given += chunk.len() as u64;
                    }
                }
                piece => match self.understand(piece)? {
                    Response::Untagged(Untagged::Fetch(fetched))
                        if fetched.sections.iter().any(|s| s.name.is_empty()) =>
                    {
                        if fetched.uid != Some(uid) {
                            return Err(ClientError::Protocol("another message than was asked for"));
                        }
                        found = true;
                        // A short message may come as a quoted string.
                        if let Some(octets) = fetched.section("").filter(|_| !drawn) {
                            if from.saturating_add(octets.len() as u64) > limit {
                                return Err(ClientError::TooLarge { limit });
                            }
                            sink.write_all(octets).await.map_err(ClientError::Sink)?;
                            *given += octets.len() as u64;
                        }
                    }
                    Response::Tagged { tag: ended, told } if ended == format!("v{}", Self::tag_number(tag)) => {
                        break told;
                    }
                    Response::Untagged(_) => {}
                    _ => return Err(ClientError::Protocol("an answer to no command")),
                },
            }
        };
        self.reader.stream(false);
        sink.flush().await.map_err(ClientError::Sink)?;
        self.ended("UID FETCH", told)?;
        if found { Ok(()) } else { Err(ClientError::Missing) }
    }

    /// BODY.PEEK[] of many messages, each given whole as it comes: none for one larger than `limit`. What else comes is given too.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn messages(
        &mut self,
        set: &str,
        items: &str,
        limit: u64,
        take: &mut (dyn FnMut(Fetched, Option<Bytes>) + Send),
    ) -> Result<()> {
        let command = Self::fetch_command(set, &format!("({items} BODY.PEEK[])"), "");
        let tag = self.submit(&command).await?;
        self.reader.stream(true);
        let mut message: Option<Bytes> = None;
        let told = loop {
            match self.reader.next().await? {
                Piece::Message(size) if size > limit => {
                    while self.reader.chunk().await?.is_some() {}
                    message = None;
                }
                Piece::Message(size) => {
                    let mut octets = Vec::with_capacity(size.min(TRUSTED) as usize);
                    while let Some(chunk) = self.reader.chunk().await? {
                        octets.extend_from_slice(&chunk);
                    }
                    message = Some(octets.into());
                }
                piece => match self.understand(piece)? {
                    Response::Untagged(Untagged::Fetch(fetched)) => {
                        let octets = message.take().or_else(|| fetched.section("").cloned());
                        take(fetched, octets);
                    }
                    Response::Tagged { tag: ended, told } if ended == format!("v{}", Self::tag_number(tag)) => {
                        break told;
                    }
                    Response::Untagged(_) => {}
                    _ => return Err(ClientError::Protocol("an answer to no command")),
                },
            }
        };
        self.reader.stream(false);
        self.ended("UID FETCH", told).map(drop)
    }
}
