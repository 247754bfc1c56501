//! QUIT.

use crate::reply::Reply;
use crate::server::{End, Flow, Session};

pub(crate) fn quit(session: &mut Session) -> Flow {
    session.reply(&Reply::BYE);
    Err(End::Quit)
}
