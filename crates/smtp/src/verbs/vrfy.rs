//! VRFY: 252, whoever it is about (RFC 5321 §7.3, LPS-IDENT).

use crate::reply::Reply;
use crate::server::{Flow, Session};

pub(crate) fn vrfy(session: &mut Session) -> Flow {
    session.reply(&Reply::CANNOT_VERIFY);
    Ok(())
}
