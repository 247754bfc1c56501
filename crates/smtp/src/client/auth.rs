//! AUTH, for a submission (RFC 4954): XOAUTH2 and EXTERNAL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::session::Session;
use super::{ClientError, Stage};
use crate::reply::Reply;

/// Longest AUTH line with an initial response (RFC 4954 §4: a server takes 12,288 octets; older ones take 512 of command, which
/// no token fits in anyway).
const MAX_LINE: usize = 12_288;

/// What we present. Never printed.
pub enum ClientCredentials {
    /// XOAUTH2: the mailbox and the access token.
    XOAuth2 {
        /// Address of the mailbox.
        user: String,
        /// Pro Santé Connect access token.
        token: Zeroizing<String>,
    },
    /// EXTERNAL: the mailbox, or nothing; the certificate was shown at the handshake.
    External(String),
}

pub(super) async fn authenticate(session: &mut Session, credentials: &ClientCredentials) -> Result<(), ClientError> {
    let (mechanism, response) = match credentials {
        ClientCredentials::XOAuth2 { user, token } => {
            if user.contains('\x01') || token.contains('\x01') {
                return Err(ClientError::Misuse("a control character in the credentials"));
            }
            let text = Zeroizing::new(format!("user={user}\x01auth=Bearer {}\x01\x01", token.as_str()));
            ("XOAUTH2", Zeroizing::new(STANDARD.encode(text.as_bytes())))
        }
        ClientCredentials::External(authzid) => ("EXTERNAL", Zeroizing::new(STANDARD.encode(authzid))),
    };
    if !session.extensions.auth.iter().any(|name| name == mechanism) {
        return Err(ClientError::NoMechanism);
    }
    let within = session.timeouts.command;
    // RFC 4954 §4: an empty initial response is "=".
    let initial = if response.is_empty() { "=" } else { response.as_str() };
    let line = Zeroizing::new(format!("AUTH {mechanism} {initial}\r\n"));
    let mut reply = if line.len() <= MAX_LINE {
        session.command(&line, Stage::Auth, within).await?
    } else {
        let reply = session.command(&format!("AUTH {mechanism}\r\n"), Stage::Auth, within).await?;
        if reply.code() == 334 {
            let line = Zeroizing::new(format!("{}\r\n", response.as_str()));
            session.command(&line, Stage::Auth, within).await?
        } else {
            reply
        }
    };
    if reply.code() == 334 {
        // The reason of a refusal, in JSON: an empty answer gets the refusal itself.
        reply = session.command("\r\n", Stage::Auth, within).await?;
    }
    accepted(reply)
}

fn accepted(reply: Reply) -> Result<(), ClientError> {
    match reply.code() {
        235 => Ok(()),
        400..=599 => Err(ClientError::Refused { stage: Stage::Auth, reply }),
        _ => Err(ClientError::Protocol { stage: Stage::Auth, what: "an unexpected reply" }),
    }
}
