//! Two sessions on one folder: RFC 3501 §7.4.1, §5.5; RFC 2180; RFC 5530 EXPUNGEISSUED; RFC 2177.

use crate::support::{Server, one, with};

async fn two() -> (Server, crate::support::Client, crate::support::Client) {
    let server = Server::start().await;
    for n in 1..=4 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let (a, b) = (server.inbox().await, server.inbox().await);
    (server, a, b)
}

#[tokio::test]
async fn changes_of_one_are_told_to_the_other() {
    let (server, mut a, mut b) = two().await;
    a.transact("OK", "STORE 1 +FLAGS (\\Flagged $New)").await;
    let lines = b.transact("OK", "NOOP").await;
    one(&lines, "* FLAGS (");
    one(&lines, "* 1 FETCH (FLAGS (\\Flagged $New))");
    assert_eq!(b.transact("OK", "NOOP").await.len(), 1, "told once");
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    one(&a.transact("OK", "NOOP").await, "* 5 EXISTS");
    // New mail can be had in the very command that learns of it.
    let lines = b.transact("OK", "UID FETCH 5:* (FLAGS)").await;
    assert_eq!(&lines[..2], ["* 5 EXISTS", "* 5 FETCH (UID 5 FLAGS ())"]);
}

#[tokio::test]
async fn expunges_are_held_back_while_numbers_are_in_use() {
    let (server, mut a, mut b) = two().await;
    a.transact("OK", "STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    a.transact("OK", "EXPUNGE").await;
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    // FETCH, STORE and SEARCH by number: the old numbers hold, nothing that changes them is told; new mail comes after them.
    for (command, told) in
        [("FETCH 4 (UID FLAGS)", &["* 5 EXISTS"][..]), ("STORE 4 +FLAGS (\\Seen)", &[]), ("SEARCH UID 4", &[])]
    {
        let lines = b.transact("OK", command).await;
        assert!(with(&lines, "EXPUNGE").is_empty(), "{lines:?}");
        assert_eq!(with(&lines, "EXISTS"), told);
        assert!(!with(&lines, "4").is_empty(), "{lines:?}");
    }
    let lines = b.transact("OK", "FETCH 5 (UID BODY.PEEK[TEXT])").await;
    assert_eq!(lines[0], "* 5 FETCH (UID 5 BODY[TEXT] {5}\r\nnew\r\n)");
    assert_eq!(b.transact("OK", "SEARCH ALL").await[0], "* SEARCH 1 3 4 5");
    // What came and went meanwhile is told as both.
    server.mailbox.deliver("INBOX", "Subject: 6\n\nnew\n");
    one(&b.transact("OK", "FETCH 1 (UID)").await, "* 6 EXISTS");
    server.mailbox.remove("INBOX", &[6]);
    // Changes of flags by others are told under the old numbers, once.
    a.transact("OK", "UID STORE 3 +FLAGS (\\Flagged)").await;
    let lines = b.transact("OK", "FETCH 1 (UID)").await;
    one(&lines, "* 3 FETCH (FLAGS (\\Flagged))");
    let lines = b.transact("OK", "NOOP").await;
    assert_eq!(&lines[..lines.len() - 1], ["* 6 EXPUNGE", "* 2 EXPUNGE"]);
    let lines = b.transact("OK", "FETCH 3 (UID FLAGS)").await;
    assert_eq!(lines[0], "* 3 FETCH (UID 4 FLAGS (\\Seen))");
}

#[tokio::test]
async fn what_came_and_went_behind_a_held_expunge_has_vanished() {
    let (server, _a, mut b) = two().await;
    b.transact("OK", "ENABLE QRESYNC").await;
    server.mailbox.remove("INBOX", &[2]);
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    server.mailbox.deliver("INBOX", "Subject: 6\n\nnew\n");
    one(&b.transact("OK", "FETCH 1 (UID)").await, "* 6 EXISTS");
    server.mailbox.remove("INBOX", &[5]);
    let lines = b.transact("OK", "NOOP").await;
    assert_eq!(lines[0], "* VANISHED 2,5");
    assert!(with(&lines, "EXISTS").is_empty(), "{lines:?}");
    assert_eq!(b.transact("OK", "UID SEARCH ALL").await[0], "* SEARCH 1 3 4 6");
}

/// A session that holds back cannot be made to remember without end.
#[tokio::test]
async fn behind_many_held_expunges_new_mail_waits() {
    let (server, _a, mut b) = two().await;
    for n in 5..=1200 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody\n"));
    }
    one(&b.transact("OK", "NOOP").await, "* 1200 EXISTS");
    server.mailbox.remove("INBOX", &[1]);
    server.mailbox.deliver("INBOX", "Subject: 1201\n\nnew\n");
    one(&b.transact("OK", "FETCH 1200 (UID)").await, "* 1201 EXISTS");
    assert_eq!(b.transact("OK", "FETCH 1201 (UID)").await[0], "* 1201 FETCH (UID 1201)");
    server.mailbox.remove("INBOX", &(2..=1100).collect::<Vec<_>>());
    server.mailbox.deliver("INBOX", "Subject: 1202\n\nnew\n");
    assert!(with(&b.transact("OK", "FETCH 1200 (UID)").await, "EXISTS").is_empty());
    let lines = b.transact("OK", "NOOP").await;
    assert_eq!(with(&lines, "EXPUNGE").len(), 1100);
    one(&lines, "* 102 EXISTS");
    assert_eq!(b.transact("OK", "FETCH 102 (UID)").await[0], "* 102 FETCH (UID 1202)");
}

#[tokio::test]
async fn uid_commands_may_tell_expunges() {
    let (server, _a, mut b) = two().await;
    server.mailbox.remove("INBOX", &[1]);
    let lines = b.transact("OK", "UID FETCH 4 (FLAGS)").await;
    assert_eq!(
        &lines[..2],
        ["* 4 FETCH (FLAGS () UID 4)", "* 1 EXPUNGE"].map(|l| l.replace("FLAGS () UID 4", "UID 4 FLAGS ()"))
    );
}

#[tokio::test]
async fn what_is_gone_is_expunge_issued() {
    let (server, _a, mut b) = two().await;
    server.mailbox.remove("INBOX", &[2]);
    let lines = b.transact("NO [EXPUNGEISSUED]", "FETCH 1:3 (BODY.PEEK[])").await;
    assert_eq!(with(&lines, "FETCH (BODY[]").len(), 2, "{lines:?}");
    let lines = b.transact("NO [EXPUNGEISSUED]", "FETCH 2 (ENVELOPE)").await;
    assert_eq!(lines.len(), 1);
    // What the client already knows can be told again.
    let lines = b.transact("OK", "FETCH 2 (FLAGS UID)").await;
    assert_eq!(lines[0], "* 2 FETCH (FLAGS () UID 2)");
    let lines = b.transact("NO [EXPUNGEISSUED]", "STORE 1:3 +FLAGS (\\Seen)").await;
    assert_eq!(with(&lines, "FETCH").len(), 2);
    assert_eq!(b.transact("OK", "SEARCH ALL").await[0], "* SEARCH 1 3 4");
    b.transact("NO [EXPUNGEISSUED]", "COPY 1:2 Sent").await;
    assert!(server.mailbox.view("Sent").is_empty(), "all or none");
}

#[tokio::test]
async fn by_uid_what_is_gone_is_passed_over() {
    let (server, _a, mut b) = two().await;
    server.mailbox.remove("INBOX", &[2]);
    let lines = b.transact("OK", "UID FETCH 1:3 (BODY.PEEK[])").await;
    assert_eq!(with(&lines, "BODY[]").len(), 2);
    one(&lines, "* 2 EXPUNGE");
}

#[tokio::test]
async fn silent_hides_only_ones_own_change() {
    let (_server, mut a, mut b) = two().await;
    a.transact("OK", "STORE 1 +FLAGS.SILENT (\\Answered)").await;
    let lines = b.transact("OK", "STORE 1:2 +FLAGS.SILENT (\\Seen)").await;
    // Told what the other did, and what that makes with its own change: it could not tell which it was.
    assert_eq!(with(&lines, "FETCH"), ["* 1 FETCH (FLAGS (\\Answered))", "* 1 FETCH (FLAGS (\\Answered \\Seen))"]);
    assert_eq!(b.transact("OK", "NOOP").await.len(), 1);
    assert_eq!(with(&a.transact("OK", "NOOP").await, "FETCH").len(), 2);
}

#[tokio::test]
async fn idle_is_told_as_things_happen() {
    let (server, mut a, mut b) = two().await;
    let tag = b.send("IDLE").await;
    assert!(b.line().await.starts_with("+ "));
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    assert_eq!(b.line().await, "* 5 EXISTS");
    a.transact("OK", "STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(b.line().await, "* 1 FETCH (FLAGS (\\Deleted))");
    a.transact("OK", "EXPUNGE").await;
    assert_eq!(b.line().await, "* 1 EXPUNGE");
    b.raw("DONE\r\n").await;
    assert_eq!(b.answer(&tag, "OK").await.len(), 1);
    // What was not told is told when IDLE begins.
    server.mailbox.deliver("INBOX", "Subject: 6\n\nnew\n");
    let tag = a.send("IDLE").await;
    let (first, second) = (a.line().await, a.line().await);
    assert!([&first, &second].iter().any(|l| l.contains("EXISTS")), "{first} {second}");
    a.raw("NOOP\r\n").await;
    a.answer(&tag, "BAD").await;
    a.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn idle_without_a_folder_and_through_silence() {
    let configure = |c: &mut imap::Config| c.keep_alive = std::time::Duration::from_millis(20);
    let server = Server::with(crate::support::Options { configure, ..Default::default() }).await;
    let mut imap = server.login().await;
    let tag = imap.send("IDLE").await;
    assert!(imap.line().await.starts_with("+ "));
    assert!(imap.line().await.starts_with("* OK"));
    imap.raw("done\r\n").await;
    imap.answer(&tag, "OK").await;
}
