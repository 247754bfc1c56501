//! The server: submission (API LPS) and MX (operator interface) are one state machine with two [`Role`]s.
//!
//! Invariants:
//! * before TLS only EHLO, HELO, STARTTLS, NOOP, RSET, HELP, VRFY and QUIT do anything; MAIL, AUTH and the rest get 530, and the
//!   backend is not asked anything (LPS-NOPLAIN, OPE-02);
//! * nothing said or sent before TLS survives it: octets that follow STARTTLS end the connection, and the state is made anew;
//! * what follows a DATA that was not answered yet ends the connection: it is neither text nor commands for certain;
//! * 250 at the end of a message is only said after [`MessageSink::commit`](crate::MessageSink::commit) answered;
//! * memory per connection: two buffers of 32 KiB and what one command holds, whatever the message's size;
//! * a peer is held to times, errors, refused recipients, commands without a message and messages, each with its limit.

mod config;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;

pub use config::{Config, Role, Timeouts};
pub(crate) use session::{End, Flow, Hello, Open, Session};

/// Connections since the process began.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Serves one connection to its end. `peer_address` is told to the backend: that of `stream`, or the one a proxy gave. After
/// `shutdown` the client gets 421 as soon as no backend call is under way; a message not answered 250 is dropped. [`Config::drain`] lets it
/// end.
pub async fn serve(
    stream: TcpStream,
    peer_address: SocketAddr,
    config: Arc<Config>,
    backend: Arc<dyn Backend>,
    shutdown: CancellationToken,
) {
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    // Replies are whole groups already: waiting for more to say only costs time.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(connection, %error, "no TCP_NODELAY");
    }
    tracing::debug!(connection, peer = %peer_address, role = ?config.role, "SMTP connection");
    let stay = config.entrance.arrive();
    let end = Session::new(stream, connection, peer_address, config, backend, shutdown, stay).run().await;
    tracing::debug!(connection, ?end, "SMTP connection ended");
}
