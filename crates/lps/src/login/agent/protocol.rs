//! What goes over the socket: frames of a bounded length, one request and one answer per connection.
//!
//! A frame is its length (four octets, big endian) and its octets. The first frame each way is a small JSON document; a session or a token
//! goes in a second one of its own, so that JSON readers and writers never hold it.

use std::io;
use std::time::{Duration, SystemTime};

use psc::login::MAX_HANDOVER;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Refusal;

/// Longest document: a path (4 KB on Linux, escaped), an issuer; or the sessions of [`MAX_SESSIONS`](super::server::MAX_SESSIONS) people.
pub(super) const MAX_DOCUMENT: usize = 64 * 1024;
/// Longest session.
pub(super) const MAX_SESSION: usize = MAX_HANDOVER;
/// Longest token.
pub(super) const MAX_TOKEN: usize = psc::MAX_TOKEN;

/// What a token is known by without being told: its SHA-256, hexadecimal.
pub(super) fn digest(token: &psc::Secret) -> String {
    let digest = openssl::sha::sha256(token.expose().as_bytes());
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Which sessions a request is about: those that have all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Request {
    /// A token of the one session meant; another than the one with this SHA-256, which an operator refused.
    Token {
        which: Which,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// What sessions there are.
    List { which: Which },
    /// A session follows; `space` is the settings file whose `[psc]` it was made with.
    Add { space: String },
    /// Log out.
    Logout { which: Which },
    /// Log everybody out and end.
    Stop,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(super) enum Answer {
    /// It was done, to this many sessions.
    Done { count: usize },
    /// A token of this person follows.
    Token { person: String },
    /// The sessions.
    Sessions { sessions: Vec<SessionInfo> },
    /// No.
    Refused { why: Refusal },
}

/// A session that the agent keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// National identifier of who is logged in.
    pub person: String,
    /// The PSC.
    pub issuer: String,
    /// The client declared there.
    pub client_id: String,
    /// When the person logged in, seconds since 1970.
    pub begun: u64,
    /// When the session ends unless it is used before, seconds since 1970.
    pub ends: u64,
}

impl SessionInfo {
    /// When the session ends unless it is used before.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.ends)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Reads a frame of at most `limit` octets into memory that is wiped and never grown.
pub(super) async fn receive<R: AsyncRead + Unpin>(reader: &mut R, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = reader.read_u32().await? as usize;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut octets = Zeroizing::new(vec![0; length]);
    reader.read_exact(&mut octets).await?;
    Ok(octets)
}

/// Writes a frame.
pub(super) async fn send<W: AsyncWrite + Unpin>(writer: &mut W, octets: &[u8]) -> io::Result<()> {
    let length = u32::try_from(octets.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    writer.write_u32(length).await?;
    writer.write_all(octets).await?;
    writer.flush().await
}

/// Reads a document.
pub(super) async fn receive_document<R, T>(reader: &mut R) -> io::Result<T>
where
    R: AsyncRead + Unpin,
    T: for<'de> Deserialize<'de>,
{
    let octets = receive(reader, MAX_DOCUMENT).await?;
    serde_json::from_slice(&octets)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a frame is not what it must be"))
}

/// Writes a document.
pub(super) async fn send_document<W, T>(writer: &mut W, document: &T) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
    T: Serialize,
{
    send(writer, &serde_json::to_vec(document)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_bounded() {
        let mut wire = Vec::new();
        send(&mut wire, b"abc").await.expect("written");
        assert_eq!(wire, b"\0\0\0\x03abc");
        assert_eq!(receive(&mut &wire[..], 3).await.expect("read").as_slice(), b"abc");
        assert_eq!(receive(&mut &wire[..], 2).await.expect_err("too long").kind(), io::ErrorKind::InvalidData);
        assert_eq!(receive(&mut &wire[..6], 9).await.expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
        // The length alone allocates nothing beyond the limit.
        assert!(receive(&mut &b"\xff\xff\xff\xff"[..], MAX_DOCUMENT).await.is_err());
    }

    #[test]
    fn documents_are_strict() {
        let read = |text: &str| serde_json::from_str::<Request>(text).is_ok();
        assert!(read(r#"{"do":"token","which":{"person":"899700000017"}}"#));
        assert!(read(r#"{"do":"stop"}"#));
        for bad in [r#"{"do":"dump"}"#, r#"{"do":"token"}"#, r#"{"do":"token","which":{"pid":1}}"#, "[]", ""] {
            assert!(!read(bad), "{bad}");
        }
    }
}
