//! METADATA (RFC 5464).

use crate::support::sharing::ANNOTATION_LIMIT;
use crate::support::{Server, one};

#[tokio::test]
async fn annotations_of_folders_and_of_the_mailbox() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    assert!(imap.transact("OK", "CAPABILITY").await[0].contains(" METADATA "));
    imap.transact("OK", "SETMETADATA INBOX (/shared/Comment {3+}\r\nabc /private/comment \"mine\")").await;
    imap.transact("OK", "SETMETADATA \"\" (/shared/comment \"of all\")").await;
    let lines = imap.transact("OK", "GETMETADATA INBOX (/shared/comment /private/comment /shared/none)").await;
    assert_eq!(lines[0], "* METADATA \"INBOX\" (/private/comment \"mine\" /shared/comment \"abc\" /shared/none NIL)");
    let lines = imap.transact("OK", "GETMETADATA \"\" /SHARED/COMMENT").await;
    assert_eq!(lines[0], "* METADATA \"\" (/shared/comment \"of all\")");
    imap.transact("OK", "SETMETADATA INBOX (/shared/comment NIL)").await;
    let lines = imap.transact("OK", "GETMETADATA INBOX /shared/comment").await;
    assert_eq!(lines[0], "* METADATA \"INBOX\" (/shared/comment NIL)");
    imap.transact("NO [NONEXISTENT]", "GETMETADATA Nothing /shared/comment").await;
    imap.transact("NO [NONEXISTENT]", "SETMETADATA Nothing (/shared/comment \"x\")").await;
    imap.transact("BAD", "GETMETADATA INBOX comment").await;
}

#[tokio::test]
async fn depths_and_sizes() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "SETMETADATA INBOX (/shared/a \"1\" /shared/a/b \"22\" /shared/a/b/c \"333\")").await;
    let told = async |imap: &mut crate::support::Client, options: &str, entry: &str| {
        let lines = imap.transact("OK", &format!("GETMETADATA {options} INBOX {entry}")).await;
        ["/shared/a ", "/shared/a/b ", "/shared/a/b/c "].map(|name| lines[0].contains(name))
    };
    assert_eq!(told(&mut imap, "(DEPTH 0)", "/shared/a").await, [true, false, false]);
    assert_eq!(told(&mut imap, "(DEPTH 1)", "/shared/a").await, [true, true, false]);
    assert_eq!(told(&mut imap, "(DEPTH infinity)", "/shared/a").await, [true, true, true]);
    assert_eq!(told(&mut imap, "(DEPTH 1)", "/shared").await, [true, false, false]);
    let lines =
        imap.transact("OK [METADATA LONGENTRIES 3]", "GETMETADATA INBOX (MAXSIZE 1 DEPTH infinity) /shared").await;
    assert_eq!(lines[0], "* METADATA \"INBOX\" (/shared/a \"1\")");
    let lines = imap.transact("OK [METADATA LONGENTRIES 3]", "GETMETADATA (MAXSIZE 0) INBOX /shared/a/b/c").await;
    assert_eq!(lines.len(), 1, "there is one, so it is not NIL: {lines:?}");
    let long = "x".repeat(ANNOTATION_LIMIT + 1);
    let maximum = format!("NO [METADATA MAXSIZE {ANNOTATION_LIMIT}]");
    imap.transact(&maximum, &format!("SETMETADATA INBOX (/shared/a \"{long}\")")).await;
    imap.transact("NO [METADATA TOOMANY]", "SETMETADATA INBOX (/shared/d \"4\")").await;
    one(&imap.transact("OK", "GETMETADATA INBOX /shared/a").await, "\"1\"");
}
