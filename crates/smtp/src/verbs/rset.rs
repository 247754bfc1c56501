//! RSET: drops the transaction under way (RFC 5321 §4.1.1.5).

use crate::reply::Reply;
use crate::server::{Flow, Session};

pub(crate) fn rset(session: &mut Session) -> Flow {
    session.open = None;
    session.reply(&Reply::FLUSHED);
    Ok(())
}
