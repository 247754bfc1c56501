//! The relay and submission client.
//!
//! Invariants:
//! * nothing but EHLO, STARTTLS and QUIT is ever said in clear: a peer without STARTTLS gets nothing ([`ClientError::NoStartTls`]);
//! * what the peer announced before TLS is forgotten, and EHLO said again; a peer that speaks ahead of its turn in clear is refused
//!   ([`ClientError::OutOfTurn`], OPE-18);
//! * the certificate is checked by [`trust::tls::Connector`], then by the caller's own check ([`Settings`] and
//!   [`Client::connect`]), before anything is said inside TLS (OPE-MTLS, OPE-LIST);
//! * each recipient has its own result; a message that some recipients are refused still goes to the others.
//!
//! RFC 5321, 3207, 2920, 3030, 1870, 6152, 6531, 3461, 4954.

mod auth;
mod connection;
mod error;
mod extensions;
mod session;
mod transfer;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use trust::tls::{Connector, TlsInfo};

use crate::envelope::{MailFrom, Rcpt};
use crate::reply::Reply;

pub use auth::ClientCredentials;
pub use error::{ClientError, Stage};
pub use extensions::{Extensions, ONCE};

/// How long to wait for the peer: RFC 5321 §4.5.3.2.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP connection.
    pub connect: Duration,
    /// Greeting (5 minutes).
    pub greeting: Duration,
    /// Any command, TLS handshake apart (5 minutes).
    pub command: Duration,
    /// The answer to DATA (2 minutes).
    pub data_start: Duration,
    /// One block of the message being taken (3 minutes).
    pub data_block: Duration,
    /// The answer to the end of the message (10 minutes).
    pub data_end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data_start: Duration::from_secs(120),
            data_block: Duration::from_secs(180),
            data_end: Duration::from_secs(600),
        }
    }
}

/// What every connection of a relay has in common.
#[derive(Clone)]
pub struct Settings {
    /// Our host name, said in EHLO.
    pub helo: String,
    /// Our certificate and the authorities believed.
    pub connector: Connector,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// Says no to a server whose certificate is good but not the one expected; the text goes to [`ClientError::Untrusted`].
pub type Check<'a> = &'a (dyn Fn(&TlsInfo) -> Result<(), String> + Send + Sync);

/// A message to hand over.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `MAIL`. Its `size` is the message's in octets; `EightBit` and `smtputf8` say what the peer must be able to take;
    /// `auth` is never sent.
    pub from: MailFrom,
    /// `RCPT`s, at least one.
    pub to: Vec<Rcpt>,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientResult {
    /// The peer took the message for it: the reply at the end of the message.
    Accepted(Reply),
    /// Try again later: 4yz.
    Temporary(Reply),
    /// Never: 5yz.
    Permanent(Reply),
}

impl RecipientResult {
    /// The reply that decided.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        match self {
            RecipientResult::Accepted(reply)
            | RecipientResult::Temporary(reply)
            | RecipientResult::Permanent(reply) => reply,
        }
    }

    /// From the class of a reply; a positive one accepts.
    #[must_use]
    pub fn from_reply(reply: Reply) -> Self {
        if reply.is_positive() {
            RecipientResult::Accepted(reply)
        } else if reply.is_permanent() {
            RecipientResult::Permanent(reply)
        } else {
            RecipientResult::Temporary(reply)
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// In the order of [`Envelope::to`].
    pub recipients: Vec<RecipientResult>,
    /// Which of them the answer to their own RCPT refused, rather than one about the sender or the message.
    pub refused_alone: Vec<bool>,
    /// Whether the peer announced DSN, and so took over NOTIFY, ORCPT, RET and ENVID. When not, the relay owes the sender the
    /// "relayed" notice of RFC 3461 §5.2.2.
    pub dsn: bool,
}

/// A connection to a server, inside TLS.
pub struct Client {
    session: session::Session,
}

impl Client {
    /// Connects, says EHLO, STARTTLS, checks the certificate for `host` and by `check`, and says EHLO again.
    ///
    /// # Errors
    /// [`ClientError`]; the connection is closed.
    pub async fn connect(
        address: SocketAddr,
        host: &str,
        settings: &Settings,
        check: Check<'_>,
    ) -> Result<Client, ClientError> {
        let session = connection::open(address, host, settings, check).await?;
        Ok(Client { session })
    }

    /// The same over a connection that the caller made.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub async fn over(
        tcp: TcpStream,
        host: &str,
        settings: &Settings,
        check: Check<'_>,
    ) -> Result<Client, ClientError> {
        let session = connection::over(tcp, host, settings, check).await?;
        Ok(Client { session })
    }

    /// What TLS says of the peer.
    #[must_use]
    pub fn tls(&self) -> &TlsInfo {
        self.session.tls()
    }

    /// What the peer announced inside TLS.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.session.extensions()
    }

    /// Authenticates, for a submission.
    ///
    /// # Errors
    /// [`ClientError::Refused`] at [`Stage::Auth`] with the peer's reply (535, 454…): the connection may be used on. Others as
    /// for [`Client::send`].
    pub async fn authenticate(&mut self, credentials: &ClientCredentials) -> Result<(), ClientError> {
        auth::authenticate(&mut self.session, credentials).await
    }

    /// Hands over one message, read from `body` to its end; line ends that are not CRLF become CRLF. May be called again for
    /// another message.
    ///
    /// # Errors
    /// [`ClientError`] when the connection can no longer be used, or when `body` fails; no recipient is then known to have the
    /// message, but see [`ClientError::may_be_delivered`].
    pub async fn send(
        &mut self,
        envelope: &Envelope,
        body: &mut (dyn AsyncRead + Unpin + Send),
    ) -> Result<Delivery, ClientError> {
        transfer::send(&mut self.session, envelope, body).await
    }

    /// Says QUIT and waits briefly for the answer, which does not matter.
    pub async fn quit(self) {
        self.session.quit().await;
    }
}
