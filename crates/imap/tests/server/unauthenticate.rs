//! UNAUTHENTICATE (RFC 8437).

use patience::BRIEF;

use crate::support::{GOOD, Options, Server, base64, one};

#[tokio::test]
async fn everything_is_forgotten() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    let mut imap = server.tls().await;
    imap.transact("BAD", "UNAUTHENTICATE").await;
    imap.transact("OK", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
    imap.transact("OK", "ENABLE CONDSTORE").await;
    imap.transact("OK", "SELECT INBOX").await;
    let lines = imap.transact("OK [CAPABILITY ", "UNAUTHENTICATE").await;
    assert!(one(&lines, "CAPABILITY").contains("AUTH=XOAUTH2") && !lines[0].contains("NAMESPACE"));
    imap.transact("BAD", "FETCH 1 (FLAGS)").await;
    imap.transact("BAD", "LIST \"\" *").await;
    // What others do is no longer told.
    server.mailbox.deliver("INBOX", "Subject: two\n\nbody\n");
    assert_eq!(imap.transact("OK", "NOOP").await.len(), 1);
    imap.transact("OK", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
    imap.transact("BAD", "FETCH 1 (FLAGS)").await;
    imap.transact("OK", "SELECT INBOX").await;
    // Nor is anything enabled that was.
    let lines = imap.transact("OK", "STORE 1 +FLAGS (\\Seen)").await;
    assert_eq!(lines[0], "* 1 FETCH (FLAGS (\\Seen))");
}

#[tokio::test]
async fn authentication_is_awaited_no_longer_than_before() {
    let configure = |c: &mut imap::Config| c.login_timeout = BRIEF;
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.login().await;
    imap.transact("OK", "UNAUTHENTICATE").await;
    assert!(one(&imap.closes().await, "* BYE").contains("Not authenticated"));
}

#[tokio::test]
async fn not_where_the_certificate_is_enough() {
    // LPS-APP
    let server = Server::with(Options { preauthenticated: true, ..Options::default() }).await;
    let mut imap = server.tls().await;
    imap.transact("NO [CANNOT]", "UNAUTHENTICATE").await;
    imap.transact("OK", "SELECT INBOX").await;
}
