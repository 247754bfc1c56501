//! NOTIFY (RFC 5465): told between commands, in other folders too.

use crate::support::{Client, Server, one, with};

async fn start() -> (Server, Client) {
    let server = Server::start().await;
    for n in 1..=3 {
        server.mailbox.deliver("INBOX", &format!("Subject: {n}\n\nbody {n}\n"));
    }
    let imap = server.inbox().await;
    (server, imap)
}

#[tokio::test]
async fn what_is_refused() {
    let (_server, mut imap) = start().await;
    assert!(one(&imap.transact("OK", "CAPABILITY").await, "* CAPABILITY").contains(" NOTIFY"));
    imap.transact("NO [BADEVENT (MessageNew ", "NOTIFY SET (personal (AnnotationChange))").await;
    imap.transact("NO [BADEVENT (", "NOTIFY SET (personal (ServerMetadataChange MailboxName))").await;
    imap.transact("BAD", "NOTIFY SET (selected (MessageNew))").await;
    imap.transact("OK", "NOTIFY NONE").await;
}

#[tokio::test]
async fn the_open_folder_without_a_command() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (selected (MessageNew (UID BODY.PEEK[TEXT]) MessageExpunge FlagChange))").await;
    server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
    assert_eq!(imap.line().await, "* 4 EXISTS");
    assert_eq!(imap.line().await, "* 4 FETCH (UID 4 BODY[TEXT] {5}\r\nnew\r\n)");
    server.mailbox.remove("INBOX", &[2]);
    assert_eq!(imap.line().await, "* 2 EXPUNGE");
    let mut other = server.inbox().await;
    other.transact("OK", "STORE 1 +FLAGS (\\Flagged)").await;
    assert_eq!(imap.line().await, "* 1 FETCH (FLAGS (\\Flagged))");
    // And within IDLE.
    let tag = imap.send("IDLE").await;
    assert!(imap.line().await.starts_with("+ "));
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    assert_eq!(imap.line().await, "* 4 EXISTS");
    assert!(imap.line().await.starts_with("* 4 FETCH (UID 5 BODY[TEXT]"));
    imap.raw("DONE\r\n").await;
    imap.answer(&tag, "OK").await;
}

#[tokio::test]
async fn expunges_may_be_delayed() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))").await;
    let mut other = server.inbox().await;
    server.mailbox.remove("INBOX", &[1]);
    other.transact("OK", "NOOP").await;
    other.transact("OK", "UID STORE 3 +FLAGS (\\Flagged)").await;
    // Under the number it still has.
    assert_eq!(imap.line().await, "* 3 FETCH (FLAGS (\\Flagged))");
    assert_eq!(with(&imap.transact("OK", "NOOP").await, "EXPUNGE"), ["* 1 EXPUNGE"]);
}

#[tokio::test]
async fn other_folders() {
    let (server, mut imap) = start().await;
    let set = "NOTIFY SET STATUS (mailboxes (Sent) (MessageNew MessageExpunge FlagChange)) \
               (personal (MailboxName SubscriptionChange))";
    let lines = imap.transact("OK", set).await;
    assert!(
        one(&lines, "* STATUS \"Sent\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 101 UNSEEN 0 HIGHESTMODSEQ ").ends_with(')')
    );
    assert_eq!(with(&lines, "STATUS").len(), 1);
    server.mailbox.deliver("Sent", "Subject: 1\n\nnew\n");
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 101 UNSEEN 1 "));
    let mut other = server.login().await;
    other.transact("OK", "SELECT Sent").await;
    other.transact("OK", "STORE 1 +FLAGS (\\Seen)").await;
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 101 UNSEEN 0 "));
    server.mailbox.remove("Sent", &[1]);
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 0 "));
    other.transact("OK", "CREATE &AOk-t&AOk-").await;
    assert_eq!(imap.line().await, "* LIST (\\Subscribed) \"/\" \"&AOk-t&AOk-\"");
    other.transact("OK", "RENAME &AOk-t&AOk- New").await;
    assert_eq!(imap.line().await, "* LIST (\\Subscribed) \"/\" \"New\" (\"OLDNAME\" (\"&AOk-t&AOk-\"))");
    other.transact("OK", "UNSUBSCRIBE New").await;
    assert_eq!(imap.line().await, "* LIST () \"/\" \"New\"");
    other.transact("OK", "DELETE New").await;
    assert_eq!(imap.line().await, "* LIST (\\NonExistent) \"/\" \"New\"");
    // Nobody asked about INBOX; after NONE, nobody asked about anything.
    server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
    imap.transact("OK", "NOTIFY NONE").await;
    server.mailbox.deliver("Sent", "Subject: 2\n\nnew\n");
    assert!(with(&imap.transact("OK", "NOOP").await, "STATUS").is_empty());
}

/// The first group that fits counts.
#[tokio::test]
async fn groups_in_their_order() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (subtree Sent NONE) (personal (MessageNew MessageExpunge MailboxName))").await;
    let mut other = server.login().await;
    other.transact("OK", "CREATE Sent/2026").await;
    server.mailbox.deliver("Sent", "Subject: 1\n\nnew\n");
    other.transact("OK", "CREATE Else").await;
    assert!(imap.line().await.starts_with("* LIST (\\Subscribed) \"/\" \"Else\""));
}

#[tokio::test]
async fn too_many_folders() {
    let (server, mut imap) = start().await;
    let mut other = server.login().await;
    for n in 0..260 {
        other.transact("OK", &format!("CREATE f{n}")).await;
    }
    imap.transact("NO [NOTIFICATIONOVERFLOW]", "NOTIFY SET (personal (MessageNew MessageExpunge))").await;
    imap.transact("OK", "NOTIFY SET (inboxes (MessageNew MessageExpunge))").await;
}

/// A right that was taken away takes away what is told (RFC 4314 §4, RFC 5465 §5).
#[tokio::test]
async fn what_may_no_longer_be_read_is_not_told() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (mailboxes (Sent) (MessageNew MessageExpunge)) (personal (MailboxName))").await;
    server.mailbox.deliver("Sent", "Subject: 1\n\nnew\n");
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 1 "));
    server.mailbox.shared.allow("Sent", "l");
    server.mailbox.deliver("Sent", "Subject: 2\n\nnew\n");
    // The folder made after it is told of, and nothing was before it.
    server.login().await.transact("OK", "CREATE After").await;
    let line = loop {
        let line = imap.line().await;
        if !line.starts_with("* LIST (\\Subscribed) \"/\" \"Sent\"") {
            break line;
        }
    };
    assert!(line.ends_with("\"After\""), "{line}");
}
