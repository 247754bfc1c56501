//! STORE, COPY, MOVE, EXPUNGE, CLOSE.

use crate::support::{Server, one, with};

async fn four() -> (Server, crate::support::Client) {
    let server = Server::start().await;
    for n in 1..=4 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let imap = server.inbox().await;
    (server, imap)
}

#[tokio::test]
async fn store_tells_what_it_did() {
    let (_server, mut imap) = four().await;
    let lines = imap.transact("OK", "STORE 1:2 +FLAGS (\\Seen $Label)").await;
    one(&lines, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label)");
    assert_eq!(with(&lines, "FETCH"), ["* 1 FETCH (FLAGS (\\Seen $Label))", "* 2 FETCH (FLAGS (\\Seen $Label))"]);
    let lines = imap.transact("OK", "STORE 1 -FLAGS \\Seen").await;
    assert_eq!(lines[0], "* 1 FETCH (FLAGS ($Label))");
    let lines = imap.transact("OK", "UID STORE 2 FLAGS (\\Flagged)").await;
    assert_eq!(lines[0], "* 2 FETCH (UID 2 FLAGS (\\Flagged))");
    assert_eq!(imap.transact("OK", "STORE 1:4 +FLAGS.SILENT (\\Answered)").await.len(), 1);
    let lines = imap.transact("OK", "FETCH 4 FLAGS").await;
    assert_eq!(lines[0], "* 4 FETCH (FLAGS (\\Answered))");
    imap.transact("BAD", "STORE 5 +FLAGS (\\Seen)").await;
    imap.transact("BAD", "STORE 1 +FLAGS (\\Recent)").await;
    imap.transact("OK", "UID STORE 99 +FLAGS (\\Seen)").await;
    imap.transact("OK", "STORE 4:* FLAGS ()").await;
}

#[tokio::test]
async fn copy_and_move() {
    let (server, mut imap) = four().await;
    imap.transact("OK [COPYUID 101 1:2 1:2]", "COPY 1:2 Sent").await;
    imap.transact("OK [COPYUID 101 4 3]", "UID COPY 4,99 Sent").await;
    imap.transact("NO [TRYCREATE]", "COPY 1 Nothing").await;
    imap.transact("BAD", "COPY 9 Sent").await;
    assert_eq!(imap.transact("OK", "UID COPY 99 Sent").await.len(), 1);
    let lines = imap.transact("OK", "MOVE 1,3 Sent").await;
    assert_eq!(&lines[..3], ["* OK [COPYUID 101 1,3 4:5] Moved", "* 3 EXPUNGE", "* 1 EXPUNGE"]);
    let lines = imap.transact("OK", "UID MOVE 2 Sent").await;
    assert_eq!(&lines[..2], ["* OK [COPYUID 101 2 6] Moved", "* 1 EXPUNGE"]);
    imap.transact("NO", "MOVE 1 INBOX").await;
    assert_eq!(server.mailbox.view("Sent").len(), 6);
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
}

#[tokio::test]
async fn expunge_and_close() {
    let (server, mut imap) = four().await;
    imap.transact("OK", "STORE 2:4 +FLAGS.SILENT (\\Deleted)").await;
    let lines = imap.transact("OK", "UID EXPUNGE 1,3").await;
    assert_eq!(with(&lines, "EXPUNGE"), ["* 3 EXPUNGE"]);
    let lines = imap.transact("OK", "EXPUNGE").await;
    assert_eq!(with(&lines, "EXPUNGE"), ["* 3 EXPUNGE", "* 2 EXPUNGE"]);
    imap.transact("OK", "EXPUNGE").await;
    imap.transact("OK", "STORE 1 +FLAGS (\\Deleted)").await;
    imap.transact("OK", "UNSELECT").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
    imap.transact("OK", "EXAMINE INBOX").await;
    imap.transact("OK", "CLOSE").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
    imap.transact("OK", "SELECT INBOX").await;
    assert_eq!(imap.transact("OK", "CLOSE").await.len(), 1);
    assert_eq!(server.mailbox.view("INBOX").len(), 0);
}
