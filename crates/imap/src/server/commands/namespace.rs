//! NAMESPACE (RFC 2342): a session sees one mailbox (BAL) and nothing of others (LPS-IDENT).

use mail::FolderName;

use super::super::output::Output;
use super::super::reply::Reply;

pub(in super::super) fn run(out: &mut Output) -> Reply {
    out.line(format_args!("* NAMESPACE ((\"\" \"{}\")) NIL NIL", FolderName::SEPARATOR));
    Reply::ok("Done")
}
