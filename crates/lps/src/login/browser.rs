//! Logging in with the browser of this machine: a server on the loopback address plays the vendor's, for one login (RFC 8252 §7.3).
//!
//! For a developer's machine and for command lines. A program in production leaves the code flow to its vendor's server:
//! PSC asks that thick clients do not talk to it themselves (client.md §3.2).
//!
//! Invariants:
//! * it listens on 127.0.0.1 only, for at most [`LOGIN_LIFE`], and closes after the login;
//! * one path, one use; a return with another `state` changes nothing, and a request under another name than the loopback's is refused
//!   (a page elsewhere whose name resolves here);
//! * what the browser shows is said after the tokens were had: "connecté" is true.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use mssante::NationalId;
use psc::login::{LOGIN_LIFE, LoginError, Provider, PscSession, RedirectLogin};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::page;
use crate::explain::{Explain, Fault, Language};

/// Where PSC sends the browser back.
const PATH: &str = "/retour";

/// How a browser login is made.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    /// The port declared to PSC; the space's `psc.redirect_port`, else a free one.
    pub port: Option<u16>,
    /// Who is expected; anybody otherwise.
    pub person: Option<NationalId>,
    /// Open the browser (`$BROWSER`, else `xdg-open`). Otherwise the address is only announced.
    pub open: bool,
}

/// Why there is no login by browser.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The port cannot be had.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// Which.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The login itself.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl Explain for BrowserError {
    fn code(&self) -> &'static str {
        match self {
            BrowserError::Listen { .. } => "login.port-taken",
            BrowserError::Login(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            BrowserError::Listen { .. } => Fault::Host,
            BrowserError::Login(error) => error.fault(),
        }
    }

    fn is_temporary(&self) -> bool {
        matches!(self, BrowserError::Login(error) if Explain::is_temporary(error))
    }

    fn message(&self, language: Language) -> String {
        match (language, self) {
            (_, BrowserError::Login(error)) => error.message(language),
            (Language::English, _) => self.to_string(),
            (Language::French, BrowserError::Listen { port, source }) => {
                format!("impossible d'écouter sur 127.0.0.1:{port} : {source}")
            }
        }
    }

    fn remedy(&self, language: Language) -> String {
        match self {
            BrowserError::Login(error) => error.remedy(language),
            BrowserError::Listen { .. } => language
                .pick(
                    "Fermez le programme qui utilise ce port, ou changez psc.redirect_port (déclaré à Pro Santé Connect).",
                    "Close the program that uses this port, or change psc.redirect_port (declared to Pro Santé Connect).",
                )
                .to_owned(),
        }
    }
}

/// Logs somebody in with the browser. `announce` is given the address to open, for those whose browser does not open by itself.
/// Can be dropped at any time.
///
/// # Errors
/// [`BrowserError`]; [`LoginError::Expired`] when nobody came back in time.
pub async fn log_in(
    provider: &Provider,
    how: Browser,
    announce: impl FnOnce(&Url),
) -> Result<PscSession, BrowserError> {
    let port = how.port.or(provider.redirect_port()).unwrap_or(0);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listen = |source| BrowserError::Listen { port, source };
    let listener = listener.await.map_err(listen)?;
    let port = listener.local_addr().map_err(listen)?.port();
    let redirect_uri = format!("http://127.0.0.1:{port}{PATH}").parse().map_err(|_| LoginError::BadReturn)?;
    let login = provider.redirect(redirect_uri, how.person).await?;
    announce(login.url());
    if how.open {
        open(login.url());
    }
    let (told, outcome) = oneshot::channel();
    let waiting = Arc::new(Waiting { port, login: Mutex::new(Some((login, told))) });
    let router = Router::new().route(PATH, get(returned)).fallback(async || page::nothing_here()).with_state(waiting);
    // Ends the server however this function ends.
    let shutdown = CancellationToken::new();
    let _ends = shutdown.clone().drop_guard();
    let serving = tokio::spawn(trust::http::serve(listener, None, router, shutdown.clone()));
    let outcome = tokio::time::timeout(LOGIN_LIFE, outcome).await;
    // The page under way is sent before a program that has nothing else to do ends.
    shutdown.cancel();
    let _ = serving.await;
    match outcome {
        Ok(Ok(outcome)) => Ok(outcome?),
        // Nobody came, or the runtime ends.
        Ok(Err(_)) | Err(_) => Err(LoginError::Expired.into()),
    }
}

struct Waiting {
    port: u16,
    login: Mutex<Option<(RedirectLogin, oneshot::Sender<Result<PscSession, LoginError>>)>>,
}

async fn returned(State(waiting): State<Arc<Waiting>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host != format!("127.0.0.1:{}", waiting.port) {
        return page::nothing_here();
    }
    // Of its own: a browser that goes away in the middle does not spoil the login.
    let finished = tokio::spawn(async move { finish(&waiting, &query.unwrap_or_default()).await });
    finished.await.unwrap_or_else(|_| page::nothing_here())
}

async fn finish(waiting: &Waiting, query: &str) -> Response {
    let mut held = waiting.login.lock().await;
    let Some((login, _)) = held.as_ref() else { return page::nothing_here() };
    let returned = match login.check(query) {
        // A stranger's: whoever is waited for may still come.
        Err(error @ (LoginError::WrongState | LoginError::BadReturn)) => return page::failed(&error),
        other => other,
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

/// Opens the browser, if there is one; the address was announced anyway.
fn open(url: &Url) {
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
