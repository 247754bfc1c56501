//! AUTH (RFC 4954) by XOAUTH2 and EXTERNAL.
//!
//! A refused XOAUTH2 gets the JSON challenge, whose answer is read whatever it is, then `535 5.7.8`; trouble of ours is
//! `454 4.7.0` and never a refusal (LPS-ERR). The connection may be used on after either, up to a number of refusals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use faults::Fault;
use zeroize::Zeroizing;

use crate::backend::{AuthFailure, Credentials, Mechanism};
use crate::reply::Reply;
use crate::server::{End, Flow, Role, Session};

/// What a refused XOAUTH2 is told, before base64.
const CHALLENGE: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

pub(crate) async fn auth(session: &mut Session, mechanism: &str, initial: Option<Zeroizing<Vec<u8>>>) -> Flow {
    if session.tls.is_none() {
        return session.error(&Reply::STARTTLS_FIRST).await;
    }
    if session.config.role == Role::Mx {
        return session.error(&Reply::NOT_IMPLEMENTED).await;
    }
    let Some(peer) = session.peer() else {
        return session.error(&Reply::HELLO_FIRST).await;
    };
    if session.sender.is_some() {
        return session.error(&Reply::ALREADY_AUTHENTICATED).await;
    }
    let Some(mechanism) = session.backend.mechanisms().iter().copied().find(|m| m.name() == mechanism) else {
        return session.error(&Reply::UNKNOWN_MECHANISM).await;
    };
    let response = match response(session, initial).await? {
        Ok(response) => response,
        Err(refusal) => return session.error(&refusal).await,
    };
    if faults::is_on(Fault::ShortTokensSmtp) && response.len() > 4096 {
        session.reply(&Reply::AUTH_REFUSED);
        return Ok(());
    }
    let credentials = match (mechanism, response) {
        (Mechanism::XOAuth2, response) => Credentials::XOAuth2(response),
        (Mechanism::External, response) => match external(&response) {
            Some(authzid) => Credentials::External(authzid),
            None => return session.error(&Reply::BAD_SYNTAX).await,
        },
    };
    match session.backend.authenticate(&peer, credentials).await {
        Ok(sender) => {
            session.stay.reach(meter::Stage::Authenticated);
            session.sender = Some(sender);
            session.idle_commands = 0;
            session.reply(&Reply::AUTHENTICATED);
            Ok(())
        }
        Err(AuthFailure::Unavailable) => session.answer(&Reply::AUTH_UNAVAILABLE).await,
        Err(AuthFailure::Refused) => {
            if mechanism == Mechanism::XOAuth2 {
                let challenge = format!("334 {}\r\n", STANDARD.encode(CHALLENGE));
                session.wire.queue(challenge.as_bytes());
                // An empty line, `*` or anything: the answer is the same.
                session.auth_line().await?;
                if faults::is_on(Fault::CutAfterChallenge) {
                    return Err(End::Closed);
                }
            }
            session.reply(&Reply::AUTH_REFUSED);
            session.auth_failures += 1;
            if session.auth_failures >= session.config.max_auth_failures {
                return session.refuse(&Reply::TOO_MANY_ERRORS).await;
            }
            Ok(())
        }
    }
}

/// The client's decoded response, asked for when it did not come with the command.
async fn response(
    session: &mut Session,
    initial: Option<Zeroizing<Vec<u8>>>,
) -> Result<Result<Zeroizing<Vec<u8>>, Reply>, End> {
    let encoded = match initial {
        // RFC 4954 §4: "=" is a response of no octets.
        Some(initial) if initial.as_slice() == b"=" => return Ok(Ok(Zeroizing::default())),
        Some(initial) => initial,
        None => {
            session.wire.queue(b"334 \r\n");
            match session.auth_line().await? {
                None => return Ok(Err(Reply::AUTH_TOO_LONG)),
                Some(line) if line.as_slice() == b"*" => return Ok(Err(Reply::AUTH_CANCELLED)),
                Some(line) => line,
            }
        }
    };
    Ok(STANDARD.decode(encoded.as_slice()).map(Zeroizing::new).map_err(|_| Reply::BAD_BASE64))
}

/// The authorization identity of EXTERNAL (RFC 4422 appendix A): UTF-8 without NUL, and here without any control character.
fn external(response: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(response).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}
