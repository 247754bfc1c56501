//! EHLO and HELO (RFC 5321 §4.1.1.1). A new one drops the transaction under way, as RSET does, and keeps the authentication.

use faults::Fault;

use crate::client::ONCE;
use crate::server::{Flow, Hello, Role, Session};

/// EHLO: what is announced depends on TLS (LPS-NOPLAIN: no AUTH before it).
pub(crate) async fn ehlo(session: &mut Session, name: String) -> Flow {
    session.open = None;
    session.hello = Some(Hello { name, extended: true });
    let config = &session.config;
    let mut keywords = vec![
        config.hostname.clone(),
        "PIPELINING".to_owned(),
        format!("SIZE {}", config.max_size),
        "8BITMIME".to_owned(),
        "SMTPUTF8".to_owned(),
        "CHUNKING".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        "DSN".to_owned(),
    ];
    if session.tls.is_some()
        && let Some(seconds) = config.once
    {
        keywords.push(format!("{ONCE} {seconds}"));
    }
    let is_hidden = faults::is_on(Fault::StartTlsHidden);
    if session.tls.is_none() && !is_hidden || session.tls.is_some() && faults::is_on(Fault::StartTlsAgain) {
        keywords.push("STARTTLS".to_owned());
    }
    if (session.tls.is_some() || faults::is_on(Fault::AuthBeforeTls))
        && config.role == Role::Submission
        && session.sender.is_none()
    {
        let hidden = |name: &&str| *name == "XOAUTH2" && faults::is_on(Fault::XOAuth2Hidden);
        let names: Vec<&str> = session.backend.mechanisms().iter().map(|m| m.name()).filter(|n| !hidden(n)).collect();
        if !names.is_empty() {
            keywords.push(format!("AUTH {}", names.join(" ")));
        }
    }
    let last = keywords.len() - 1;
    for (at, keyword) in keywords.iter().enumerate() {
        let line = format!("250{}{keyword}\r\n", if at == last { ' ' } else { '-' });
        session.wire.queue(line.as_bytes());
    }
    Ok(())
}

/// HELO: no extension.
pub(crate) async fn helo(session: &mut Session, name: String) -> Flow {
    session.open = None;
    session.hello = Some(Hello { name, extended: false });
    let line = format!("250 {}\r\n", session.config.hostname);
    session.wire.queue(line.as_bytes());
    Ok(())
}
