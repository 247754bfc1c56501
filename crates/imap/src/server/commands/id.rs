//! ID (RFC 2971): who we are; who the client says it is goes to the log, since faults of clients are found that way.

use super::super::output::Output;
use super::super::reply::Reply;

/// Octets of a field kept for the log.
const SHOWN: usize = 64;

pub(in super::super) fn run(out: &mut Output, connection: u64, fields: &[(String, Option<String>)]) -> Reply {
    let field = |name: &str| -> String {
        let value = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, v)| v.as_deref());
        value.unwrap_or_default().chars().filter(|c| !c.is_control()).take(SHOWN).collect()
    };
    tracing::debug!(connection, name = field("name"), version = field("version"), "imap: client");
    out.line(format_args!("* ID (\"name\" \"Vaguemestre\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION")));
    Reply::ok("Done")
}
