//! STARTTLS (RFC 3207). Nothing survives it: neither what was said, nor what was sent ahead (LPS-NOPLAIN).

use faults::Fault;

use crate::reply::Reply;
use crate::server::{End, Flow, Session};

pub(crate) async fn starttls(session: &mut Session) -> Flow {
    if session.tls.is_some() {
        return session.error(&Reply::ALREADY_TLS).await;
    }
    // STARTTLS must be the last of a pipelined group: what follows it was written to be read inside TLS.
    if !session.wire.lines.pending().is_empty() && !faults::is_on(Fault::Injection) {
        tracing::info!(connection = session.connection, "octets in clear after STARTTLS: closed");
        return session.refuse(&Reply::INJECTION).await;
    }
    session.reply(&Reply::READY_FOR_TLS);
    let deadline = Session::within(session.config.timeouts.before_auth);
    session.flush(deadline).await?;
    // Before TLS the socket is the plain one.
    let tcp = session.wire.take_plain().ok_or(End::Closed)?;
    if faults::is_on(Fault::BackToClear) && !begins_tls(&tcp).await {
        session.wire.back_to_clear(tcp);
        return Ok(());
    }
    let acceptor = session.config.tls.clone();
    let accepted = tokio::select! {
        biased;
        () = session.shutdown.cancelled() => return Err(End::Closed),
        accepted = acceptor.accept(tcp) => accepted,
    };
    match accepted {
        Ok(stream) => {
            let info = stream.shared_info();
            tracing::debug!(connection = session.connection, version = %info.version, suite = %info.suite, "TLS");
            session.stay.reach(meter::Stage::Secure);
            session.tls = Some(info);
            session.wire.upgrade(stream.acknowledging());
            session.hello = None;
            session.open = None;
            Ok(())
        }
        Err(error) => {
            tracing::info!(connection = session.connection, %error, "TLS handshake failed");
            Err(End::Closed)
        }
    }
}

/// Whether what comes is the beginning of a handshake (RFC 8446 §5.1, §4): a record of one, long enough, that holds a ClientHello.
async fn begins_tls(tcp: &tokio::net::TcpStream) -> bool {
    let mut head = [0; 6];
    matches!(tcp.peek(&mut head).await, Ok(6)) && head[0] == 22 && head[5] == 1
}
