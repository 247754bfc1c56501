//! Why something was not done, and what the server said.

use std::io;

use trust::tls::HandshakeError;

use super::Code;

/// The word of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Done, or a remark.
    Ok,
    /// Refused, or a warning.
    No,
    /// Not understood.
    Bad,
    /// The end.
    Bye,
    /// Authenticated already.
    PreAuth,
}

/// A status response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its word.
    pub status: Status,
    /// Its response code.
    pub code: Option<Code>,
    /// Its text, for people, without control characters and cut to [`MAX_HUMAN`](super::MAX_HUMAN).
    pub text: String,
}

/// Why something was not done. Nothing decides by the texts.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(io::Error),
    /// The server closed it without a word.
    #[error("the server closed the connection")]
    Closed,
    /// Nothing came, or nothing was taken, for too long; or an answer did not end.
    #[error("the server said nothing for too long")]
    Silent,
    /// A limit of this module.
    #[error("the server sends too much: {0}")]
    TooMuch(&'static str),
    /// What it says is not IMAP.
    #[error("the server breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The server ends the session.
    #[error("the server ends the session: {}", .0.text)]
    Bye(Box<Told>),
    /// No STARTTLS, or it is refused: nothing more was sent.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// Octets came with the answer to STARTTLS, before TLS: perhaps somebody else's.
    #[error("data came before the TLS handshake")]
    Injected,
    /// The handshake.
    #[error("{0}")]
    Tls(#[source] HandshakeError),
    /// The mechanism asked for is not offered under TLS.
    #[error("the server does not offer {0}")]
    NoMechanism(&'static str),
    /// `NO` or `BAD` to this command; the connection goes on.
    #[error("{command}: {}", .told.text)]
    Refused {
        /// The verb.
        command: &'static str,
        /// What was said.
        told: Box<Told>,
    },
    /// The server cannot do this; the connection goes on.
    #[error("the server cannot do {0}")]
    Unsupported(&'static str),
    /// No such message any more; the connection goes on.
    #[error("no such message")]
    Missing,
    /// More octets than the caller wants.
    #[error("larger than {limit} octets")]
    TooLarge {
        /// What the caller wants at most.
        limit: u64,
    },
    /// What is written to.
    #[error("cannot write: {0}")]
    Sink(#[source] io::Error),
    /// What is read from.
    #[error("cannot read: {0}")]
    Source(#[source] io::Error),
}

impl ClientError {
    /// Whether the connection can go on after it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(
            self,
            ClientError::Refused { .. }
                | ClientError::Unsupported(_)
                | ClientError::Missing
                | ClientError::NoMechanism(_)
        )
    }

    /// The response code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&Code> {
        match self {
            ClientError::Refused { told, .. } | ClientError::Bye(told) => told.code.as_ref(),
            _ => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ClientError::Closed,
            io::ErrorKind::TimedOut => ClientError::Silent,
            _ => ClientError::Io(error),
        }
    }
}
