//! Why a connection to a server failed.

use std::fmt;
use std::io;

use trust::tls::{CertificateFault, HandshakeError};

use crate::reply::Reply;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// TCP connection.
    Connect,
    /// Waiting for the greeting.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// TLS handshake.
    Handshake,
    /// AUTH.
    Auth,
    /// MAIL, RCPT and DATA.
    Envelope,
    /// Sending the message.
    Message,
    /// The message was sent whole; waiting for the answer.
    End,
    /// RSET or QUIT.
    Finish,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connect => "the connection",
            Stage::Greeting => "the greeting",
            Stage::Ehlo => "EHLO",
            Stage::StartTls => "STARTTLS",
            Stage::Handshake => "the TLS handshake",
            Stage::Auth => "AUTH",
            Stage::Envelope => "the envelope",
            Stage::Message => "the message",
            Stage::End => "the end of the message",
            Stage::Finish => "the end of the connection",
        })
    }
}

/// Why a connection to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No TCP connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The peer did not answer in time.
    #[error("no answer in time at {0}")]
    Timeout(Stage),
    /// The peer closed, or the network broke.
    #[error("connection closed at {0}")]
    Closed(Stage),
    /// STARTTLS is not offered: nothing goes in clear.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// More was said in clear than was asked for: an answer injected before TLS, to be taken for one inside it.
    #[error("the server, or someone between, spoke in clear before its turn")]
    OutOfTurn,
    /// The handshake failed, or the certificate is not acceptable.
    #[error("TLS: {0}")]
    Tls(#[from] HandshakeError),
    /// The caller's check refused the certificate.
    #[error("the server is not the one expected: {0}")]
    Untrusted(String),
    /// What the peer says is not SMTP.
    #[error("protocol error of the server at {stage}: {what}")]
    Protocol {
        /// When.
        stage: Stage,
        /// What.
        what: &'static str,
    },
    /// The peer refuses the connection, or the command of this stage.
    #[error("refused at {stage}: {reply}")]
    Refused {
        /// When.
        stage: Stage,
        /// With which reply.
        reply: Reply,
    },
    /// The peer offers no SASL mechanism that fits.
    #[error("the server does not offer the authentication mechanism")]
    NoMechanism,
    /// The message could not be read.
    #[error("cannot read the message: {0}")]
    Body(#[source] io::Error),
    /// The message is not as announced, or the envelope has no recipient.
    #[error("{0}")]
    Misuse(&'static str),
}

impl ClientError {
    /// Whether trying again later, or at another MX, may help. True of everything but a clear permanent refusal: the queue's own
    /// expiry ends the rest.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            ClientError::Refused { reply, .. } => !reply.is_permanent(),
            ClientError::Misuse(_) => false,
            // A server misconfigured now may be put right before the message expires; whether to insist is the relay's choice.
            ClientError::Connect(_)
            | ClientError::Timeout(_)
            | ClientError::Closed(_)
            | ClientError::NoStartTls
            | ClientError::OutOfTurn
            | ClientError::Tls(_)
            | ClientError::Untrusted(_)
            | ClientError::Protocol { .. }
            | ClientError::NoMechanism
            | ClientError::Body(_) => true,
        }
    }

    /// Whether the server failed to prove that it is one we may write to (no TLS, words before its turn, bad certificate, not the one
    /// expected): a relay may give up early and tell the sender why (OPE-11, OPE-12, OPE-18).
    #[must_use]
    pub fn is_trust(&self) -> bool {
        matches!(
            self,
            ClientError::NoStartTls | ClientError::OutOfTurn | ClientError::Tls(_) | ClientError::Untrusted(_)
        )
    }

    /// What is wrong with the server's certificate, when that is the trouble.
    #[must_use]
    pub fn certificate_fault(&self) -> Option<CertificateFault> {
        match self {
            ClientError::Tls(HandshakeError::Certificate(fault)) => Some(*fault),
            _ => None,
        }
    }

    /// Whether the peer may have taken the message although it did not say so (RFC 1047): sending again may make a duplicate,
    /// not sending may lose it. A queue sends again.
    #[must_use]
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, ClientError::Timeout(Stage::End) | ClientError::Closed(Stage::End))
    }
}
