//! ACL (RFC 4314), LIST-MYRIGHTS (RFC 8440), and what the server itself does by rights; a right that ends (BAL-ROLES).

use std::sync::atomic::Ordering;
use std::time::Duration;

use patience::BRIEF;

use crate::support::{Options, Server, one, with};

#[tokio::test]
async fn entries_of_a_folder() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    let capabilities = imap.transact("OK", "CAPABILITY").await;
    for announced in [" ACL ", " RIGHTS=kxte ", " LIST-MYRIGHTS "] {
        assert!(format!("{} ", capabilities[0]).contains(announced), "{capabilities:?}");
    }
    assert_eq!(imap.transact("OK", "GETACL INBOX").await[0], "* ACL \"INBOX\"");
    imap.transact("OK", "SETACL INBOX 899700000017 lrs").await;
    imap.transact("OK", "SETACL INBOX 899700000017 +ic").await;
    imap.transact("OK", "SETACL INBOX 899700000017 -s").await;
    imap.transact("OK", "SETACL INBOX anyone \"\"").await;
    assert_eq!(imap.transact("OK", "GETACL INBOX").await[0], "* ACL \"INBOX\" 899700000017 lrikc anyone \"\"");
    imap.transact("OK", "DELETEACL INBOX anyone").await;
    assert_eq!(imap.transact("OK", "GETACL INBOX").await[0], "* ACL \"INBOX\" 899700000017 lrikc");
    let lines = imap.transact("OK", "LISTRIGHTS INBOX 899700000017").await;
    assert_eq!(lines[0], "* LISTRIGHTS \"INBOX\" 899700000017 l r s w i p k x t e a c d");
    assert_eq!(imap.transact("OK", "MYRIGHTS INBOX").await[0], "* MYRIGHTS \"INBOX\" lrswipkxteacd");
    for refused in ["SETACL INBOX -899700000017 l", "DELETEACL INBOX -anyone", "LISTRIGHTS INBOX -anyone"] {
        imap.transact("NO [CANNOT]", refused).await;
    }
    imap.transact("BAD", "SETACL INBOX 899700000017 L").await;
    for none in ["GETACL Nothing", "MYRIGHTS Nothing", "SETACL a//b anyone l"] {
        imap.transact("NO [NONEXISTENT]", none).await;
    }
    server.mailbox.shared.allow("Sent", "lr");
    imap.transact("NO [NOPERM]", "GETACL Sent").await;
    imap.transact("NO [NOPERM]", "SETACL Sent anyone l").await;
    server.mailbox.shared.allow("Sent", "r");
    imap.transact("NO [NONEXISTENT]", "GETACL Sent").await;
    imap.transact("NO [NONEXISTENT]", "MYRIGHTS Sent").await;
}

#[tokio::test]
async fn rights_in_lists() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "CREATE a/b").await;
    server.mailbox.shared.allow("Sent", "lr");
    let lines = imap.transact("OK", "LIST \"\" * RETURN (MYRIGHTS)").await;
    one(&lines, "* MYRIGHTS \"Sent\" lr");
    one(&lines, "* MYRIGHTS \"a/b\" lrswipkxteacd");
    assert!(with(&lines, "MYRIGHTS \"a\"").is_empty(), "a level above has none: {lines:?}");
}

#[tokio::test]
async fn a_folder_shows_what_may_be_changed() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    let mut imap = server.login().await;
    server.mailbox.shared.allow("INBOX", "lr");
    let lines = imap.transact("OK [READ-ONLY]", "SELECT INBOX").await;
    one(&lines, "[PERMANENTFLAGS ()]");
    imap.transact("OK", "FETCH 1 BODY[]").await;
    assert_eq!(server.mailbox.view("INBOX").unseen(), 1, "no right to mark it as read");
    server.mailbox.shared.allow("INBOX", "lrst");
    let lines = imap.transact("OK [READ-WRITE]", "SELECT INBOX").await;
    one(&lines, "[PERMANENTFLAGS (\\Deleted \\Seen)]");
    imap.transact("OK", "STORE 1 +FLAGS (\\Deleted)").await;
    imap.transact("OK", "CLOSE").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1, "no right to expunge");
    server.mailbox.shared.allow("INBOX", "lrwi");
    let lines = imap.transact("OK [READ-WRITE]", "SELECT INBOX").await;
    one(&lines, "[PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\*)]");
    imap.transact("OK", "FETCH 1 BODY[]").await;
    assert_eq!(server.mailbox.view("INBOX").unseen(), 1, "others may be changed, this one not");
}

#[tokio::test]
async fn a_right_that_ends_ends_the_sessions() {
    // BAL-ROLES
    let configure = |c: &mut imap::Config| c.recheck = Duration::from_millis(50);
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let (mut idling, mut silent, mut busy) = (server.inbox().await, server.login().await, server.inbox().await);
    let mut stranger = server.tls().await;
    idling.send("IDLE").await;
    assert!(idling.line().await.starts_with("+ "));
    // Looked at several times, and nothing happens.
    tokio::time::sleep(Duration::from_millis(200)).await;
    silent.transact("OK", "NOOP").await;
    server.mailbox.shared.ended.store(true, Ordering::SeqCst);
    let why = "* BYE The mailbox is no longer open to you";
    for imap in [&mut idling, &mut silent] {
        assert_eq!(imap.closes().await, [why]);
    }
    // One that never stops asking is told instead of its answer.
    loop {
        busy.raw("x NOOP\r\n").await;
        match busy.line().await {
            line if line == why => break,
            line => assert!(line.starts_with("x OK"), "{line}"),
        }
    }
    stranger.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_read_any_more_is_left() {
    let configure = |c: &mut imap::Config| c.recheck = Duration::from_millis(50);
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let (mut reading, mut elsewhere) = (server.inbox().await, server.login().await);
    elsewhere.transact("OK", "SELECT Sent").await;
    server.mailbox.shared.allow("INBOX", "l");
    assert_eq!(reading.closes().await, ["* BYE The folder is no longer open to you"]);
    elsewhere.transact("OK", "NOOP").await;
}

/// Looking at the right does not make a silent client's time-out begin anew.
#[tokio::test]
async fn looking_is_no_sign_of_life() {
    let configure = |c: &mut imap::Config| {
        c.recheck = Duration::from_millis(20);
        c.idle_timeout = BRIEF;
    };
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.inbox().await;
    assert!(one(&imap.closes().await, "* BYE").contains("Idle"));
}
