//! ENABLE (RFC 5161): there is nothing to enable yet, which the RFC foresees.

use super::super::output::Output;
use super::super::reply::Reply;

pub(in super::super) fn run(out: &mut Output, _names: &[String]) -> Reply {
    out.line(format_args!("* ENABLED"));
    Reply::ok("Done")
}
