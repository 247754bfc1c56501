//! The way to an open mailbox: name, address, TLS, token, every time anew. ECO-CONN, ECO-TOKEN.

use std::sync::Arc;
use std::time::Duration;

use imap::client::{self, ClientError, Connection, Patience, Sasl, Selected};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use trust::tls::{Connector, TlsStream};

use super::SessionError;
use crate::account::{Account, Credentials, TokenError};
use crate::space::Space;
use crate::trace::{Action, MAX_ANSWER, Trace};

/// A connection unused for so long may be dead without anybody having said so (firewalls forget): it is tried before it is used.
const DOUBTED_AFTER: Duration = Duration::from_secs(60);
/// What such a trial may take.
const TRIAL: Duration = Duration::from_secs(10);
/// How often the PSC session is asked whether it lives while a mail session goes on (ECO.1.2.6). Well under its 15 minutes.
pub(super) const LOGIN_CHECKED_AFTER: Duration = Duration::from_secs(4 * 60);

pub(super) type Client = Connection<TlsStream<TcpStream>>;

/// Opens connections to one BAL.
pub(super) struct Opener {
    pub(super) space: Arc<Space>,
    pub(super) account: Account,
    connector: Connector,
    patience: Patience,
}

/// An open connection, authenticated.
pub(super) struct Link {
    pub(super) client: Client,
    /// The folder that is open.
    pub(super) selected: Option<(String, Selected)>,
    used: Instant,
    login_checked: Instant,
}

impl Opener {
    pub(super) fn new(space: Arc<Space>, account: Account, patience: Patience) -> Result<Self, SessionError> {
        let identity = match &account.credentials {
            Credentials::Certificate(identity) => Some(identity),
            Credentials::Psc(_) => None,
        };
        let connector = space.connector(identity)?;
        Ok(Opener { space, account, connector, patience })
    }

    /// Opens one, and traces it.
    pub(super) async fn open(&self) -> Result<Link, SessionError> {
        let opened = self.try_open().await;
        self.trace(Action::Connect, "open".to_owned(), opened.as_ref().err(), None);
        opened
    }

    /// A token may end between PSC and the operator: one that is refused is followed by another, once (ECO.1.2.7).
    async fn try_open(&self) -> Result<Link, SessionError> {
        let mut used = None;
        let error = match self.open_with(&mut used, None).await {
            Err(error @ SessionError::NotAllowed(_)) => error,
            other => return other,
        };
        let (Credentials::Psc(source), Some(first)) = (&self.account.credentials, used) else { return Err(error) };
        source.refused(&first).await;
        match source.token().await {
            Ok(other) if other.expose() != first.expose() => self.open_with(&mut None, Some(other)).await,
            _ => Err(error),
        }
    }

    /// With this token, or one asked for at the last moment, which is told.
    async fn open_with(
        &self,
        used: &mut Option<psc::Secret>,
        token: Option<psc::Secret>,
    ) -> Result<Link, SessionError> {
        let endpoint = &self.account.entry.imap;
        let stream = self.space.dial(endpoint).await?;
        let opened = client::open(stream, &endpoint.host, &self.connector, self.patience);
        let mut client = opened.await.map_err(|e| SessionError::of(e, None))?;
        self.authenticate(&mut client, used, token).await?;
        // Names of folders and headers in UTF-8 where they can be: a server without it writes what it must in ASCII.
        client.enable(&["QRESYNC", "UTF8=ACCEPT"]).await.map_err(|e| SessionError::of(e, None))?;
        let now = Instant::now();
        Ok(Link { client, selected: None, used: now, login_checked: now })
    }

    async fn authenticate(
        &self,
        client: &mut Client,
        used: &mut Option<psc::Secret>,
        token: Option<psc::Secret>,
    ) -> Result<(), SessionError> {
        let address = self.account.address.to_string();
        let done = match &self.account.credentials {
            Credentials::Psc(source) => {
                // Asked for at the last moment: tokens live a minute or two, in tests ten seconds.
                let token = match token {
                    Some(token) => token,
                    None => source.token().await?,
                };
                let done = client.authenticate(&Sasl::XOAuth2 { user: &address, token: token.expose() }).await;
                *used = Some(token);
                done
            }
            Credentials::Certificate(_) => match client.authenticate(&Sasl::External { authorization: &address }).await
            {
                Err(ClientError::NoMechanism(name)) => match client.is_open_already().await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(ClientError::NoMechanism(name)),
                    Err(error) => Err(error),
                },
                other => other,
            },
        };
        done.map_err(|error| SessionError::of(error, None))
    }

    /// Whether whoever logged in still is: the mail session ends with the PSC session (ECO.1.2.6).
    pub(super) async fn check_login(&self) -> Result<(), SessionError> {
        let Credentials::Psc(source) = &self.account.credentials else { return Ok(()) };
        match source.token().await {
            Err(error @ TokenError::LoginNeeded) => Err(error.into()),
            // PSC out of reach for a moment does not end anything.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Keeps a trace of what was done.
    pub(super) fn trace(
        &self,
        action: Action,
        request: String,
        error: Option<&SessionError>,
        message_id: Option<String>,
    ) {
        let answer = error.map_or_else(|| "OK".to_owned(), ToString::to_string);
        self.space.tracer.record(Trace {
            at: self.space.clock.now().into(),
            author: self.account.author(),
            mailbox: Some(self.account.address.to_string()),
            action,
            request,
            answer: answer.chars().filter(|c| !c.is_control()).take(MAX_ANSWER).collect(),
            done: error.is_none(),
            message_id,
        });
    }
}

impl Link {
    /// Whether it can be used: tried first when it was not for a while.
    pub(super) async fn is_alive(&mut self, opener: &Opener) -> Result<bool, SessionError> {
        if self.login_checked.elapsed() > LOGIN_CHECKED_AFTER {
            opener.check_login().await?;
            self.login_checked = Instant::now();
        }
        if self.used.elapsed() <= DOUBTED_AFTER {
            return Ok(true);
        }
        Ok(matches!(timeout(TRIAL, self.client.noop(&mut |_| {})).await, Ok(Ok(()))))
    }

    pub(super) fn touch(&mut self) {
        self.used = Instant::now();
    }

    /// Opens a folder unless it is open. When it is, `refresh` has the server look at it anew first: until then it need not know of
    /// messages that came since its last answer, and would find, mark or move none of them (Dovecot does as RFC 3501 allows).
    pub(super) async fn select(&mut self, folder: &str, refresh: bool) -> Result<&Selected, ClientError> {
        let open = self.selected.as_ref().is_some_and(|(name, _)| name == folder);
        if open && refresh {
            self.client.noop(&mut |_| {}).await?;
        }
        if !open {
            // A failed SELECT leaves no folder open.
            self.selected = None;
            let selected = self.client.select(folder, None, &mut |_| {}).await?;
            self.selected = Some((folder.to_owned(), selected));
        }
        match &self.selected {
            Some((_, selected)) => Ok(selected),
            None => Err(ClientError::Protocol("no folder")),
        }
    }
}
