//! The agent's side.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mssante::NationalId;
use psc::login::{Handover, PscSession};
use tokio::net::UnixStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use trust::SharedClock;

use super::place::{self, Place};
use super::protocol::{self, Answer, MAX_SESSION, Request, SessionInfo, Which};
use super::{AgentError, Refusal, harden};
use crate::space::Space;

/// How long an agent waits for its first session.
pub const FIRST_SESSION: Duration = Duration::from_secs(60);
/// Sessions kept at once: people who share one account of a machine, not a server's users.
pub(super) const MAX_SESSIONS: usize = 64;
/// Requests at once; others wait.
const MAX_CONNECTIONS: usize = 32;
/// Time to say what is wanted.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to take the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to tell PSC of logouts at the end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Longest time between two looks at what is over: a machine that slept wakes with its timers late.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Keeps sessions at `socket` until the last is over, [`Client::stop`](super::Client::stop) is asked, or `shutdown` comes (a signal); then logs
/// everybody out and removes the socket. Keeps this process's memory from dumps, tracing and swap: the process should do nothing else.
///
/// # Errors
/// [`AgentError::Running`], [`AgentError::Insecure`], [`AgentError::BadPath`], [`AgentError::Io`]; none once it listens.
pub async fn serve(socket: &Path, clock: SharedClock, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
    let place = Place::take(socket)?;
    harden::harden();
    run(place, socket, clock, shutdown).await;
    Ok(())
}

/// [`serve`] once the place is taken and the process hardened.
async fn run(place: Place, socket: &Path, clock: SharedClock, shutdown: impl Future<Output = ()>) {
    let agent =
        Arc::new(Agent { sessions: Mutex::default(), changed: Notify::new(), clock, socket: socket.to_owned() });
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tasks = JoinSet::new();
    let deadline = tokio::time::Instant::now() + FIRST_SESSION;
    tokio::pin!(shutdown);
    loop {
        let pause = match agent.look() {
            Look::Until(pause) => pause,
            Look::Nobody => deadline.saturating_duration_since(tokio::time::Instant::now()).min(LOOK_EVERY),
            Look::Over => break,
        };
        if agent.is_empty() && pause.is_zero() {
            break;
        }
        tokio::select! {
            () = &mut shutdown => break,
            () = agent.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(_) = tasks.join_next() => {}
            accepted = accept(&place, &slots) => {
                if let Some((stream, slot)) = accepted {
                    let agent = Arc::clone(&agent);
                    tasks.spawn(async move {
                        if let Err(error) = agent.answer(stream).await {
                            tracing::debug!(%error, "a client of the agent was dropped");
                        }
                        drop(slot);
                    });
                }
            }
        }
    }
    // Answers under way (that of `stop` among them) are given.
    let _ = timeout(ANSWER_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await;
    drop(place);
    let _ = timeout(FAREWELL, agent.logout(&Which::default())).await;
}

async fn accept(place: &Place, slots: &Arc<Semaphore>) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    // Never closed.
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match place.listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "the agent cannot accept a connection");
            // No file descriptor left: a pause instead of a busy loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

struct Agent {
    sessions: Mutex<Kept>,
    /// Something of the above changed: look again.
    changed: Notify,
    clock: SharedClock,
    socket: PathBuf,
}

#[derive(Default)]
struct Kept {
    sessions: Vec<PscSession>,
    /// Whether there ever was one.
    any: bool,
    stopping: bool,
}

/// What is to be expected.
enum Look {
    /// A session may be over after this long.
    Until(Duration),
    /// There was none yet.
    Nobody,
    /// There will be none any more.
    Over,
}

impl Which {
    fn means(&self, session: &PscSession) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.issuer, session.provider().issuer())
            && is(&self.client_id, session.provider().client_id())
            && is(&self.person, session.person().as_str())
    }
}

impl Agent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change is one insertion or removal: whole whatever panics.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.kept().sessions.is_empty()
    }

    /// Forgets what is over.
    fn look(&self) -> Look {
        let mut kept = self.kept();
        kept.sessions.retain(|session| session.over().is_none());
        let now = self.clock.now();
        match kept.sessions.iter().map(PscSession::ends).min() {
            _ if kept.stopping => Look::Over,
            // A second more, so that it is past and not just reached.
            Some(first) => {
                Look::Until((first.duration_since(now).unwrap_or_default() + Duration::from_secs(1)).min(LOOK_EVERY))
            }
            None if kept.any => Look::Over,
            None => Look::Nobody,
        }
    }

    /// The sessions meant that are not over.
    fn meant(&self, which: &Which) -> Vec<PscSession> {
        let kept = self.kept();
        kept.sessions.iter().filter(|session| which.means(session) && session.over().is_none()).cloned().collect()
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        place::check_peer(&stream, &self.socket).map_err(io::Error::other)?;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let request = timeout(REQUEST_TIMEOUT, protocol::receive_document(&mut stream)).await.map_err(late)??;
        let mut token = None;
        let done = match request {
            Request::Token { which, refused } => self.token(&which, refused.as_deref()).await.map(|(person, given)| {
                token = Some(given);
                Answer::Token { person }
            }),
            Request::List { which } => Ok(Answer::Sessions { sessions: self.meant(&which).iter().map(info).collect() }),
            Request::Add { space } => {
                let session = timeout(REQUEST_TIMEOUT, protocol::receive(&mut stream, MAX_SESSION)).await;
                self.add(&space, &session.map_err(late)??).await.map(|()| Answer::Done { count: 1 })
            }
            Request::Logout { which } => Ok(Answer::Done { count: self.logout(&which).await }),
            Request::Stop => {
                let count = self.logout(&Which::default()).await;
                self.kept().stopping = true;
                Ok(Answer::Done { count })
            }
        };
        self.changed.notify_one();
        let answer = done.unwrap_or_else(|why| Answer::Refused { why });
        let answering = async {
            protocol::send_document(&mut stream, &answer).await?;
            match &token {
                Some(token) => protocol::send(&mut stream, token.expose().as_bytes()).await,
                None => Ok(()),
            }
        };
        timeout(ANSWER_TIMEOUT, answering).await.map_err(late)?
    }

    async fn token(&self, which: &Which, refused: Option<&str>) -> Result<(String, psc::Secret), Refusal> {
        let meant = self.meant(which);
        let [session] = meant.as_slice() else {
            return Err(if meant.is_empty() { Refusal::NobodyLoggedIn } else { Refusal::SeveralPeople });
        };
        if let Some(refused) = refused {
            session.was_refused(|own| protocol::digest(own) == refused);
        }
        let token = session.access_token().await?;
        Ok((session.person().as_str().to_owned(), token))
    }

    async fn add(&self, space: &str, session: &[u8]) -> Result<(), Refusal> {
        let handover = Handover::from_json(session).map_err(|_| Refusal::BadSession)?;
        let (path, clock) = (PathBuf::from(space), self.clock.clone());
        let loaded = tokio::task::spawn_blocking(move || Space::load_at(&path, clock)).await;
        let space = match loaded {
            Ok(Ok(space)) => space,
            Ok(Err(error)) => return Err(Refusal::Space(error.to_string())),
            Err(_) => return Err(Refusal::Space("they could not be read".to_owned())),
        };
        let provider = space.psc.as_ref().ok_or_else(|| Refusal::Space("no section [psc]".to_owned()))?;
        let session = provider.take_over(handover).map_err(|_| Refusal::BadSession)?;
        let same = which(&session);
        let replaced = {
            let mut kept = self.kept();
            if kept.sessions.len() >= MAX_SESSIONS && !kept.sessions.iter().any(|old| same.means(old)) {
                return Err(Refusal::Full);
            }
            let (replaced, others): (Vec<_>, Vec<_>) = kept.sessions.drain(..).partition(|old| same.means(old));
            kept.sessions = others;
            kept.sessions.push(session);
            kept.any = true;
            replaced
        };
        // The person logged in again: one session each.
        for old in replaced {
            tokio::spawn(async move { old.logout().await });
        }
        Ok(())
    }

    /// Logs out those meant; how many there were.
    async fn logout(&self, which: &Which) -> usize {
        let gone: Vec<_> = {
            let mut kept = self.kept();
            let (gone, others): (Vec<_>, Vec<_>) = kept.sessions.drain(..).partition(|session| which.means(session));
            kept.sessions = others;
            gone
        };
        let count = gone.iter().filter(|session| session.over().is_none()).count();
        let mut telling = JoinSet::new();
        for session in gone {
            telling.spawn(async move { session.logout().await });
        }
        while let Some(told) = telling.join_next().await {
            if let Ok(Err(error)) = told {
                tracing::warn!(%error, "Pro Santé Connect could not be told of a logout");
            }
        }
        count
    }
}

/// What tells a person's session at one PSC from others.
fn which(session: &PscSession) -> Which {
    let provider = session.provider();
    let person: &NationalId = session.person();
    Which {
        issuer: Some(provider.issuer().to_owned()),
        client_id: Some(provider.client_id().to_owned()),
        person: Some(person.as_str().to_owned()),
    }
}

fn info(session: &PscSession) -> SessionInfo {
    let seconds = |instant: SystemTime| instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SessionInfo {
        person: session.person().as_str().to_owned(),
        issuer: session.provider().issuer().to_owned(),
        client_id: session.provider().client_id().to_owned(),
        begun: seconds(session.begun()),
        ends: seconds(session.ends()),
    }
}
