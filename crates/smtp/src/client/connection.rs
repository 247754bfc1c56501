//! From nothing to a connection inside TLS with a server that is the one expected.

use std::net::SocketAddr;

use faults::Fault;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::session::Session;
use super::{Check, ClientError, Settings, Stage};
use crate::wire::{Socket, Wire};

pub(super) async fn open(
    address: SocketAddr,
    host: &str,
    settings: &Settings,
    check: Check<'_>,
) -> Result<Session, ClientError> {
    let tcp = match timeout(settings.timeouts.connect, TcpStream::connect(address)).await {
        Err(_) => return Err(ClientError::Timeout(Stage::Connect)),
        Ok(connected) => connected.map_err(ClientError::Connect)?,
    };
    over(tcp, host, settings, check).await
}

pub(super) async fn over(
    tcp: TcpStream,
    host: &str,
    settings: &Settings,
    check: Check<'_>,
) -> Result<Session, ClientError> {
    let times = settings.timeouts;
    // What we say is whole groups: waiting for more to say only costs time.
    tcp.set_nodelay(true).map_err(ClientError::Connect)?;
    let mut session = Session::new(Wire::new(Socket::Plain(tcp)), times);

    let greeting = session.reply(Stage::Greeting, times.greeting).await?;
    if greeting.code() != 220 {
        return Err(ClientError::Refused { stage: Stage::Greeting, reply: greeting });
    }
    session.ehlo(&settings.helo).await?;
    if !session.extensions.starttls && faults::is_on(Fault::ClearSending) {
        return Ok(session);
    }
    if !session.extensions.starttls {
        session.quit().await;
        return Err(ClientError::NoStartTls);
    }
    refuse_early_words(&session)?;
    let ready = session.command("STARTTLS\r\n", Stage::StartTls, times.command).await?;
    if ready.code() != 220 {
        return Err(ClientError::Refused { stage: Stage::StartTls, reply: ready });
    }
    refuse_early_words(&session)?;
    let tcp = session.wire.take_plain().ok_or(ClientError::Closed(Stage::StartTls))?;
    let stream = settings.connector.connect(host, tcp).await?;
    // Before anything else is said: not even EHLO is for a server that is not the one expected (OPE-LIST).
    check(stream.info()).map_err(ClientError::Untrusted)?;
    session.set_tls(stream.shared_info());
    session.wire.upgrade(stream);
    session.ehlo(&settings.helo).await?;
    Ok(session)
}

/// The server, or someone between, spoke before it was asked, in clear: on such a connection nothing is said any more (OPE-18). Dropping
/// those words would be enough not to be deceived, but somebody who meddles with a connection is no server to give mail to.
fn refuse_early_words(session: &Session) -> Result<(), ClientError> {
    let octets = session.wire.lines.pending().len();
    if octets == 0 || faults::is_on(Fault::InjectedAnswers) {
        return Ok(());
    }
    tracing::warn!(octets, "SMTP server spoke before its turn, in clear: refused");
    Err(ClientError::OutOfTurn)
}
