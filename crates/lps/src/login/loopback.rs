//! A server on the loopback address that a browser comes back to, once (RFC 8252 §7.3).
//!
//! Invariants:
//! * it listens on 127.0.0.1 only, for at most [`LOGIN_LIFE`], and closes after the login;
//! * one path, one use; a stranger's return changes nothing, and a request under another name than the loopback's is refused (a page
//!   elsewhere whose name resolves here);
//! * what the browser is shown is said after the login was finished: "connecté" is true; a browser that goes away in the middle spoils nothing.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use psc::login::LOGIN_LIFE;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::page;
use crate::explain::Explain;

/// Where the browser is sent back.
const PATH: &str = "/retour";

/// What a login says of a return.
pub(super) enum Knock<R, E> {
    /// It is this login's: go on.
    Ours(R),
    /// It is not: whoever is waited for may still come.
    Stranger(E),
    /// It is this login's, and ends it.
    Fatal(E),
}

/// A login that ends with a browser's return.
pub(super) trait Awaited: Send + 'static {
    type Return: Send;
    type Session: Send + 'static;
    type Error: Explain + Send + 'static;

    /// Reads the query of a return. Changes nothing.
    fn check(&self, query: &str) -> Knock<Self::Return, Self::Error>;

    /// Finishes.
    fn finish(self, returned: Self::Return) -> impl Future<Output = Result<Self::Session, Self::Error>> + Send;
}

/// A port of the loopback address.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

type Told<L> = oneshot::Sender<Result<<L as Awaited>::Session, <L as Awaited>::Error>>;

struct Waiting<L: Awaited> {
    port: u16,
    login: Mutex<Option<(L, Told<L>)>>,
}

impl Loopback {
    /// Takes a port; 0 is any.
    pub async fn bind(port: u16) -> io::Result<Loopback> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        Ok(Loopback { listener, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the browser must be sent back.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the return of a login. Nothing when nobody came in time.
    pub async fn wait<L: Awaited>(self, login: L) -> Option<Result<L::Session, L::Error>> {
        let (told, outcome) = oneshot::channel();
        let waiting = Arc::new(Waiting { port: self.port, login: Mutex::new(Some((login, told))) });
        let router =
            Router::new().route(PATH, get(returned::<L>)).fallback(async || page::nothing_here()).with_state(waiting);
        // Ends the server however this function ends.
        let shutdown = CancellationToken::new();
        let _ends = shutdown.clone().drop_guard();
        let serving = tokio::spawn(trust::http::serve(self.listener, None, router, shutdown.clone()));
        let outcome = tokio::time::timeout(LOGIN_LIFE, outcome).await;
        // The page under way is sent before a program that has nothing else to do ends.
        shutdown.cancel();
        let _ = serving.await;
        outcome.ok()?.ok()
    }
}

async fn returned<L: Awaited>(
    State(waiting): State<Arc<Waiting<L>>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host != format!("127.0.0.1:{}", waiting.port) {
        return page::nothing_here();
    }
    // A task of its own: see the third invariant.
    let finished = tokio::spawn(async move { finish(&waiting, &query.unwrap_or_default()).await });
    finished.await.unwrap_or_else(|_| page::nothing_here())
}

async fn finish<L: Awaited>(waiting: &Waiting<L>, query: &str) -> Response {
    let mut held = waiting.login.lock().await;
    let Some((login, _)) = held.as_ref() else { return page::nothing_here() };
    let returned = match login.check(query) {
        Knock::Stranger(error) => return page::failed(&error),
        Knock::Fatal(error) => Err(error),
        Knock::Ours(returned) => Ok(returned),
    };
    let Some((login, told)) = held.take() else { return page::nothing_here() };
    let outcome = match returned {
        Ok(returned) => login.finish(returned).await,
        Err(error) => Err(error),
    };
    let answer = outcome.as_ref().map_or_else(|error| page::failed(error), |_| page::done());
    // Nobody listens when the login was given up.
    let _ = told.send(outcome);
    answer
}

/// Opens the browser (`$BROWSER`, else `xdg-open`), if there is one; the address was announced anyway.
pub(super) fn open(url: &Url) {
    let wanted = std::env::var("BROWSER").unwrap_or_default();
    let program = wanted.split(':').next().filter(|program| !program.is_empty()).unwrap_or("xdg-open");
    let mut words = program.split_whitespace();
    let Some(name) = words.next() else { return };
    let mut command = Command::new(name);
    let mut placed = false;
    for word in words {
        placed |= word.contains("%s");
        command.arg(word.replace("%s", url.as_str()));
    }
    if !placed {
        command.arg(url.as_str());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
    match command.spawn() {
        // Dropped: the runtime reaps it when it ends.
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "no browser could be opened"),
    }
}
