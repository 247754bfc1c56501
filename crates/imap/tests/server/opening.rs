//! SELECT is answered before the messages of the folder are read: what is told of then is what numbers mean.

use patience::PATIENCE;

use crate::support::reads::Reads;
use crate::support::{Client, Server, one, with};

/// A server with so many messages in INBOX, whose folders are read when the test says so.
async fn held(messages: usize) -> Server {
    let server = Server::start().await;
    for n in 1..=messages {
        server.mailbox.deliver("INBOX", &format!("Subject: number {n}\n\nbody\n"));
    }
    server.mailbox.reads.send_replace(Reads::Held);
    server
}

/// Waits until so many folders are being read.
async fn being_read(server: &Server, count: usize) {
    let mut reading = server.mailbox.reading.subscribe();
    let reached = reading.wait_for(|now| *now == count);
    tokio::time::timeout(PATIENCE, reached).await.expect("in time").expect("the mailbox lives");
}

fn release(server: &Server) {
    server.mailbox.reads.send_replace(Reads::Later);
}

async fn selected(imap: &mut Client) {
    let lines = imap.transact("OK [READ-WRITE]", "SELECT INBOX").await;
    one(&lines, "* 5 EXISTS");
}

#[tokio::test]
async fn select_does_not_wait_for_the_messages() {
    let server = held(5).await;
    let mut imap = server.login().await;
    let lines = imap.transact("OK [READ-WRITE]", "SELECT INBOX").await;
    for wanted in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)]",
        "* 5 EXISTS",
        "* 0 RECENT",
        "* OK [UIDVALIDITY 100]",
        "* OK [UIDNEXT 6]",
        "* OK [HIGHESTMODSEQ 6]",
        "* OK [MAILBOXID (F1-64)]",
    ] {
        one(&lines, wanted);
    }
    assert!(with(&lines, "UNSEEN").is_empty(), "nobody knows: {lines:?}");
    being_read(&server, 1).await;
    // A command about messages is carried out once they are there.
    let tag = imap.send("FETCH 1:* (UID)").await;
    release(&server);
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(with(&lines, "FETCH").len(), 5);
    one(&lines, "* 5 FETCH (UID 5)");
    being_read(&server, 0).await;
}

#[tokio::test]
async fn what_happens_meanwhile_is_told_afterwards() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    server.mailbox.remove("INBOX", &[2, 4]);
    server.mailbox.deliver("INBOX", "Subject: new\n\nbody\n");
    // Numbers are those of what was told: 5 is the UID 5, and expunges wait for the next command.
    let tag = imap.send("FETCH 5 (UID)").await;
    release(&server);
    let lines = imap.answer(&tag, "OK").await;
    one(&lines, "* 5 FETCH (UID 5)");
    assert!(with(&lines, "EXPUNGE").is_empty(), "{lines:?}");
    one(&lines, "* 6 EXISTS");
    let lines = imap.transact("OK", "NOOP").await;
    assert_eq!(with(&lines, "EXPUNGE"), ["* 4 EXPUNGE", "* 2 EXPUNGE"]);
    let lines = imap.transact("OK", "FETCH 1:* (UID)").await;
    let told: Vec<&str> = with(&lines, "FETCH");
    let wanted = ["* 1 FETCH (UID 1)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 5)", "* 4 FETCH (UID 6)"];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn changes_by_number_are_of_what_was_told() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    server.mailbox.remove("INBOX", &[1]);
    let tag = imap.send("STORE 3 +FLAGS (\\Deleted)").await;
    release(&server);
    imap.answer(&tag, "OK").await;
    let lines = imap.transact("OK", "EXPUNGE").await;
    assert_eq!(with(&lines, "EXPUNGE"), ["* 3 EXPUNGE", "* 1 EXPUNGE"]);
    let left: Vec<u32> = server.mailbox.view("INBOX").iter().map(|e| e.uid.0).collect();
    assert_eq!(left, [2, 4, 5]);
}

#[tokio::test]
async fn idle_tells_what_happened_since_select() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    server.mailbox.remove("INBOX", &[3]);
    let tag = imap.send("IDLE").await;
    release(&server);
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("EXPUNGE")) {
        lines.push(imap.line().await);
    }
    assert_eq!(lines.last().map(String::as_str), Some("* 3 EXPUNGE"), "{lines:?}");
    imap.raw("DONE\r\n").await;
    imap.answer(&tag, "OK").await;
}

#[tokio::test]
async fn notify_tells_it_without_being_asked() {
    let server = Server::start().await;
    for _ in 0..5 {
        server.mailbox.deliver("INBOX", "Subject: x\n\nbody\n");
    }
    let mut imap = server.login().await;
    imap.transact("OK", "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))").await;
    server.mailbox.reads.send_replace(Reads::Held);
    selected(&mut imap).await;
    server.mailbox.remove("INBOX", &[5]);
    server.mailbox.deliver("INBOX", "Subject: new\n\nbody\n");
    release(&server);
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("FETCH")) {
        lines.push(imap.line().await);
    }
    assert_eq!(lines, ["* 5 EXPUNGE", "* 5 EXISTS", "* 5 FETCH (UID 6)"]);
}

#[tokio::test]
async fn who_leaves_does_not_wait() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    being_read(&server, 1).await;
    // Another folder: the first is read no more.
    let lines = imap.transact("OK", "SELECT Sent").await;
    one(&lines, "* OK [CLOSED]");
    being_read(&server, 1).await;
    let lines = imap.transact("OK [READ-ONLY]", "EXAMINE INBOX").await;
    one(&lines, "* OK [CLOSED]");
    one(&lines, "[PERMANENTFLAGS ()]");
    imap.transact("OK", "UNSELECT").await;
    being_read(&server, 0).await;
    imap.transact("BAD", "FETCH 1 (FLAGS)").await;
    selected(&mut imap).await;
    // A folder that is not there: none is open.
    imap.transact("NO [NONEXISTENT]", "SELECT Nothing").await;
    being_read(&server, 0).await;
    imap.transact("BAD", "CHECK").await;
    selected(&mut imap).await;
    imap.transact("OK", "LOGOUT").await;
    being_read(&server, 0).await;
    // One that is cut off.
    let mut imap = server.login().await;
    selected(&mut imap).await;
    drop(imap);
    being_read(&server, 0).await;
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_session() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    imap.send("FETCH 1 (UID)").await;
    server.mailbox.reads.send_replace(Reads::Broken);
    let lines = imap.closes().await;
    assert!(lines.iter().any(|line| line.starts_with("* BYE")), "{lines:?}");
    assert!(with(&lines, "FETCH").is_empty(), "{lines:?}");
    being_read(&server, 0).await;
}

#[tokio::test]
async fn what_is_missed_needs_the_messages() {
    let server = held(5).await;
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE QRESYNC").await;
    server.mailbox.remove("INBOX", &[2]);
    let lines = imap.transact("OK", "SELECT INBOX (QRESYNC (100 4))").await;
    one(&lines, "* 4 EXISTS");
    one(&lines, "* VANISHED (EARLIER) 2");
    being_read(&server, 0).await;
    // Without: what went between is told as gone, once.
    imap.transact("OK", "UNSELECT").await;
    let lines = imap.transact("OK", "SELECT INBOX").await;
    one(&lines, "* 4 EXISTS");
    server.mailbox.remove("INBOX", &[4]);
    let tag = imap.send("NOOP").await;
    release(&server);
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(with(&lines, "VANISHED"), ["* VANISHED 4"]);
}

#[tokio::test]
async fn a_command_that_waits_ends_with_the_server() {
    let server = held(5).await;
    let mut imap = server.login().await;
    selected(&mut imap).await;
    imap.send("FETCH 1:* (UID)").await;
    being_read(&server, 1).await;
    // Nothing shows that the command has begun to wait; that it has not yet is no failure.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    server.shutdown.cancel();
    assert_eq!(imap.line().await, "* BYE The server is stopping");
    being_read(&server, 0).await;
}
