//! COMPRESS DEFLATE (RFC 4978): the answer still goes out as it is, everything after it is deflated, both ways.

use super::super::reply::Reply;
use super::super::session::Session;

pub(in super::super) fn run(session: &mut Session) -> Reply {
    if session.out.is_deflated() {
        return Reply::no("Compressed already").code("COMPRESSIONACTIVE");
    }
    if session.reader.has_buffered() {
        // Deflated or not? The client is to wait for the answer.
        return Reply::bad("Nothing may follow COMPRESS before its answer");
    }
    session.reader.get_mut().inflate();
    session.out.deflate_after_flush();
    Reply::ok("Deflate from here on")
}
