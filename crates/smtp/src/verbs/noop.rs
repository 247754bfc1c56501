//! NOOP.

use crate::reply::Reply;
use crate::server::{Flow, Session};

pub(crate) fn noop(session: &mut Session) -> Flow {
    session.reply(&Reply::OK);
    Ok(())
}
