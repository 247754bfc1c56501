//! IMAP4rev2 (RFC 9051) and UTF8=ACCEPT (RFC 6855): what changes once they are enabled.

use crate::support::{Server, one, with};

#[tokio::test]
async fn nothing_changes_before() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: x\n\n");
    let mut imap = server.login().await;
    let lines = imap.transact("OK", "SELECT INBOX").await;
    one(&lines, "* 0 RECENT");
    one(&lines, "[UNSEEN 1]");
    assert!(with(&lines, "* LIST").is_empty());
    one(&imap.transact("OK", "SEARCH ALL").await, "* SEARCH 1");
    imap.transact("OK", "CREATE R&-D").await;
    one(&imap.transact("OK", "LIST \"\" R*").await, "\"R&-D\"");
}

#[tokio::test]
async fn rev2() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: x\n\n");
    let mut imap = server.login().await;
    let lines = imap.transact("OK", "CAPABILITY").await;
    assert!(one(&lines, "* CAPABILITY").contains("IMAP4rev1 IMAP4rev2 "), "{lines:?}");
    assert_eq!(imap.transact("OK", "ENABLE IMAP4rev2").await[0], "* ENABLED IMAP4rev2");
    let lines = imap.transact("OK", "SELECT inbox").await;
    assert!(with(&lines, "RECENT").is_empty() && with(&lines, "UNSEEN").is_empty(), "{lines:?}");
    one(&lines, "* LIST (\\HasNoChildren) \"/\" \"INBOX\"");
    let lines = imap.transact("OK", "SELECT Sent").await;
    one(&lines, "* OK [CLOSED]");
    one(&lines, "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"");
    imap.transact("OK", "SELECT INBOX").await;
    let lines = imap.transact("OK", "SEARCH ALL").await;
    assert!(with(&lines, "* SEARCH").is_empty());
    assert!(one(&lines, "* ESEARCH (TAG ").ends_with(" ALL 1"));
    one(&imap.transact("OK", "STATUS INBOX (DELETED SIZE)").await, "(DELETED 0 SIZE 14)");
    for command in ["NAMESPACE", "UNSELECT", "SEARCH CHARSET UTF-8 SUBJECT x"] {
        if command.starts_with("SEARCH") {
            imap.transact("OK", "SELECT INBOX").await;
        }
        imap.transact("OK", command).await;
    }
}

#[tokio::test]
async fn names_in_utf8() {
    for enable in ["IMAP4rev2", "UTF8=ACCEPT"] {
        let server = Server::start().await;
        let mut imap = server.login().await;
        imap.transact("OK", "CREATE &AMk-l&AOk-ments").await;
        assert_eq!(imap.transact("OK", &format!("ENABLE {enable}")).await[0], format!("* ENABLED {enable}"));
        one(&imap.transact("OK", "LIST \"\" \"É*\"").await, "\"Éléments\"");
        one(&imap.transact("OK", "STATUS \"Éléments\" (MESSAGES)").await, "* STATUS \"Éléments\" (MESSAGES 0)");
        imap.transact("OK", "SELECT \"Éléments\"").await;
        // An ampersand is an ampersand now.
        imap.transact("OK", "CREATE \"R&D &AOk-\"").await;
        one(&imap.transact("OK", "LIST \"\" R*").await, "\"R&D &AOk-\"");
        one(&imap.transact("OK", "LSUB \"\" R*").await, "\"R&D &AOk-\"");
        imap.transact("OK", "RENAME \"R&D &AOk-\" \"Reçu \\\"2\\\"\"").await;
        one(&imap.transact("OK", "LIST \"\" R*").await, "\"Reçu \\\"2\\\"\"");
        // What is not UTF-8 is no name.
        imap.raw(b"x CREATE \"\xff\"\r\n").await;
        imap.answer("x", "NO").await;
    }
}

#[tokio::test]
async fn a_charset_with_utf8_is_a_contradiction() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE UTF8=ACCEPT").await;
    imap.transact("OK", "SELECT INBOX").await;
    imap.transact("BAD", "SEARCH CHARSET UTF-8 ALL").await;
    imap.transact("OK", "SEARCH SUBJECT \"é\"").await;
}

#[tokio::test]
async fn append_in_utf8() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.transact("OK", "ENABLE UTF8=ACCEPT").await;
    let message = "Subject: été\r\n\r\nbody\r\n";
    let len = message.len();
    imap.transact("OK [APPENDUID ", &format!("APPEND INBOX (\\Seen) UTF8 (~{{{len}+}}\r\n{message})")).await;
    imap.transact("OK", "SELECT INBOX").await;
    let lines = imap.transact("OK", "FETCH 1 (FLAGS BODY.PEEK[])").await;
    assert!(lines[0].ends_with(&format!("{{{len}}}\r\n{message})")), "{lines:?}");
    imap.transact("BAD", &format!("APPEND INBOX UTF8 (~{{{len}+}}\r\n{message}")).await;
    imap.transact("OK", "NOOP").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
}
