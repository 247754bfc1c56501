//! Logging in with the browser of this machine: a server on the loopback address plays the vendor's, for one login (RFC 8252 §7.3).
//!
//! For a developer's machine and for command lines. A program in production leaves the code flow to its vendor's server
//! ([`super::vendor`]): PSC asks that thick clients do not talk to it themselves (client.md §3.2).

use mssante::NationalId;
use psc::login::{LoginError, Provider, PscSession, RedirectLogin, Return};
use url::Url;

use super::loopback::{self, Awaited, Knock, Loopback};
use crate::explain::{Explain, Fault, Told};

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
    fn told(&self) -> Told {
        match self {
            BrowserError::Listen { port, source } => Told::new(
                "login.port-taken",
                Fault::Host,
                format!("impossible d'écouter sur 127.0.0.1:{port} : {source}"),
                (
                    "Fermez le programme qui utilise ce port, ou changez psc.redirect_port (déclaré à Pro Santé Connect).",
                    "Close the program that uses this port, or change psc.redirect_port (declared to Pro Santé Connect).",
                ),
            ),
            BrowserError::Login(error) => error.told(),
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
    let loopback = Loopback::bind(port).await.map_err(|source| BrowserError::Listen { port, source })?;
    let redirect_uri = loopback.address().parse().map_err(|_| LoginError::BadReturn)?;
    let login = provider.redirect(redirect_uri, how.person).await?;
    announce(login.url());
    if how.open {
        loopback::open(login.url());
    }
    Ok(loopback.wait(login).await.unwrap_or(Err(LoginError::Expired))?)
}

impl Awaited for RedirectLogin {
    type Return = Return;
    type Session = PscSession;
    type Error = LoginError;

    fn check(&self, query: &str) -> Knock<Return, LoginError> {
        match RedirectLogin::check(self, query) {
            Ok(returned) => Knock::Ours(returned),
            Err(error @ (LoginError::WrongState | LoginError::BadReturn)) => Knock::Stranger(error),
            Err(error) => Knock::Fatal(error),
        }
    }

    async fn finish(self, returned: Return) -> Result<PscSession, LoginError> {
        RedirectLogin::finish(self, returned).await
    }
}
