//! CONDSTORE (RFC 7162 §3.1) and ENABLE (RFC 5161).

use crate::support::{Client, Server, one, with};

async fn three() -> (Server, Client) {
    let server = Server::start().await;
    for n in 1..=3 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let imap = server.inbox().await;
    (server, imap)
}

/// The number after `MODSEQ (`.
fn modseq(line: &str) -> u64 {
    let (_, rest) = line.split_once("MODSEQ (").unwrap_or_else(|| panic!("no MODSEQ in {line}"));
    rest.split(')').next().and_then(|n| n.parse().ok()).expect("a number")
}

#[tokio::test]
async fn announced_and_enabled() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    assert!(one(&imap.transact("OK", "CAPABILITY").await, "* CAPABILITY").contains(" CONDSTORE"));
    assert_eq!(imap.transact("OK", "ENABLE X-NOTHING").await[0], "* ENABLED");
    assert_eq!(imap.transact("OK", "ENABLE X-NOTHING condstore").await[0], "* ENABLED CONDSTORE");
    imap.transact("BAD", "ENABLE").await;
}

#[tokio::test]
async fn select_tells_the_highest() {
    let (server, mut imap) = three().await;
    let highest = server.mailbox.view("INBOX").highest_modseq.0;
    for command in ["SELECT INBOX", "EXAMINE INBOX", "SELECT INBOX (CONDSTORE)"] {
        let lines = imap.transact("OK", command).await;
        one(&lines, &format!("* OK [HIGHESTMODSEQ {highest}]"));
    }
    let lines = imap.transact("OK", "STATUS INBOX (HIGHESTMODSEQ)").await;
    assert_eq!(lines[0], format!("* STATUS \"INBOX\" (HIGHESTMODSEQ {highest})"));
}

/// RFC 7162 §3.1.2: each of these makes later FETCH responses carry the MODSEQ; the server says from where it reckons.
#[tokio::test]
async fn commands_that_enable() {
    for command in [
        "ENABLE CONDSTORE",
        "FETCH 1 (MODSEQ)",
        "FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
        "STATUS Sent (HIGHESTMODSEQ)",
        "SEARCH MODSEQ 2",
        "SEARCH NOT (OR SEEN MODSEQ 2)",
    ] {
        let (server, mut imap) = three().await;
        let mut other = server.inbox().await;
        other.transact("OK", "STORE 2 +FLAGS (\\Flagged)").await;
        assert!(with(&imap.transact("OK", "NOOP").await, "MODSEQ").is_empty());
        let lines = imap.transact("OK", command).await;
        one(&lines, "* OK [HIGHESTMODSEQ ");
        other.transact("OK", "STORE 3 +FLAGS (\\Flagged)").await;
        let lines = imap.transact("OK", "NOOP").await;
        let line = one(&lines, "* 3 FETCH (FLAGS (\\Flagged) MODSEQ (");
        assert_eq!(modseq(line), server.mailbox.view("INBOX").highest_modseq.0, "{command}");
    }
}

#[tokio::test]
async fn changed_since() {
    let (server, mut imap) = three().await;
    let before = server.mailbox.view("INBOX").highest_modseq.0;
    assert_eq!(imap.transact("OK", &format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {before})")).await.len(), 2, "nothing");
    imap.transact("OK", "STORE 2 +FLAGS.SILENT (\\Seen)").await;
    let lines = imap.transact("OK", &format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {before})")).await;
    assert_eq!(with(&lines, "FETCH"), [format!("* 2 FETCH (MODSEQ ({}) FLAGS (\\Seen))", before + 1)]);
    let lines = imap.transact("OK", &format!("UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE {before})")).await;
    assert_eq!(with(&lines, "FETCH"), [format!("* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ ({}))", before + 1)]);
    assert_eq!(with(&imap.transact("OK", "FETCH 1:* (UID) (CHANGEDSINCE 0)").await, "FETCH").len(), 3);
    // With what is not in the view.
    let lines = imap.transact("OK", &format!("FETCH 1:* (BODY.PEEK[TEXT]) (CHANGEDSINCE {before})")).await;
    one(&lines, "* 2 FETCH (MODSEQ (");
    imap.transact("BAD", "FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").await;
    imap.transact("BAD", "UID FETCH 1:* (FLAGS) (VANISHED)").await;
}

#[tokio::test]
async fn unchanged_since() {
    let (server, mut imap) = three().await;
    let mut other = server.inbox().await;
    let lines = imap.transact("OK", "FETCH 1:* (MODSEQ)").await;
    let known = modseq(one(&lines, "* 3 FETCH"));
    other.transact("OK", "STORE 2 +FLAGS (\\Flagged)").await;
    // Those that others changed are held back and told.
    let lines = imap.transact("OK [MODIFIED 2]", &format!("STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS (\\Seen)")).await;
    one(&lines, "* 2 FETCH (FLAGS (\\Flagged) MODSEQ (");
    for n in [1, 3] {
        assert!(modseq(one(&lines, &format!("* {n} FETCH (FLAGS (\\Seen) MODSEQ ("))) > known);
    }
    assert_eq!(server.mailbox.view("INBOX").unseen(), 1);
    // Silent: the MODSEQ all the same, and no flags.
    let known = server.mailbox.view("INBOX").highest_modseq.0;
    let silent = format!("UID STORE 1:2 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Answered)");
    let lines = imap.transact("OK Done", &silent).await;
    let fetched = with(&lines, "FETCH");
    assert_eq!(fetched.len(), 2, "{lines:?}");
    assert!(fetched[0].starts_with("* 1 FETCH (UID 1 MODSEQ (") && modseq(fetched[0]) > known, "{lines:?}");
    let lines = imap.transact("OK [MODIFIED 1:2]", &silent).await;
    assert_eq!(lines.len(), 1, "nothing new: {lines:?}");
    imap.transact("OK [MODIFIED 1:3]", "UID STORE 1:3 (UNCHANGEDSINCE 0) FLAGS ()").await;
    // A plain silent STORE tells the MODSEQ too, once CONDSTORE is enabled.
    let lines = imap.transact("OK", "STORE 1 +FLAGS.SILENT (\\Draft)").await;
    assert!(lines[0].starts_with("* 1 FETCH (MODSEQ (") && lines.len() == 2, "{lines:?}");
    // Gone and changed.
    other.transact("OK", "STORE 3 +FLAGS (\\Draft)").await;
    server.mailbox.remove("INBOX", &[1]);
    imap.transact("NO [MODIFIED 3]", &format!("STORE 1:3 (UNCHANGEDSINCE {}) +FLAGS (\\Seen)", modseq(&lines[0])))
        .await;
}

/// A client that trusts the highest MODSEQ it saw must lose nothing that is held back.
#[tokio::test]
async fn no_modseq_above_what_is_held_back() {
    let (server, mut imap) = three().await;
    imap.transact("OK", "ENABLE CONDSTORE").await;
    let known = server.mailbox.view("INBOX").highest_modseq.0;
    server.mailbox.remove("INBOX", &[1]);
    let lines = imap.transact("OK", "STORE 2 +FLAGS (\\Seen)").await;
    assert_eq!(modseq(one(&lines, "* 2 FETCH")), known);
    let lines = imap.transact("OK", "FETCH 2 (MODSEQ)").await;
    assert_eq!(modseq(one(&lines, "* 2 FETCH")), known);
    imap.transact("OK", "NOOP").await;
    let lines = imap.transact("OK", "FETCH 1 (MODSEQ)").await;
    assert_eq!(modseq(one(&lines, "* 1 FETCH")), server.mailbox.view("INBOX").highest_modseq.0);
}

/// New mail is told behind an EXPUNGE that is held back, with a MODSEQ below its own: who knows it may change it.
#[tokio::test]
async fn what_was_told_behind_a_held_expunge_can_be_changed() {
    let (server, mut imap) = three().await;
    let mut other = server.inbox().await;
    imap.transact("OK", "ENABLE CONDSTORE").await;
    server.mailbox.remove("INBOX", &[1]);
    server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
    let lines = imap.transact("OK", "FETCH 2 (MODSEQ)").await;
    one(&lines, "* 4 EXISTS");
    let lines = imap.transact("OK", "FETCH 4 (UID MODSEQ)").await;
    let known = modseq(one(&lines, "* 4 FETCH (UID 4 MODSEQ ("));
    assert!(known < server.mailbox.view("INBOX").highest_modseq.0, "nothing above what is held back");
    let change = format!("STORE 4 (UNCHANGEDSINCE {known}) +FLAGS (\\Seen)");
    let lines = imap.transact("OK Done", &change).await;
    assert_eq!(modseq(one(&lines, "* 4 FETCH (FLAGS (\\Seen) MODSEQ (")), known);
    // Its own change does not stand in its way either; what somebody else did since does.
    imap.transact("OK Done", &format!("STORE 4 (UNCHANGEDSINCE {known}) +FLAGS (\\Flagged)")).await;
    other.transact("OK", "UID STORE 4 +FLAGS (\\Answered)").await;
    let lines = imap.transact("OK [MODIFIED 4]", &format!("STORE 4 (UNCHANGEDSINCE {known}) -FLAGS (\\Seen)")).await;
    one(&lines, "* 4 FETCH (FLAGS (\\Answered \\Flagged \\Seen) MODSEQ (");
    imap.transact("OK [MODIFIED 4]", &format!("STORE 4 (UNCHANGEDSINCE {}) -FLAGS (\\Seen)", known - 1)).await;
}
