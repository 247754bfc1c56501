//! UNAUTHENTICATE (RFC 8437): back to not authenticated, with nothing of the mailbox left in the session.
//!
//! Refused where the certificate alone opens the mailbox, since the session would have no state to go back to, and once
//! COMPRESS is active, which cannot be taken back.

use super::super::reply::{Outcome, Reply};
use super::super::session::Session;

pub(in super::super) fn run(session: &mut Session) -> Outcome {
    if session.preauthenticated {
        return Ok(Reply::no("The certificate opens the mailbox, close the connection instead").code("CANNOT"));
    }
    if session.out.is_deflated() {
        return Ok(Reply::no("Not once the connection is compressed, close it instead").code("CANNOT"));
    }
    session.leave();
    Ok(Reply::ok("Not authenticated").code(format!("CAPABILITY {}", session.capabilities())))
}
