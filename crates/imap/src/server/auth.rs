//! AUTHENTICATE: XOAUTH2 (MSS-7.2) and EXTERNAL (LPS-APP), with and without initial response (SASL-IR, RFC 4959).
//!
//! A refusal is told as XOAUTH2 wants: a challenge with a JSON object, the client's (empty) answer, then
//! `NO [AUTHENTICATIONFAILED]`; the connection goes on (LPS-ERR). Temporary trouble is `NO [UNAVAILABLE]` at once and
//! without a challenge: clients take any challenge for "this token is bad", throw the token away and ask the user again.
//! The answer is the same, and as slow, whatever the reason (LPS-IDENT).

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use faults::Fault;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Ended;
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::backend::{AuthFailure, Credentials, Mechanism};
use crate::wire::Line;

/// What an XOAUTH2 client is told before the refusal; the words that Dovecot uses, and test operators with it.
const CHALLENGE: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// Base64 as SASL writes it; some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Carries out AUTHENTICATE.
pub(super) async fn run(session: &mut Session, mechanism: &str, initial: Option<Zeroizing<String>>) -> Outcome {
    if session.account.is_some() {
        return Ok(Reply::bad("Authenticated already"));
    }
    let offered = session.backend.mechanisms().iter().copied().find(|m| m.name().eq_ignore_ascii_case(mechanism));
    let Some(mechanism) = offered else {
        return Ok(Reply::no("That mechanism is not offered").code("CANNOT"));
    };
    let response = match initial {
        Some(initial) if *initial == "=" => Zeroizing::default(),
        Some(initial) => decode(initial.as_bytes())?,
        None if faults::is_on(Fault::InitialResponseOnly) => {
            return Ok(Reply::no("Send an initial response").code("CANNOT"));
        }
        None => {
            session.out.put(b"+ \r\n");
            let line = answer(session).await?;
            decode(&line)?
        }
    };
    if faults::is_on(Fault::ShortTokensImap) && response.len() > 4096 {
        return Ok(Reply::no("Too long").code("AUTHENTICATIONFAILED"));
    }
    let credentials = match mechanism {
        Mechanism::XOAuth2 => Credentials::XOAuth2(response),
        Mechanism::External => match std::str::from_utf8(&response) {
            Ok(identity) if !identity.contains(char::is_control) => Credentials::External(identity.to_owned()),
            _ => return Ok(Reply::bad("That is not an authorization identity")),
        },
    };
    let began = Instant::now();
    let result = tokio::select! {
        result = session.backend.authenticate(&session.peer, credentials) => result,
        () = session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
    };
    session.login_deadline += began.elapsed();
    match result {
        Ok(account) => {
            session.enter(account);
            Ok(Reply::ok("Authenticated").code(format!("CAPABILITY {}", session.capabilities())))
        }
        Err(AuthFailure::Unavailable) => Ok(Reply::no("Cannot be checked now, try again later").code("UNAVAILABLE")),
        Err(AuthFailure::Refused) => {
            session.refused += 1;
            tracing::info!(
                connection = session.peer.connection,
                mechanism = mechanism.name(),
                "imap: authentication refused"
            );
            tokio::time::sleep(session.config.failure_delay).await;
            if mechanism == Mechanism::XOAuth2 {
                let challenge = BASE64.encode(CHALLENGE);
                session.out.line(format_args!("+ {challenge}"));
                // Whatever the client answers, even `*`, the attempt is refused.
                if let Err(Stop::Ended(ended)) = answer(session).await {
                    return Err(ended.into());
                }
            }
            let refusal = Reply::no("Authentication failed");
            Ok(if faults::is_on(Fault::RefusalWithoutCode) { refusal } else { refusal.code("AUTHENTICATIONFAILED") })
        }
    }
}

/// Sends the challenge and waits for the client's line.
async fn answer(session: &mut Session) -> Result<Zeroizing<Vec<u8>>, Stop> {
    session.out.flush().await?;
    let limit = session.login_deadline.min(Instant::now() + session.config.stall_timeout);
    let line = tokio::select! {
        line = session.reader.line() => line.map_err(|_| Ended::Gone)?,
        () = tokio::time::sleep_until(limit) => return Err(Ended::Bye("Not authenticated in time").into()),
        () = session.shutdown.cancelled() => return Err(Ended::Bye("The server is stopping").into()),
    };
    match line {
        Line::Text(line) => Ok(line),
        Line::Refused(_) => Err(Reply::bad("That line cannot be read").into()),
        Line::Fatal(_) => Err(Ended::Bye("Too much data that cannot be used").into()),
        Line::End => Err(Ended::Gone.into()),
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Stop> {
    if text == b"*" {
        return Err(Reply::bad("Cancelled").into());
    }
    match BASE64.decode(text) {
        Ok(octets) => Ok(Zeroizing::new(octets)),
        Err(_) => Err(Reply::bad("That is not base64").into()),
    }
}
