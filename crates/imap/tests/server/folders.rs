//! CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB, STATUS, SELECT, NAMESPACE, ENABLE, ID.

use crate::support::{Server, one, with};

#[tokio::test]
async fn life_of_a_folder() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "CREATE Patients/2026").await;
    imap.transact("NO [ALREADYEXISTS]", "CREATE Patients/2026").await;
    imap.transact("NO [CANNOT]", "CREATE \"a//b\"").await;
    imap.transact("OK", "CREATE &AMk-t&AOk- (USE (\\Archive))").await;
    imap.transact("NO [USEATTR]", "CREATE All (USE (\\All))").await;
    let lines = imap.transact("OK", "LIST \"\" *").await;
    assert!(one(&lines, "\"&AMk-t&AOk-\"").contains("\\Archive"));
    imap.transact("OK", "RENAME Patients/2026 Patients/2027").await;
    imap.transact("NO [NONEXISTENT]", "RENAME Patients/2026 Other").await;
    imap.transact("NO [CANNOT]", "RENAME Patients/2027 Patients/2027/old").await;
    imap.transact("NO [NONEXISTENT]", "SELECT Patients/2026").await;
    imap.transact("OK", "SELECT Patients/2027").await;
    imap.transact("OK", "DELETE Patients/2027").await;
    imap.transact("NO [NONEXISTENT]", "DELETE Patients/2027").await;
    imap.transact("NO [CANNOT]", "DELETE INBOX").await;
}

#[tokio::test]
async fn list_patterns_and_options() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    for folder in ["a/b/c", "x"] {
        imap.transact("OK", &format!("CREATE {folder}")).await;
    }
    imap.transact("OK", "UNSUBSCRIBE x").await;

    let lines = imap.transact("OK", "LIST \"\" \"\"").await;
    assert_eq!(lines[0], r#"* LIST (\Noselect) "/" """#);
    let lines = imap.transact("OK", "LIST \"\" %").await;
    assert_eq!(with(&lines, "* LIST").len(), 4, "{lines:?}");
    assert_eq!(one(&lines, "\"a\""), r#"* LIST (\Noselect \HasChildren) "/" "a""#);
    assert_eq!(one(&lines, "Sent"), r#"* LIST (\HasNoChildren \Sent) "/" "Sent""#);
    let lines = imap.transact("OK", "LIST a/ %").await;
    assert_eq!(lines[0], r#"* LIST (\Noselect \HasChildren) "/" "a/b""#);
    let lines = imap.transact("OK", "LIST \"\" inbox").await;
    assert_eq!(lines[0], r#"* LIST (\HasNoChildren) "/" "INBOX""#);
    assert_eq!(imap.transact("OK", "LIST \"\" nothing").await.len(), 1);

    let lines = imap.transact("OK", "LIST (SUBSCRIBED) \"\" *").await;
    assert!(with(&lines, "\"x\"").is_empty());
    assert_eq!(one(&lines, "a/b/c"), r#"* LIST (\HasNoChildren \Subscribed) "/" "a/b/c""#);
    let lines = imap.transact("OK", "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await;
    assert_eq!(one(&lines, "\"a\""), r#"* LIST (\NonExistent \HasChildren) "/" "a" ("CHILDINFO" ("SUBSCRIBED"))"#);
    imap.transact("BAD", "LIST (RECURSIVEMATCH) \"\" *").await;
    let lines = imap.transact("OK", "LIST (SPECIAL-USE) \"\" *").await;
    assert_eq!(with(&lines, "* LIST").len(), 1);
    let lines = imap.transact("OK", "LIST \"\" (INBOX \"x\") RETURN (SUBSCRIBED CHILDREN)").await;
    assert_eq!(with(&lines, "* LIST").len(), 2);
    assert!(one(&lines, "INBOX").contains("\\Subscribed"));
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    let lines = imap.transact("OK", "LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN))").await;
    assert_eq!(one(&lines, "* STATUS \"INBOX\""), "* STATUS \"INBOX\" (MESSAGES 1 UNSEEN 1)");
    assert!(with(&lines, "* STATUS \"a\"").is_empty());

    let lines = imap.transact("OK", "LSUB \"\" *").await;
    assert_eq!(with(&lines, "* LSUB").len(), 3, "{lines:?}");
    let lines = imap.transact("OK", "LSUB \"\" %").await;
    assert_eq!(one(&lines, "\"a\""), r#"* LSUB (\Noselect) "/" "a""#);
}

#[tokio::test]
async fn select_tells_the_folder() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    server.mailbox.deliver("INBOX", "Subject: two\n\nbody\n");
    let mut imap = server.login().await;
    imap.transact("BAD", "FETCH 1 (FLAGS)").await;
    imap.transact("NO [NONEXISTENT]", "SELECT Nothing").await;
    let lines = imap.transact("OK [READ-WRITE]", "SELECT inbox").await;
    for wanted in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)]",
        "* 2 EXISTS",
        "* 0 RECENT",
        "* OK [UNSEEN 1]",
        "* OK [UIDVALIDITY 100]",
        "* OK [UIDNEXT 3]",
    ] {
        one(&lines, wanted);
    }
    let lines = imap.transact("OK [READ-ONLY]", "EXAMINE INBOX").await;
    one(&lines, "* OK [CLOSED]");
    one(&lines, "[PERMANENTFLAGS ()]");
    for command in ["STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "MOVE 1 Sent"] {
        imap.transact("NO", command).await;
    }
    imap.transact("OK", "FETCH 1 BODY[]").await;
    assert_eq!(server.mailbox.view("INBOX").unseen(), 2, "EXAMINE changes nothing");
    // A SELECT that fails leaves no folder selected.
    imap.transact("NO", "SELECT Nothing").await;
    imap.transact("BAD", "FETCH 1 (FLAGS)").await;
    imap.transact("OK", "SELECT INBOX").await;
    imap.transact("OK", "UNSELECT").await;
    imap.transact("BAD", "CHECK").await;
}

#[tokio::test]
async fn status_and_the_small_ones() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    let mut imap = server.login().await;
    let lines = imap.transact("OK", "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE APPENDLIMIT)").await;
    assert_eq!(
        lines[0],
        "* STATUS \"INBOX\" (MESSAGES 1 RECENT 0 UIDNEXT 2 UIDVALIDITY 100 UNSEEN 1 SIZE 22 APPENDLIMIT 31457280)"
    );
    imap.transact("NO [NONEXISTENT]", "STATUS Nothing (MESSAGES)").await;
    assert_eq!(imap.transact("OK", "NAMESPACE").await[0], r#"* NAMESPACE (("" "/")) NIL NIL"#);
    assert_eq!(imap.transact("OK", "ENABLE X-UNKNOWN").await[0], "* ENABLED");
    one(&imap.transact("OK", "ID (\"name\" \"test\")").await, "* ID (\"name\" \"Vaguemestre\"");
}
