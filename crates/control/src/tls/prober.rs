//! One connection, one question: connect, STARTTLS, a ClientHello, the answer.
//!
//! Etiquette (control.md §5.4): one connection at a time, a pause between two, a budget; after the second 421 no more are made.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout, timeout_at};

use super::flight::{Alert, Broken, Flight, Progress, read};
use super::hello::{Hello, ssl2};
use super::starttls::{Dialogue, Starttls, StarttlsError, start};
use super::words::Ssl2Cipher;

/// Connections refused by 421 or BYE after which the server is left alone.
const MAX_BUSY: u32 = 2;

/// What is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The DNS name asked for, when it is one.
    pub server_name: Option<String>,
    /// What stands before TLS.
    pub starttls: Starttls,
}

/// How politely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long to wait for a connection, a line or an answer.
    pub patience: Duration,
    /// Between two connections.
    pub pause: Duration,
    /// Most connections in all.
    pub budget: u32,
}

impl Default for Settings {
    /// Ten seconds, no pause, 400 connections: for a test space. In production: a second, 60.
    fn default() -> Settings {
        Settings { patience: Duration::from_secs(10), pause: Duration::ZERO, budget: 400 }
    }
}

/// How an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// By an alert: certain.
    Alert(Alert),
    /// By closing or resetting the connection, twice.
    Closed,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server's flight.
    Flight(Box<Flight>),
    /// The answer of SSL 2.
    Ssl2 {
        /// Ciphers in common.
        ciphers: Vec<Ssl2Cipher>,
        /// Certificate, DER.
        certificate: Vec<u8>,
    },
    /// Refused.
    Refused(Refusal),
    /// Nothing can be concluded.
    Inconclusive(Doubt),
}

/// Why nothing can be concluded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// No connection.
    #[error("no connection: {0}")]
    Unreachable(ErrorKind),
    /// The connection was not answered in time.
    #[error("the connection is not answered")]
    ConnectSilent,
    /// TLS never began.
    #[error(transparent)]
    Starttls(#[from] StarttlsError),
    /// Nothing came after the ClientHello.
    #[error("no answer to the ClientHello")]
    Silent,
    /// The answer is not TLS.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The budget is spent, or the server said 421 twice.
    #[error("no more connections: {0}")]
    Stopped(&'static str),
}

/// Asks a server, one connection after the other.
pub struct Prober<'a> {
    target: Target,
    settings: Settings,
    told: &'a (dyn Fn(u32) + Sync),
    connections: u32,
    busy: u32,
    dialogue: Dialogue,
}

impl<'a> Prober<'a> {
    /// Nothing is connected yet. `told` hears how many connections were made, at each of them.
    #[must_use]
    pub fn new(target: Target, settings: Settings, told: &'a (dyn Fn(u32) + Sync)) -> Prober<'a> {
        Prober { target, settings, told, connections: 0, busy: 0, dialogue: Vec::new() }
    }

    /// What is probed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Connections made so far.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// The first dialogue before TLS that came to its end, or else the last one: evidence.
    #[must_use]
    pub fn dialogue(&self) -> &[String] {
        &self.dialogue
    }

    /// A hello for this target.
    #[must_use]
    pub fn hello(&self, version: super::words::Version) -> Hello {
        Hello::new(version, self.target.server_name.as_deref())
    }

    /// Asks with a ClientHello of SSL 3 or newer.
    pub async fn ask(&mut self, hello: &Hello) -> Outcome {
        self.ask_octets(&hello.encode()).await
    }

    /// Asks with a ClientHello of SSL 2.
    pub async fn ask_ssl2(&mut self) -> Outcome {
        self.ask_octets(&ssl2(Ssl2Cipher::known(), [0x5A; 16])).await
    }

    /// A close without an alert counts once it was seen twice; so does silence.
    async fn ask_octets(&mut self, hello: &[u8]) -> Outcome {
        match self.once(hello).await {
            Outcome::Refused(Refusal::Closed) | Outcome::Inconclusive(Doubt::Silent) => self.once(hello).await,
            outcome => outcome,
        }
    }

    async fn once(&mut self, hello: &[u8]) -> Outcome {
        let mut stream = match self.open().await {
            Ok(stream) => stream,
            Err(doubt) => return Outcome::Inconclusive(doubt),
        };
        // A failure is none yet: a server may close as soon as it has seen the version, and what it said before is still there to be read.
        if timeout(self.settings.patience, stream.write_all(hello)).await.is_err() {
            return Outcome::Inconclusive(Doubt::Silent);
        }
        let mut received = Vec::new();
        let mut octets = [0; 16 * 1024];
        // For the whole flight: a server that drips octets is silent too.
        let until = tokio::time::Instant::now() + self.settings.patience;
        loop {
            let count = match timeout_at(until, stream.read(&mut octets)).await {
                Err(_) => return Outcome::Inconclusive(Doubt::Silent),
                Ok(Ok(0) | Err(_)) => return Outcome::Refused(Refusal::Closed),
                Ok(Ok(count)) => count,
            };
            received.extend_from_slice(&octets[..count]);
            match read(&received) {
                Ok(Progress::More) => {}
                Ok(Progress::Whole(flight)) => return Outcome::Flight(flight),
                Ok(Progress::Ssl2 { ciphers, certificate }) => {
                    let ciphers = ciphers.into_iter().map(Ssl2Cipher).collect();
                    return Outcome::Ssl2 { ciphers, certificate };
                }
                // A warning, e.g. unrecognized_name: the flight follows.
                Ok(Progress::Alert(alert, None)) if alert.level == 1 && alert.description != 0 && received[0] == 21 => {
                    received.drain(..received.len().min(7));
                }
                Ok(Progress::Alert(_, Some(flight))) if flight.suite.is_some() => return Outcome::Flight(flight),
                Ok(Progress::Alert(alert, _)) => return Outcome::Refused(Refusal::Alert(alert)),
                Err(broken) => return Outcome::Inconclusive(broken.into()),
            }
        }
    }

    /// Connects and speaks until TLS may begin.
    ///
    /// # Errors
    /// [`Doubt`].
    pub async fn open(&mut self) -> Result<TcpStream, Doubt> {
        if self.busy >= MAX_BUSY {
            return Err(Doubt::Stopped("the server said that it is busy"));
        }
        if self.connections >= self.settings.budget {
            return Err(Doubt::Stopped("the budget is spent"));
        }
        if self.connections > 0 && !self.settings.pause.is_zero() {
            sleep(self.settings.pause).await;
        }
        self.connections += 1;
        (self.told)(self.connections);
        let mut stream = match timeout(self.settings.patience, TcpStream::connect(self.target.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Doubt::Unreachable(error.kind())),
            Err(_) => return Err(Doubt::ConnectSilent),
        };
        // Small questions, at once; a failure only slows.
        let _ = stream.set_nodelay(true);
        let mut said = Vec::new();
        let done = start(&mut stream, self.target.starttls, self.settings.patience, &mut said).await;
        if self.dialogue.is_empty() || done.is_err() {
            self.dialogue = said;
        }
        if let Err(error) = done {
            if matches!(error, StarttlsError::Busy(_)) {
                self.busy += 1;
            }
            return Err(error.into());
        }
        Ok(stream)
    }
}
