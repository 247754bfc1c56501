//! QRESYNC (RFC 7162 §3.2): coming back, VANISHED.

use crate::support::{Client, Server, one, with};

/// A server with six messages and a client that enabled QRESYNC and has INBOX open.
async fn six() -> (Server, Client) {
    let server = Server::start().await;
    for n in 1..=6 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let mut imap = server.login().await;
    assert_eq!(imap.transact("OK", "ENABLE QRESYNC").await[0], "* ENABLED QRESYNC");
    imap.transact("OK", "SELECT INBOX").await;
    (server, imap)
}

fn highest(server: &Server) -> u64 {
    server.mailbox.view("INBOX").highest_modseq.0
}

#[tokio::test]
async fn must_be_enabled() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    assert!(one(&imap.transact("OK", "CAPABILITY").await, "* CAPABILITY").contains(" QRESYNC"));
    imap.transact("BAD", "SELECT INBOX (QRESYNC (100 1))").await;
    imap.transact("OK", "SELECT INBOX (CONDSTORE)").await;
    imap.transact("BAD", "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").await;
    imap.transact("OK", "ENABLE CONDSTORE QRESYNC").await;
    imap.transact("BAD", "UID FETCH 1:* (FLAGS) (VANISHED)").await;
    imap.transact("BAD", "FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").await;
    imap.transact("OK", "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").await;
}

#[tokio::test]
async fn coming_back() {
    let (server, mut other) = six().await;
    let known = highest(&server);
    other.transact("OK", "UID STORE 5 +FLAGS.SILENT (\\Flagged)").await;
    server.mailbox.remove("INBOX", &[2, 3, 6]);
    server.mailbox.deliver("INBOX", "Subject: 7\n\nnew\n");
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE QRESYNC").await;
    let lines = imap.transact("OK [READ-WRITE]", &format!("SELECT INBOX (QRESYNC (100 {known}))")).await;
    one(&lines, &format!("* OK [HIGHESTMODSEQ {}]", highest(&server)));
    let vanished = lines.iter().position(|l| l == "* VANISHED (EARLIER) 2:3,6").expect("what went");
    let changed = lines.iter().position(|l| l.starts_with("* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ (")).expect("5");
    let new = lines.iter().position(|l| l.starts_with("* 4 FETCH (UID 7 FLAGS () MODSEQ (")).expect("7");
    assert!(vanished < changed && changed < new);
    assert_eq!(with(&lines, "FETCH").len(), 2);
    // Only what is known is told.
    let lines = imap.transact("OK", &format!("SELECT INBOX (QRESYNC (100 {known} 1:2,6))")).await;
    one(&lines, "* OK [CLOSED]");
    one(&lines, "* VANISHED (EARLIER) 2,6");
    assert!(with(&lines, "FETCH").is_empty());
    // Nothing missed, nothing told.
    let lines = imap.transact("OK", &format!("EXAMINE INBOX (QRESYNC (100 {}))", highest(&server))).await;
    assert!(with(&lines, "VANISHED").is_empty() && with(&lines, "FETCH").is_empty(), "{lines:?}");
    // Another epoch: the client is told so and nothing else.
    let lines = imap.transact("OK", "SELECT INBOX (QRESYNC (99 1))").await;
    assert!(with(&lines, "VANISHED").is_empty() && with(&lines, "FETCH").is_empty(), "{lines:?}");
    one(&lines, "* OK [UIDVALIDITY 100]");
    // More than the folder ever had: everything.
    let lines = imap.transact("OK", "SELECT INBOX (QRESYNC (100 999999))").await;
    one(&lines, "* VANISHED (EARLIER) 2:3,6");
    assert_eq!(with(&lines, "FETCH").len(), 4);
}

/// Too many are named rather than too few.
#[tokio::test]
async fn what_was_forgotten() {
    let (server, _) = six().await;
    let known = highest(&server);
    server.mailbox.remove("INBOX", &[2]);
    server.mailbox.forget_expunged("INBOX");
    server.mailbox.remove("INBOX", &[5]);
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE QRESYNC").await;
    let lines = imap.transact("OK", &format!("SELECT INBOX (QRESYNC (100 {known}))")).await;
    one(&lines, "* VANISHED (EARLIER) 2,5");
    // Up to the last number that fits, nothing can have gone.
    let matched = format!("SELECT INBOX (QRESYNC (100 {known} 1:6 (1,3 1,4)))");
    one(&imap.transact("OK", &matched).await, "* VANISHED (EARLIER) 5");
    let matched = format!("SELECT INBOX (QRESYNC (100 {known} 1:6 (1,3 1,3)))");
    one(&imap.transact("OK", &matched).await, "* VANISHED (EARLIER) 2,5");
    let lines = imap.transact("OK", &format!("UID FETCH 1:4 (FLAGS) (CHANGEDSINCE {known} VANISHED)")).await;
    one(&lines, "* VANISHED (EARLIER) 2");
}

#[tokio::test]
async fn fetch_vanished() {
    let (server, mut imap) = six().await;
    let known = highest(&server);
    server.mailbox.remove("INBOX", &[2, 6]);
    // Not told yet: told as what happens now, and not as what happened earlier.
    let fetch = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)");
    let lines = imap.transact("OK", &fetch).await;
    assert_eq!(with(&lines, "VANISHED"), ["* VANISHED 2,6"]);
    let lines = imap.transact("OK", &fetch).await;
    assert_eq!(with(&lines, "VANISHED"), ["* VANISHED (EARLIER) 2,6"]);
    let lines = imap.transact("OK", &format!("UID FETCH 3:6 (FLAGS) (CHANGEDSINCE {known} VANISHED)")).await;
    assert_eq!(with(&lines, "VANISHED"), ["* VANISHED (EARLIER) 6"]);
}

#[tokio::test]
async fn vanished_instead_of_expunge() {
    let (server, mut imap) = six().await;
    let mut other = server.inbox().await;
    imap.transact("OK", "UID STORE 2:3 +FLAGS.SILENT (\\Deleted)").await;
    let lines = imap.transact("OK [HIGHESTMODSEQ ", "EXPUNGE").await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "* VANISHED 2:3");
    assert!(lines[1].contains(&format!("[HIGHESTMODSEQ {}]", highest(&server))));
    assert_eq!(with(&other.transact("OK", "NOOP").await, "EXPUNGE"), ["* 3 EXPUNGE", "* 2 EXPUNGE"]);
    let lines = imap.transact("OK [HIGHESTMODSEQ ", "UID MOVE 1 Sent").await;
    one(&lines, "* VANISHED 1");
    // What others do carries UID and MODSEQ; held back as EXPUNGE is.
    other.transact("OK", "NOOP").await;
    other.transact("OK", "STORE 1 +FLAGS (\\Deleted)").await;
    let lines = imap.transact("OK", "NOOP").await;
    one(&lines, "* 1 FETCH (UID 4 FLAGS (\\Deleted) MODSEQ (");
    other.transact("OK", "EXPUNGE").await;
    assert!(with(&imap.transact("OK", "FETCH 2 (UID)").await, "VANISHED").is_empty());
    one(&imap.transact("OK", "NOOP").await, "* VANISHED 4");
    let tag = imap.send("IDLE").await;
    assert!(imap.line().await.starts_with("+ "));
    server.mailbox.remove("INBOX", &[6]);
    assert_eq!(imap.line().await, "* VANISHED 6");
    imap.raw("DONE\r\n").await;
    imap.answer(&tag, "OK").await;
    // CLOSE tells where to come back from, but not over what was not told.
    imap.transact("OK", "UID STORE 5 +FLAGS.SILENT (\\Deleted)").await;
    let lines = imap.transact("OK [HIGHESTMODSEQ ", "CLOSE").await;
    assert!(lines[0].contains(&format!("[HIGHESTMODSEQ {}]", highest(&server))));
    imap.transact("OK", "SELECT INBOX").await;
    server.mailbox.deliver("INBOX", "Subject: 8\n\nnew\n");
    imap.transact("OK Done", "CLOSE").await;
}

#[tokio::test]
async fn many_ranges_take_several_lines() {
    let server = Server::start().await;
    for _ in 0..2000 {
        server.mailbox.deliver("INBOX", "Subject: x\n\n");
    }
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE QRESYNC").await;
    imap.transact("OK", "SELECT INBOX").await;
    server.mailbox.remove("INBOX", &(1..=2000).filter(|n| n % 2 == 0).collect::<Vec<_>>());
    let lines = imap.transact("OK", "NOOP").await;
    let vanished = with(&lines, "* VANISHED ");
    assert!(vanished.len() > 1 && vanished.iter().all(|l| l.len() < 8000));
    let uids: usize = vanished.iter().map(|l| l.split(',').count()).sum();
    assert_eq!(uids, 1000);
}
