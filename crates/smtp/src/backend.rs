//! What the SMTP server asks of whoever queues or delivers the mail.
//!
//! A message goes through four values, each made by the one before it: [`Backend`] says who the peer is and answers a
//! [`Sender`]; the sender opens a [`Transaction`] at `MAIL`; the transaction takes each `RCPT` and becomes a
//! [`MessageSink`] at `DATA` or at the first `BDAT`; the sink takes the message piece by piece and makes it durable at
//! [`MessageSink::commit`]. Dropping any of them before that leaves nothing behind.
//!
//! Nothing is asked of the backend before TLS is up.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::envelope::{MailFrom, Rcpt};
use crate::reply::Reply;

/// Who is at the other end. TLS is up whenever a backend sees one.
#[derive(Clone, Debug)]
pub struct Peer {
    /// A number for the connection, unique in the process, for logs and traces.
    pub connection: u64,
    /// Its address.
    pub address: SocketAddr,
    /// The name it gave with EHLO or HELO, checked for its characters only: it proves nothing.
    pub helo: String,
    /// EHLO rather than HELO.
    pub extended: bool,
    /// What TLS said, client certificate included.
    pub tls: Arc<trust::tls::TlsInfo>,
}

impl Peer {
    /// The `with` clause of a Received field (RFC 3848, RFC 6531 §4.3): `ESMTPSA`, `UTF8SMTPS`…
    #[must_use]
    pub fn protocol(&self, authenticated: bool, smtputf8: bool) -> &'static str {
        match (self.extended, smtputf8, authenticated) {
            (false, _, _) => "SMTP",
            (true, false, true) => "ESMTPSA",
            (true, false, false) => "ESMTPS",
            (true, true, true) => "UTF8SMTPSA",
            (true, true, false) => "UTF8SMTPS",
        }
    }
}

/// What a client presents to send from a mailbox.
pub enum Credentials {
    /// SASL XOAUTH2: the decoded client response, not parsed (MSS-7.2). Never logged.
    XOAuth2(Zeroizing<Vec<u8>>),
    /// SASL EXTERNAL with the authorization identity asked for (empty: none); the certificate is in [`Peer::tls`] (LPS-APP).
    External(String),
}

/// A SASL mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// `XOAUTH2`.
    XOAuth2,
    /// `EXTERNAL`.
    External,
}

impl Mechanism {
    /// Its name in EHLO and in AUTH.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::External => "EXTERNAL",
        }
    }
}

/// Why a client is not authenticated. Says nothing of which mailboxes exist (LPS-IDENT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// `535 5.7.8` (LPS-ERR).
    Refused,
    /// `454 4.7.0`: our trouble or Pro Santé Connect's, not the client's.
    Unavailable,
}

/// The mail service behind the server.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// SASL mechanisms the submission offers once TLS is up, e.g. `[XOAuth2]` or `[External]`. Not asked on an MX.
    fn mechanisms(&self) -> &[Mechanism];

    /// Submission: who sends, if the credentials allow it.
    async fn authenticate(&self, peer: &Peer, credentials: Credentials) -> Result<Arc<dyn Sender>, AuthFailure>;

    /// MX: who the operator at the other end is, by its certificate (OPE-MTLS, OPE-LIST). Asked once per connection, at
    /// the first `MAIL` after TLS; the reply is what that `MAIL` and the following ones get.
    ///
    /// # Errors
    /// A permanent reply when the certificate is missing, revoked or not on the white list; a temporary one when that
    /// cannot be told now (then asked again at the next `MAIL`).
    async fn identify(&self, peer: &Peer) -> Result<Arc<dyn Sender>, Reply>;
}

/// Someone who may send: a mailbox (submission) or an operator (MX).
#[async_trait]
pub trait Sender: Send + Sync {
    /// `MAIL FROM`. `peer` has the name given by the last EHLO, for the Received field.
    ///
    /// # Errors
    /// The reply the client gets. No transaction is open then.
    async fn mail_from(&self, peer: &Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply>;
}

/// A transaction between `MAIL` and `DATA`.
#[async_trait]
pub trait Transaction: Send {
    /// One `RCPT TO`. The server counts recipients and refuses those over its limit itself.
    ///
    /// # Errors
    /// The reply this recipient gets; the transaction goes on.
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply>;

    /// `DATA` or the first `BDAT`, with at least one recipient accepted.
    ///
    /// # Errors
    /// The reply the client gets; the transaction is over.
    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply>;
}

/// What the server noticed of a message it passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Received {
    /// Octets written to the sink.
    pub octets: u64,
    /// At least one octet above 127, whatever `BODY=` said: the relay must then ask for 8BITMIME.
    pub eight_bit: bool,
}

/// A message made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What the sender may quote to us, put in the 250 reply: a queue id.
    pub id: String,
}

/// Receives a message, unstuffed, with CRLF line ends, piece by piece. Dropped before [`MessageSink::commit`], it leaves
/// nothing.
#[async_trait]
pub trait MessageSink: Send {
    /// The next piece: at most 64 KiB, not cut at line ends.
    ///
    /// # Errors
    /// The reply the client gets at the end of the message; nothing more is written, and the sink is dropped.
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply>;

    /// Durable when it answers.
    ///
    /// # Errors
    /// The reply the client gets; nothing is kept.
    async fn commit(self: Box<Self>, received: Received) -> Result<Accepted, Reply>;
}
