//! A connection as a trap sees it: bounded lines in, answers out, everything said noted with its time.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::record::{End, MAX_LINES};
use crate::tls::starttls::shown;
use crate::wire::Line;

/// Longest command: RFC 5321 §4.5.3.1.4 has 512, extensions add to it.
const MAX_COMMAND: usize = 4096;
/// How long the peer may say nothing: RFC 5321 §4.5.3.2.7.
pub(super) const IDLE: Duration = Duration::from_secs(300);
/// How long one answer may wait to be taken.
const STUCK: Duration = Duration::from_secs(60);

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

enum Side {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
    Gone,
}

pub(super) struct Conn {
    side: Side,
    pending: Vec<u8>,
    pub(super) started: Instant,
    pub(super) dialogue: Vec<Line>,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Conn {
        Conn { side: Side::Plain(stream), pending: Vec::new(), started: Instant::now(), dialogue: Vec::new() }
    }

    pub(super) fn ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn note(&mut self, from: char, text: &str) {
        if self.dialogue.len() < MAX_LINES {
            self.dialogue.push(Line { ms: self.ms(), from, text: shown(text) });
        }
    }

    fn stream(&mut self) -> Option<&mut dyn Both> {
        match &mut self.side {
            Side::Plain(stream) => Some(stream),
            Side::Tls(stream) => Some(stream),
            Side::Gone => None,
        }
    }

    /// Reads what is there; 0 at the end.
    async fn fill(&mut self, wait: Duration) -> Result<usize, End> {
        let mut octets = [0; 16 * 1024];
        let Some(stream) = self.stream() else { return Err(End::ClosedByPeer) };
        match timeout(wait, stream.read(&mut octets)).await {
            Err(_) => Err(End::Silence),
            Ok(Ok(0) | Err(_)) => Err(End::ClosedByPeer),
            Ok(Ok(count)) => {
                self.pending.extend_from_slice(&octets[..count]);
                Ok(count)
            }
        }
    }

    /// A command, without its end.
    pub(super) async fn line(&mut self) -> Result<String, End> {
        loop {
            let end = self.pending.iter().position(|octet| *octet == b'\n');
            if end.unwrap_or(self.pending.len()) > MAX_COMMAND {
                return Err(End::Limit);
            }
            if let Some(end) = end {
                let octets: Vec<u8> = self.pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&octets).trim_end_matches(['\r', '\n']).to_owned();
                self.note('<', &line);
                return Ok(line);
            }
            self.fill(IDLE).await?;
        }
    }

    /// Octets of a message: at least one.
    pub(super) async fn octets(&mut self) -> Result<Vec<u8>, End> {
        if self.pending.is_empty() {
            self.fill(IDLE).await?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Gives octets back: they belong to what follows.
    pub(super) fn give_back(&mut self, octets: &[u8]) {
        self.pending.splice(..0, octets.iter().copied());
    }

    /// Whether the peer says something before its turn, within so long. It stays there to be read.
    pub(super) async fn speaks_within(&mut self, wait: Duration) -> Result<bool, End> {
        if !self.pending.is_empty() {
            return Ok(true);
        }
        match self.fill(wait).await {
            Ok(_) => Ok(true),
            Err(End::Silence) => Ok(false),
            Err(end) => Err(end),
        }
    }

    /// Says lines, each without its end.
    pub(super) async fn say(&mut self, lines: &[&str]) -> Result<(), End> {
        let mut text = String::new();
        for line in lines {
            self.note('>', line);
            text.push_str(line);
            text.push_str("\r\n");
        }
        let Some(stream) = self.stream() else { return Err(End::ClosedByPeer) };
        let said = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        match timeout(STUCK, said).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::ClosedByPeer),
            Err(_) => Err(End::Silence),
        }
    }

    /// The connection in clear, for a handshake. What the peer said ahead of it is thrown away; how many octets that was.
    pub(super) fn take_plain(&mut self) -> Option<(TcpStream, usize)> {
        match std::mem::replace(&mut self.side, Side::Gone) {
            Side::Plain(stream) => Some((stream, std::mem::take(&mut self.pending).len())),
            other => {
                self.side = other;
                None
            }
        }
    }

    pub(super) fn put_tls(&mut self, stream: SslStream<TcpStream>) {
        self.side = Side::Tls(Box::new(stream));
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.side, Side::Tls(_))
    }

    /// Closes politely, or just goes.
    pub(super) async fn close(&mut self, is_polite: bool) {
        if is_polite && let Some(stream) = self.stream() {
            let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
        }
        self.side = Side::Gone;
    }
}
