//! ENABLE (RFC 5161): what is known is enabled for the rest of the session and named; the rest is passed over.

use super::super::capability;
use super::super::enabled::Enabled;
use super::super::reply::Reply;
use super::super::session::Session;

/// What can be enabled: only what is announced too.
const TABLE: &[(&str, Enabled)] = &[
    ("CONDSTORE", Enabled::CONDSTORE),
    ("QRESYNC", Enabled::QRESYNC),
    ("UIDONLY", Enabled::UIDONLY),
    ("UTF8=ACCEPT", Enabled::UTF8),
    ("IMAP4rev2", Enabled::REV2),
];

pub(in super::super) fn run(session: &mut Session, names: &[String]) -> Reply {
    let mut told = String::new();
    let mut all = Enabled::default();
    for (name, what) in TABLE {
        if capability::announces(name) && names.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            told.push(' ');
            told.push_str(name);
            all = all.with(*what);
        }
    }
    session.out.line(format_args!("* ENABLED{told}"));
    session.enable(all);
    Reply::ok("Done")
}
