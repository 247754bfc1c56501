//! UIDONLY (RFC 9586): numbers neither in nor out.

use crate::support::{Server, one, with};

#[tokio::test]
async fn only_uids() {
    let server = Server::start().await;
    for n in 1..=4 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let mut other = server.inbox().await;
    let mut imap = server.login().await;
    assert!(one(&imap.transact("OK", "CAPABILITY").await, "* CAPABILITY").contains(" UIDONLY"));
    assert_eq!(imap.transact("OK", "ENABLE UIDONLY").await[0], "* ENABLED UIDONLY");
    let lines = imap.transact("OK", "SELECT INBOX").await;
    assert!(with(&lines, "UNSEEN").is_empty());
    one(&lines, "* 4 EXISTS");
    for refused in [
        "FETCH 1 (FLAGS)",
        "STORE 1 +FLAGS (\\Seen)",
        "COPY 1 Sent",
        "MOVE 1 Sent",
        "SEARCH ALL",
        "UID SEARCH 1:2",
        "UID SEARCH OR SEEN (NOT 2)",
        "SELECT INBOX (QRESYNC (100 1 1:4 (1 1)))",
    ] {
        let lines = imap.transact("BAD [UIDREQUIRED]", refused).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let lines = imap.transact("OK", "UID FETCH 2:3 (FLAGS)").await;
    assert_eq!(&lines[..2], ["* 2 UIDFETCH (FLAGS ())", "* 3 UIDFETCH (FLAGS ())"]);
    let lines = imap.transact("OK", "UID FETCH 2 (BODY.PEEK[TEXT])").await;
    assert!(lines[0].starts_with("* 2 UIDFETCH (BODY[TEXT] {8}"), "{lines:?}");
    let lines = imap.transact("OK", "UID STORE 3 +FLAGS (\\Seen)").await;
    assert_eq!(lines[0], "* 3 UIDFETCH (FLAGS (\\Seen))");
    imap.transact("OK", "UID SEARCH SEEN").await;
    other.transact("OK", "NOOP").await;
    other.transact("OK", "STORE 4 +FLAGS (\\Flagged)").await;
    server.mailbox.remove("INBOX", &[1, 2]);
    let lines = imap.transact("OK", "NOOP").await;
    assert_eq!(&lines[..2], ["* VANISHED 1:2", "* 4 UIDFETCH (FLAGS (\\Flagged))"]);
    imap.transact("OK", "UID STORE 4 +FLAGS.SILENT (\\Deleted)").await;
    one(&imap.transact("OK", "EXPUNGE").await, "* VANISHED 4");
    one(&imap.transact("OK", "UID MOVE 3 Sent").await, "* VANISHED 3");
}
