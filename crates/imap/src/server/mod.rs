//! The server's side of a connection, from the greeting to the end (RFC 3501).
//!
//! * [`plain`]: before TLS, where only five commands exist; a type of its own, so that nothing else can be reached there
//!   (LPS-NOPLAIN);
//! * [`session`]: after TLS, the loop of commands and the states of RFC 3501 §3;
//! * [`auth`]: AUTHENTICATE (LPS-ERR, MSS-7.2, LPS-APP);
//! * [`resync`]: what a client that comes back missed;
//! * [`vigil`]: whether the mailbox may still be open;
//! * [`opening`]: a folder whose messages are being read; [`selected`]: the folder as the client knows it, and when it is told what;
//! * [`capability`]: the table of what is announced; [`enabled`]: what the client has enabled;
//! * [`commands`]: one file per command;
//! * [`notify`]: what is told between commands;
//! * [`output`]: writing with back-pressure; [`reply`]: the table of answers.
//!
//! Invariants: one task per connection and no other; every wait has an end (login and idle time-outs, writing time-out,
//! longest session, shutdown); every command gets exactly one tagged answer; nothing a client wrote but its tag's length and
//! the command's name reaches a log.

mod auth;
mod batch;
mod capability;
mod commands;
#[doc(hidden)]
pub mod counted;
mod deflate;
mod enabled;
#[doc(hidden)]
pub mod fuzzing;
mod notify;
mod opening;
mod output;
mod plain;
mod progress;
mod reply;
mod resync;
mod search;
mod selected;
mod session;
mod vigil;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Peer};

/// The shortest idle time-out of an authenticated session that RFC 3501 §5.4 allows (LPS-SESSION).
pub const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How an entry point behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// TLS, begun by STARTTLS.
    pub tls: trust::tls::Acceptor,
    /// The host name told in the greeting.
    pub hostname: String,
    /// How long a connection may live without authentication. Time the backend takes to check credentials does not count.
    pub login_timeout: Duration,
    /// How long an authenticated session may send nothing; at least [`MIN_IDLE_TIMEOUT`] where clients are not ours
    /// (LPS-SESSION).
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, or send nothing in the middle of a command.
    pub stall_timeout: Duration,
    /// How long a session may last, whatever it does (LPS-SESSION); `None`: as long as it likes.
    pub max_session: Option<Duration>,
    /// How often an idling client is told that it is still connected, so that middle boxes do not forget it.
    pub keep_alive: Duration,
    /// How long a search goes on before its client is told how far it is (RFC 9585)…
    pub progress_after: Duration,
    /// …and how often then.
    pub progress_every: Duration,
    /// How long a refused authentication waits before its answer: makes guessing slow.
    pub failure_delay: Duration,
    /// How often a session asks whether its mailbox may still be open to it: a right that ended ends its sessions within so
    /// long.
    pub recheck: Duration,
    /// Refused authentications after which the connection is closed.
    pub max_login_attempts: u32,
    /// Commands in a row answered BAD after which the connection is closed.
    pub max_bad_commands: u32,
    /// Where connections and commands are counted.
    pub entrance: Arc<meter::Entrance>,
    /// Once cancelled, sessions end as soon as they do nothing: a command under way is carried out first.
    pub drain: CancellationToken,
}

impl Config {
    /// The defaults: 60 s to authenticate, 35 min idle, 5 min stalled, no longest session, 5 tries, 20 errors.
    pub fn new(tls: trust::tls::Acceptor, hostname: impl Into<String>) -> Self {
        Config {
            tls,
            hostname: hostname.into(),
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(35 * 60),
            stall_timeout: Duration::from_secs(5 * 60),
            max_session: None,
            keep_alive: Duration::from_secs(2 * 60),
            progress_after: Duration::from_secs(4),
            progress_every: Duration::from_secs(10),
            failure_delay: Duration::from_millis(500),
            recheck: Duration::from_secs(60),
            max_login_attempts: 5,
            max_bad_commands: 20,
            entrance: meter::Entrance::unwatched(),
            drain: CancellationToken::new(),
        }
    }
}

/// How long a client that was told `BYE` may take to read it…
const LINGER: Duration = Duration::from_secs(1);
/// …and how much of what it goes on sending is read meanwhile.
const LINGER_OCTETS: usize = 1024 * 1024;

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The client closed, or the connection broke.
    Gone,
    /// The client took nothing, or stopped in the middle of something: no line can be told any more.
    Stalled,
    /// The client logged out and was told so.
    Logout,
    /// We end it; the client is told `BYE` with this.
    Bye(&'static str),
}

/// Serves one connection to its end. The caller spawns it, so that a panic ends this connection and no other.
pub async fn serve(
    stream: TcpStream,
    peer_address: SocketAddr,
    config: Arc<Config>,
    backend: Arc<dyn Backend>,
    shutdown: CancellationToken,
) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    // Small answers must not wait for the acknowledgement of the ones before.
    let _ = stream.set_nodelay(true);
    tracing::debug!(connection, %peer_address, "imap: connected");
    let mut stay = config.entrance.arrive();
    // Boxed: what the handshake needs is given back before the session begins.
    let ended = match Box::pin(plain::run(stream, &config, connection, &shutdown)).await {
        Ok(tls) => {
            stay.reach(meter::Stage::Secure);
            let peer = Peer { connection, address: peer_address, tls: tls.shared_info() };
            session::Session::new(tls.acknowledging(), peer, config, backend, shutdown, stay).run().await
        }
        Err(ended) => ended,
    };
    tracing::debug!(connection, ?ended, "imap: closed");
}
