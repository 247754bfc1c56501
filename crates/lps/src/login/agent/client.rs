//! The side of those who ask.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mssante::NationalId;
use psc::Secret;
use psc::login::{Provider, PscSession};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::place;
use super::protocol::{self, Answer, MAX_TOKEN, Request, SessionInfo, Which};
use super::{AgentError, Refusal};
use crate::account::{TokenError, TokenSource};

/// Longest wait for an answer: a refresh at PSC, with its own limit of ten seconds per exchange, and some.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// Longest wait for an agent that was started.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks whether it listens.
const START_PAUSE: Duration = Duration::from_millis(20);

/// The agent at `socket`, about whoever is logged in there.
#[must_use]
pub fn client(socket: impl Into<PathBuf>) -> Client {
    Client { socket: socket.into(), which: Which::default(), last: Mutex::new(None), refused: Mutex::new(None) }
}

/// Starts `command`, which must run [`serve`](super::serve) at `socket`, and waits until it listens. Nothing is done when an agent runs there
/// already. The process goes on after this one: its input and outputs lead nowhere.
///
/// # Errors
/// [`AgentError::NotStarted`], or what keeps anybody from asking an agent there.
pub async fn start(mut command: Command, socket: &Path) -> Result<(), AgentError> {
    match place::connect(socket).await {
        Ok(_) => return Ok(()),
        Err(AgentError::NotRunning) => {}
        Err(error) => return Err(error),
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").kill_on_drop(false);
    let mut child = command.spawn().map_err(|source| AgentError::Io { path: socket.to_owned(), source })?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match place::connect(socket).await {
            Ok(_) => return Ok(()),
            Err(AgentError::NotRunning) => {}
            Err(error) => return Err(error),
        }
        let ended = !matches!(child.try_wait(), Ok(None));
        if ended || Instant::now() >= deadline {
            // Another may have been started at the same moment and have won.
            return place::connect(socket).await.map(|_| ()).map_err(|_| AgentError::NotStarted);
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// Asks an agent. A [`TokenSource`] for the one session it is about.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    which: Which,
    /// Whose the last token was.
    last: Mutex<Option<String>>,
    /// SHA-256 of a token that was refused, until the agent is told.
    refused: Mutex<Option<String>>,
}

impl Client {
    /// About sessions of this PSC and client only.
    #[must_use]
    pub fn of(mut self, provider: &Provider) -> Client {
        self.which.issuer = Some(provider.issuer().to_owned());
        self.which.client_id = Some(provider.client_id().to_owned());
        self
    }

    /// About this person's session only.
    #[must_use]
    pub fn person(mut self, person: &NationalId) -> Client {
        self.which.person = Some(person.as_str().to_owned());
        self
    }

    /// Whether an agent answers.
    ///
    /// # Errors
    /// Any trouble but there being none.
    pub async fn is_running(&self) -> Result<bool, AgentError> {
        match place::connect(&self.socket).await {
            Ok(_) => Ok(true),
            Err(AgentError::NotRunning) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The sessions it keeps, of those this client is about.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, AgentError> {
        match self.ask(&Request::List { which: self.which.clone() }).await? {
            (Answer::Sessions { sessions }, _) => Ok(sessions),
            _ => Err(nonsense()),
        }
    }

    /// The one session this client is about.
    ///
    /// # Errors
    /// [`Refusal::NobodyLoggedIn`], [`Refusal::SeveralPeople`], or no agent.
    pub async fn session(&self) -> Result<SessionInfo, AgentError> {
        let mut sessions = self.sessions().await?;
        match (sessions.pop(), sessions.is_empty()) {
            (Some(one), true) => {
                self.remember(&one.person);
                Ok(one)
            }
            (None, _) => Err(Refusal::NobodyLoggedIn.into()),
            _ => Err(Refusal::SeveralPeople.into()),
        }
    }

    /// Gives the agent a session made with the `[psc]` of the settings file `space`. Here it is over whatever the agent answers.
    ///
    /// # Errors
    /// [`AgentError`]. When no agent was there to connect to, the session is still this process's; when it ended after that, nobody's.
    pub async fn add(&self, space: &Path, session: PscSession) -> Result<(), AgentError> {
        let space = std::path::absolute(space).map_err(|source| AgentError::Io { path: space.to_owned(), source })?;
        let path = space.to_str().ok_or_else(|| AgentError::BadPath { path: space.clone() })?.to_owned();
        let mut stream = place::connect(&self.socket).await?;
        let handover = session.hand_over().await?;
        let octets = handover.to_json().map_err(|_| Refusal::BadSession)?;
        let asking = async {
            protocol::send_document(&mut stream, &Request::Add { space: path }).await?;
            protocol::send(&mut stream, &octets).await?;
            protocol::receive_document::<_, Answer>(&mut stream).await
        };
        match self.in_time(asking).await? {
            Answer::Done { .. } => Ok(()),
            Answer::Refused { why } => Err(why.into()),
            _ => Err(nonsense()),
        }
    }

    /// Logs out the people this client is about; how many were logged in.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn logout(&self) -> Result<usize, AgentError> {
        self.count(&Request::Logout { which: self.which.clone() }).await
    }

    /// Logs everybody out and ends the agent.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn stop(&self) -> Result<usize, AgentError> {
        self.count(&Request::Stop).await
    }

    async fn count(&self, request: &Request) -> Result<usize, AgentError> {
        match self.ask(request).await? {
            (Answer::Done { count }, _) => Ok(count),
            _ => Err(nonsense()),
        }
    }

    /// One request, and its answer with what comes after it.
    async fn ask(&self, request: &Request) -> Result<(Answer, UnixStream), AgentError> {
        let mut stream = place::connect(&self.socket).await?;
        let asking = async {
            protocol::send_document(&mut stream, request).await?;
            protocol::receive_document::<_, Answer>(&mut stream).await
        };
        match self.in_time(asking).await? {
            Answer::Refused { why } => Err(why.into()),
            answer => Ok((answer, stream)),
        }
    }

    /// What `asking` reads, in time. An agent that ends drops those it has not listened to yet: that is one that runs no more, not one that
    /// speaks nonsense.
    async fn in_time<T>(&self, asking: impl Future<Output = std::io::Result<T>>) -> Result<T, AgentError> {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
        let read = timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(TimedOut.into()));
        match read {
            Err(error)
                if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
                    && !self.is_running().await? =>
            {
                Err(AgentError::NotRunning)
            }
            read => read.map_err(AgentError::Protocol),
        }
    }

    /// An access token of the one session this client is about, and whose it is.
    async fn ask_token(&self) -> Result<Secret, AgentError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (answer, mut stream) = self.ask(&Request::Token { which: self.which.clone(), refused }).await?;
        let Answer::Token { person } = answer else { return Err(nonsense()) };
        let octets: Zeroizing<Vec<u8>> = self.in_time(protocol::receive(&mut stream, MAX_TOKEN)).await?;
        let token = std::str::from_utf8(&octets).map_err(|_| nonsense())?;
        self.remember(&person);
        Ok(Secret::new(token))
    }

    fn remember(&self, person: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(person.to_owned());
    }
}

#[async_trait]
impl TokenSource for Client {
    async fn token(&self) -> Result<Secret, TokenError> {
        self.ask_token().await.map_err(TokenError::from)
    }

    async fn refused(&self, token: &Secret) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(protocol::digest(token));
    }

    /// Whoever the client is about; before the first token of one that was not told whom, nobody.
    fn author(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.which.person.clone().or(last)
    }
}

fn nonsense() -> AgentError {
    AgentError::Protocol(std::io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::agent::place::Place;

    #[tokio::test]
    async fn dropped_by_one_that_goes_on_and_by_one_that_ends() {
        let temporary = tempfile::tempdir().expect("a folder");
        let socket = temporary.path().join("made/agent.sock");
        let place = Place::take(&socket).expect("free");
        let ask = || {
            let client = client(&socket);
            tokio::spawn(async move { client.token().await.expect_err("no token") })
        };
        let asking = ask();
        drop(place.listener.accept().await.expect("asked"));
        assert!(matches!(asking.await.expect("no panic"), TokenError::Refused(_)));
        // It looked whether there still is one.
        place.listener.accept().await.expect("looked");

        let asking = ask();
        let asked = place.listener.accept().await.expect("asked");
        drop(place);
        drop(asked);
        assert!(matches!(asking.await.expect("no panic"), TokenError::LoginNeeded));
    }
}
