//! HELP.

use crate::reply::Reply;
use crate::server::{Flow, Session};

pub(crate) fn help(session: &mut Session) -> Flow {
    session.reply(&Reply::HELP);
    Ok(())
}
