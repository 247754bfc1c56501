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
    let every = "NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                 MailboxMetadataChange ServerMetadataChange)]";
    imap.transact(every, "NOTIFY SET (personal (X-Nothing MailboxName))").await;
    imap.transact("BAD", "NOTIFY SET (selected NONE) (selected-delayed NONE)").await;
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
    assert_eq!(imap.line().await, "* 1 FETCH (UID 1 FLAGS (\\Flagged))");
    // While a command comes in parts, too; when it is no longer asked for, at the command, and without the UID.
    for (set, told) in [(None, "* 1 FETCH (UID 1 FLAGS ())"), (Some("NOTIFY NONE"), "* 1 FETCH (FLAGS ())")] {
        if let Some(set) = set {
            imap.transact("OK", set).await;
            other.transact("OK", "STORE 1 +FLAGS (\\Flagged)").await;
            imap.transact("OK", "NOOP").await;
        }
        let tag = imap.send("SEARCH SUBJECT {1}").await;
        assert!(imap.line().await.starts_with("+ "));
        other.transact("OK", "STORE 1 -FLAGS (\\Flagged)").await;
        imap.raw("3\r\n").await;
        assert_eq!(imap.answer(&tag, "OK").await[..2], [told, "* SEARCH 2"], "{set:?}");
    }
    imap.transact("OK", "NOTIFY SET (selected (MessageNew (UID BODY.PEEK[TEXT]) MessageExpunge FlagChange))").await;
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
    imap.transact("OK", "NOTIFY SET (selected-delayed (MessageNew (UID) MessageExpunge FlagChange))").await;
    let mut other = server.inbox().await;
    server.mailbox.remove("INBOX", &[1]);
    other.transact("OK", "NOOP").await;
    other.transact("OK", "UID STORE 3 +FLAGS (\\Flagged)").await;
    // Under the number it still has.
    assert_eq!(imap.line().await, "* 3 FETCH (UID 3 FLAGS (\\Flagged))");
    // Only the EXPUNGE waits (RFC 5465 §6.1.2): new mail is told, after all that the client knows.
    server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
    assert_eq!(imap.line().await, "* 4 EXISTS");
    assert_eq!(imap.line().await, "* 4 FETCH (UID 4)");
    let lines = imap.transact("OK", "NOOP").await;
    assert_eq!(&lines[..lines.len() - 1], ["* 1 EXPUNGE"]);
    assert_eq!(imap.transact("OK", "FETCH 3 (UID)").await[0], "* 3 FETCH (UID 4)");
}

/// What is held back makes no flags told that nobody asked for; who did not ask for the delay is told at once.
#[tokio::test]
async fn held_expunges_and_flags_not_asked_for() {
    let (server, mut imap) = start().await;
    let mut other = server.inbox().await;
    imap.transact("OK", "NOTIFY SET (selected-delayed (MessageNew (UID) MessageExpunge))").await;
    server.mailbox.remove("INBOX", &[1]);
    assert!(with(&imap.transact("OK", "FETCH 2 (UID)").await, "EXPUNGE").is_empty());
    other.transact("OK", "UID STORE 3 +FLAGS (\\Flagged)").await;
    other.transact("OK", "UID STORE 3 -FLAGS (\\Flagged)").await;
    server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
    assert_eq!([imap.line().await, imap.line().await], ["* 4 EXISTS", "* 4 FETCH (UID 4)"]);
    let lines = imap.transact("OK", "NOTIFY SET (selected (MessageNew (UID) MessageExpunge))").await;
    one(&lines, "* 1 EXPUNGE");
    server.mailbox.remove("INBOX", &[2]);
    assert_eq!(imap.line().await, "* 1 EXPUNGE");
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
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"&AOk-t&AOk-\"");
    other.transact("OK", "RENAME &AOk-t&AOk- New").await;
    assert_eq!(
        imap.line().await,
        "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"New\" (\"OLDNAME\" (\"&AOk-t&AOk-\"))"
    );
    other.transact("OK", "UNSUBSCRIBE New").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren) \"/\" \"New\"");
    other.transact("OK", "DELETE New").await;
    assert_eq!(imap.line().await, "* LIST (\\NonExistent \\HasNoChildren) \"/\" \"New\"");
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
    // The one above is not asked about, though something was made under it.
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Else\"");
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

/// A right that was taken away takes away what is told (RFC 4314 §4, RFC 5465 §5.9), and given back it brings it back.
#[tokio::test]
async fn what_may_no_longer_be_read_is_not_told() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (mailboxes (Sent) (MessageNew MessageExpunge)) (personal (MailboxName))").await;
    server.mailbox.deliver("Sent", "Subject: 1\n\nnew\n");
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 1 "));
    server.mailbox.shared.allow("Sent", "l");
    server.mailbox.deliver("Sent", "Subject: 2\n\nnew\n");
    assert_eq!(imap.line().await, "* LIST (\\NoAccess \\HasNoChildren \\Subscribed \\Sent) \"/\" \"Sent\"");
    server.mailbox.deliver("Sent", "Subject: 3\n\nnew\n");
    server.login().await.transact("OK", "CREATE After").await;
    assert!(imap.line().await.ends_with("\"After\""), "and nothing of Sent before it");
    server.mailbox.shared.allow("Sent", "lr");
    server.mailbox.deliver("Sent", "Subject: 4\n\nnew\n");
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed \\Sent) \"/\" \"Sent\"");
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 4 "), "what came meanwhile");
    server.mailbox.deliver("Sent", "Subject: 5\n\nnew\n");
    assert!(imap.line().await.starts_with("* STATUS \"Sent\" (MESSAGES 5 "));
    // Whoever may not even list it is told as if it were gone.
    server.mailbox.shared.allow("Sent", "");
    imap.transact("OK", "NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))").await;
    server.mailbox.shared.allow("Sent", "l");
    server.mailbox.deliver("Sent", "Subject: 6\n\nnew\n");
    assert!(imap.line().await.ends_with("\"Sent\""));
    // What cannot be read is named when it is asked for (§3.1).
    let lines = imap.transact("OK", "NOTIFY SET (mailboxes (Sent INBOX) (MessageNew MessageExpunge))").await;
    assert_eq!(with(&lines, "LIST"), ["* LIST (\\NoAccess \\HasNoChildren \\Subscribed \\Sent) \"/\" \"Sent\""]);
}

/// RFC 5465 §5.4: the name above is concerned too, and what is renamed with a folder is not told by itself.
#[tokio::test]
async fn names_above_and_below() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (personal (MailboxName))").await;
    let mut other = server.login().await;
    other.transact("OK", "CREATE a").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a\"");
    other.transact("OK", "CREATE a/b").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a/b\"");
    assert_eq!(imap.line().await, "* LIST (\\HasChildren \\Subscribed) \"/\" \"a\"");
    // No folder has the name above.
    other.transact("OK", "CREATE none/b").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"none/b\"");
    assert_eq!(imap.line().await, "* LIST (\\NonExistent \\HasChildren) \"/\" \"none\"");
    other.transact("OK", "DELETE a/b").await;
    assert_eq!(imap.line().await, "* LIST (\\NonExistent \\HasNoChildren) \"/\" \"a/b\"");
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a\"");
    other.transact("OK", "CREATE a/b").await;
    assert!(imap.line().await.ends_with("\"a/b\""));
    assert!(imap.line().await.ends_with("\"a\""));
    other.transact("OK", "RENAME a z").await;
    assert_eq!(imap.line().await, "* LIST (\\HasChildren \\Subscribed) \"/\" \"z\" (\"OLDNAME\" (\"a\"))");
    other.transact("OK", "CREATE last").await;
    assert!(imap.line().await.ends_with("\"last\""), "nothing of z/b between");
}

/// RFC 5465 §5: the session is not told of what it did itself, and of what others did all the same.
#[tokio::test]
async fn nothing_of_ones_own() {
    let (server, mut imap) = start().await;
    let set = "NOTIFY SET (selected (MessageNew (UID) MessageExpunge)) \
               (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))";
    imap.transact("OK", set).await;
    let mut other = server.login().await;
    for command in [
        "CREATE a",
        "CREATE a/b/c",
        "RENAME a/b/c d",
        "UNSUBSCRIBE d",
        "SUBSCRIBE d",
        "DELETE d",
        "SETMETADATA INBOX (/private/comment \"mine\")",
        "SETMETADATA \"\" (/shared/comment \"mine\")",
    ] {
        let lines = imap.transact("OK", command).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        // A look is over before the next command: nothing of it comes later either.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        assert_eq!(imap.transact("OK", "NOOP").await.len(), 1, "{command}");
    }
    // What others made of it at once is told.
    imap.transact("OK", "SUBSCRIBE a").await;
    other.transact("OK", "UNSUBSCRIBE a").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren) \"/\" \"a\"");
    imap.transact("OK", "SETMETADATA INBOX (/private/comment \"again\")").await;
    other.transact("OK", "SETMETADATA INBOX (/private/comment \"theirs\")").await;
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /private/comment");
    // In the folder that is open the message is there, and is not fetched; another's is.
    let lines = imap.transact("OK", "APPEND INBOX {10+}\r\nA: b\r\n\r\nx\r").await;
    assert_eq!(with(&lines, "* "), ["* 4 EXISTS"]);
    let lines = imap.transact("OK", "UID COPY 1:2 INBOX").await;
    assert_eq!(with(&lines, "* "), ["* 6 EXISTS"]);
    server.mailbox.deliver("INBOX", "Subject: 5\n\nnew\n");
    assert_eq!(imap.line().await, "* 7 EXISTS");
    assert_eq!(imap.line().await, "* 7 FETCH (UID 7)");
    other.transact("OK", "CREATE theirs").await;
    assert!(imap.line().await.ends_with("\"theirs\""));
    other.transact("OK", "DELETE a").await;
    assert!(imap.line().await.ends_with("\"a\""), "what one made and another deletes");
}

/// RFC 5465 §5.6, §5.7: REQUIRED beside METADATA.
#[tokio::test]
async fn annotations() {
    let (server, mut imap) = start().await;
    let mut other = server.login().await;
    other.transact("OK", "SETMETADATA INBOX (/shared/comment \"before\")").await;
    imap.transact("OK", "NOTIFY SET (inboxes (MailboxMetadataChange)) (personal (ServerMetadataChange))").await;
    other.transact("OK", "SETMETADATA INBOX (/shared/comment \"new\" /private/vendor/x \"1\")").await;
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /private/vendor/x /shared/comment");
    other.transact("OK", "SETMETADATA INBOX (/private/vendor/x NIL)").await;
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /private/vendor/x", "what was removed");
    other.transact("OK", "SETMETADATA \"\" (/shared/comment \"of all\")").await;
    assert_eq!(imap.line().await, "* METADATA \"\" /shared/comment");
    // The same value, and a folder nobody asked about: nothing to tell before what comes after.
    other.transact("OK", "SETMETADATA INBOX (/shared/comment \"new\")").await;
    other.transact("OK", "SETMETADATA Sent (/shared/comment \"x\")").await;
    other.transact("OK", "SETMETADATA INBOX (/shared/last \"x\")").await;
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /shared/last");
    // Within IDLE too.
    let tag = imap.send("IDLE").await;
    assert!(imap.line().await.starts_with("+ "));
    other.transact("OK", "SETMETADATA INBOX (/shared/last NIL)").await;
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /shared/last");
    imap.raw("DONE\r\n").await;
    imap.answer(&tag, "OK").await;
    imap.transact("OK", "NOTIFY SET (personal (MailboxName))").await;
    other.transact("OK", "SETMETADATA INBOX (/shared/comment NIL)").await;
    other.transact("OK", "CREATE last").await;
    assert!(imap.line().await.ends_with("\"last\""), "annotations are no longer asked for");
}

/// RFC 5465 §4, §5.1: in IDLE the same as between commands.
#[tokio::test]
async fn idle_tells_what_was_asked_for() {
    let (server, mut imap) = start().await;
    let mut other = server.inbox().await;
    for (set, flag, told) in [
        ("NOTIFY SET (personal (MailboxName))", "\\Flagged", &[][..]),
        ("NOTIFY NONE", "\\Answered", &[]),
        ("NOTIFY SET (selected (MessageNew MessageExpunge))", "\\Draft", &["EXISTS"]),
        ("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))", "\\Seen", &["FETCH", "EXISTS"]),
    ] {
        imap.transact("OK", set).await;
        let tag = imap.send("IDLE").await;
        assert!(imap.line().await.starts_with("+ "));
        other.transact("OK", &format!("STORE 1 FLAGS ({flag})")).await;
        let quiet = std::time::Duration::from_millis(300);
        if told.contains(&"FETCH") {
            assert_eq!(imap.line().await, format!("* 1 FETCH (UID 1 FLAGS ({flag}))"));
        } else {
            tokio::time::timeout(quiet, imap.line()).await.expect_err("changed flags were not asked for");
        }
        server.mailbox.deliver("INBOX", "Subject: 4\n\nnew\n");
        if told.contains(&"EXISTS") {
            while !imap.line().await.ends_with("EXISTS") {}
        } else {
            tokio::time::timeout(quiet, imap.line()).await.expect_err("nothing of the open folder was asked for");
        }
        imap.raw("DONE\r\n").await;
        let after = imap.answer(&tag, "OK").await;
        if told.is_empty() {
            // At the end of a command everything is told, as ever.
            assert_eq!(with(&after, "EXISTS").len(), 1, "{set}: {after:?}");
        }
        imap.transact("OK", "NOOP").await;
    }
}

/// The folder that is open may be closed to the session by others: nothing that comes from then on is shown.
#[tokio::test]
async fn what_is_open_may_be_closed() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (selected (MessageNew (BODY.PEEK[TEXT]) MessageExpunge))").await;
    server.mailbox.shared.allow("INBOX", "l");
    server.mailbox.deliver("INBOX", "Subject: 4\n\nsecret\n");
    assert_eq!(imap.line().await, "* BYE The folder is no longer open to you");
}

/// New is what comes after it was asked for, and what the answer tells.
#[tokio::test]
async fn what_was_there_before_is_not_new() {
    let (server, mut imap) = start().await;
    server.mailbox.deliver("INBOX", "Subject: 4\n\nx\n");
    assert_eq!(with(&imap.transact("OK", "NOOP").await, "EXISTS").len(), 1);
    server.mailbox.deliver("INBOX", "Subject: 5\n\nx\n");
    let lines = imap.transact("OK", "NOTIFY SET (selected (MessageNew (UID) MessageExpunge))").await;
    assert_eq!(with(&lines, "* "), ["* 5 EXISTS", "* 5 FETCH (UID 5)"]);
    imap.transact("OK", "NOTIFY NONE").await;
    server.mailbox.deliver("INBOX", "Subject: 6\n\nx\n");
    imap.transact("OK", "NOOP").await;
    let lines = imap.transact("OK", "NOTIFY SET (selected (MessageNew (UID) MessageExpunge))").await;
    assert!(with(&lines, "* ").is_empty(), "{lines:?}");
}

/// What leaves the folders that were asked about is told too.
#[tokio::test]
async fn what_goes_where_nobody_asked() {
    let (server, mut imap) = start().await;
    let mut other = server.login().await;
    other.transact("OK", "CREATE a").await;
    imap.transact("OK", "NOTIFY SET (mailboxes (a) (MailboxName)) (subscribed (SubscriptionChange))").await;
    other.transact("OK", "UNSUBSCRIBE Sent").await;
    assert_eq!(imap.line().await, "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"");
    other.transact("OK", "RENAME a b").await;
    assert_eq!(imap.line().await, "* LIST (\\NonExistent \\HasNoChildren) \"/\" \"a\"");
}

/// Of the open folder nothing was asked for: what came there is told once it is not the open one.
#[tokio::test]
async fn the_open_folder_once_it_is_left() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "NOTIFY SET (personal (MessageNew MessageExpunge))").await;
    server.mailbox.deliver("INBOX", "Subject: 4\n\nx\n");
    let quiet = std::time::Duration::from_millis(300);
    tokio::time::timeout(quiet, imap.line()).await.expect_err("it was not asked for");
    let lines = imap.transact("OK", "SELECT Sent").await;
    let told = with(&lines, "* STATUS").first().map(|line| (*line).to_owned());
    let told = match told {
        Some(told) => told,
        None => imap.line().await,
    };
    assert!(told.starts_with("* STATUS \"INBOX\" (MESSAGES 4 "), "{told}");
}

/// Annotations of a folder that may not be read are not gone.
#[tokio::test]
async fn annotations_of_what_is_closed() {
    let (server, mut imap) = start().await;
    let mut other = server.login().await;
    other.transact("OK", "SETMETADATA Sent (/shared/a \"1\" /shared/b \"2\")").await;
    imap.transact("OK", "NOTIFY SET (mailboxes (INBOX Sent) (MailboxMetadataChange))").await;
    server.mailbox.shared.allow("Sent", "l");
    other.transact("OK", "SETMETADATA INBOX (/shared/x \"1\")").await;
    assert!(imap.line().await.starts_with("* LIST (\\NoAccess "));
    assert_eq!(imap.line().await, "* METADATA \"INBOX\" /shared/x");
    server.mailbox.shared.allow("Sent", "lr");
    other.transact("OK", "SETMETADATA Sent (/shared/b \"3\")").await;
    assert!(imap.line().await.ends_with("\"Sent\""));
    assert_eq!(imap.line().await, "* METADATA \"Sent\" /shared/b");
}
