//! QUOTA (RFC 9208).

use crate::support::{Server, one, with};

#[tokio::test]
async fn one_root_for_all() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", &format!("Subject: one\n\n{}\n", "x".repeat(2000)));
    let mut imap = server.login().await;
    let capabilities = imap.transact("OK", "CAPABILITY").await;
    for announced in [" QUOTA ", " QUOTA=RES-STORAGE ", " QUOTA=RES-MESSAGE "] {
        assert!(capabilities[0].contains(announced), "{capabilities:?}");
    }
    assert!(!capabilities[0].contains("QUOTASET"));
    // What has no limit is not told.
    let lines = imap.transact("OK", "GETQUOTAROOT INBOX").await;
    assert_eq!(&lines[..2], ["* QUOTAROOT \"INBOX\" \"\"", "* QUOTA \"\" ()"]);
    *server.mailbox.shared.limits.lock().expect("no panic") = (Some(10 * 1024), Some(7));
    assert_eq!(imap.transact("OK", "GETQUOTA \"\"").await[0], "* QUOTA \"\" (STORAGE 2 10 MESSAGE 1 7)");
    one(&imap.transact("OK", "GETQUOTAROOT Sent").await, "* QUOTAROOT \"Sent\" \"\"");
    imap.transact("NO [NONEXISTENT]", "GETQUOTA Other").await;
    imap.transact("NO [NONEXISTENT]", "GETQUOTAROOT Nothing").await;
    imap.transact("NO [NOPERM]", "SETQUOTA \"\" (STORAGE 512)").await;
    imap.transact("BAD", "SETQUOTA \"\"").await;
    server.mailbox.shared.allow("Sent", "l");
    imap.transact("NO [NOPERM]", "GETQUOTAROOT Sent").await;
}

#[tokio::test]
async fn what_deleting_would_free() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    server.mailbox.deliver("INBOX", "Subject: three\n\nbody\n");
    let mut imap = server.inbox().await;
    let wanted = "STATUS INBOX (DELETED DELETED-STORAGE)";
    assert_eq!(imap.transact("OK", wanted).await[0], "* STATUS \"INBOX\" (DELETED 0 DELETED-STORAGE 0)");
    imap.transact("OK", "STORE 2 +FLAGS (\\Deleted)").await;
    assert_eq!(imap.transact("OK", wanted).await[0], "* STATUS \"INBOX\" (DELETED 1 DELETED-STORAGE 24)");
}

#[tokio::test]
async fn nearly_full_is_said_once() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    *server.mailbox.shared.limits.lock().expect("no panic") = (None, Some(10));
    for n in 1..=10 {
        let lines = imap.append("OK [APPENDUID", "INBOX", "Subject: x\n\ny\n").await;
        let warned = with(&lines, "* NO [OVERQUOTA]").len();
        assert_eq!(warned, usize::from(n == 9), "{n}: {lines:?}");
    }
}
