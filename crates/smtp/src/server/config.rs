//! What a listener is told.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trust::tls::Acceptor;

use crate::data::MAX_TEXT_LINE;

/// What the port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// API LPS: who sends is authenticated by AUTH.
    Submission,
    /// Operator interface: who sends is told by its certificate; no AUTH.
    Mx,
}

/// How long the peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Between two commands once it may send: 5 minutes (RFC 5321 §4.5.3.2.7).
    pub command: Duration,
    /// Between two commands before it may (AUTH on a submission, a good certificate on an MX): one minute, since anyone can
    /// connect.
    pub before_auth: Duration,
    /// From the connection until it may send, whatever it says meanwhile.
    pub before_auth_total: Duration,
    /// Between two pieces of a message: 3 minutes (RFC 5321 §4.5.3.2.5).
    pub data_block: Duration,
    /// A whole message: against a peer that sends an octet every minute. 26 MB in an hour is 58 kbit/s.
    pub message: Duration,
    /// A whole connection (LPS-SESSION); checked between commands. Clients reopen.
    pub session: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(300),
            before_auth: Duration::from_secs(60),
            before_auth_total: Duration::from_secs(300),
            data_block: Duration::from_secs(180),
            message: Duration::from_secs(3600),
            session: Duration::from_secs(4 * 3600),
        }
    }
}

/// What a listener is told. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the port is for.
    pub role: Role,
    /// TLS of this port. On an MX it must record client certificates rather than require them for the refusals to be explained
    /// in SMTP ([`trust::tls::ClientCertificates::Recorded`]).
    pub tls: Acceptor,
    /// Our name, in the greeting.
    pub hostname: String,
    /// `SIZE`: largest message in octets.
    pub max_size: u64,
    /// Longest line of a message without its CRLF (RFC 5321: 998). More than that lets through what the next relay may refuse
    /// or cut.
    pub max_text_line: usize,
    /// For how many seconds the backend recognises a message handed over again; announced once TLS is up
    /// ([`crate::client::ONCE`]).
    pub once: Option<u64>,
    /// Recipients of one message (RFC 5321 §4.5.3.1.8: at least 100).
    pub max_recipients: usize,
    /// Recipients refused on one connection: beyond, someone is guessing addresses.
    pub max_refused_recipients: u32,
    /// Protocol errors on one connection.
    pub max_errors: u32,
    /// Refused AUTH on one connection.
    pub max_auth_failures: u32,
    /// Messages on one connection.
    pub max_messages: u32,
    /// Commands in a row that bring no message nearer (NOOP, RSET, VRFY, EHLO…).
    pub max_idle_commands: u32,
    /// How long the peer may take.
    pub timeouts: Timeouts,
    /// Where connections and commands are counted.
    pub entrance: Arc<meter::Entrance>,
    /// Once cancelled, a connection without a transaction is answered 421; a transaction under way is let end first.
    pub drain: CancellationToken,
}

impl Config {
    /// The defaults: 25 MB of content once encoded (the limit known in the trust space is Mon espace santé's 25 MB).
    #[must_use]
    pub fn new(role: Role, tls: Acceptor, hostname: impl Into<String>) -> Self {
        Self {
            role,
            tls,
            hostname: hostname.into(),
            // 25 MB of attachments in base64 with line ends (× 78/57), and a MiB for the rest.
            max_size: 36 * 1024 * 1024,
            max_text_line: MAX_TEXT_LINE,
            once: None,
            max_recipients: 200,
            max_refused_recipients: 100,
            max_errors: 20,
            max_auth_failures: 5,
            max_messages: 1000,
            max_idle_commands: 100,
            timeouts: Timeouts::default(),
            entrance: meter::Entrance::unwatched(),
            drain: CancellationToken::new(),
        }
    }
}
