//! BDAT (RFC 3030).

use smtp::Role;

use crate::recorder::Server;
use crate::talk::Talk;

async fn mx() -> (Server, Talk) {
    let server = Server::start(Role::Mx, |config| config.max_size = 1000).await;
    let talk = Talk::secure(server.address, Some("peer")).await;
    (server, talk)
}

#[tokio::test]
async fn chunks_make_a_message() {
    let (server, mut talk) = mx().await;
    talk.envelope().await;
    // A dot alone is text, a line end may be cut, and a group may be pipelined.
    talk.send("BDAT 4\r\na\r\n.BDAT 0\r\nBDAT 3\r\n\r\nbBDAT 1 LAST\r\ncRSET\r\n").await;
    for code in ["250 2.0.0 4 octets", "250", "250", "250 2.0.0 Ok: queued", "250 2.0.0 Flushed"] {
        talk.expect(code).await;
    }
    talk.envelope().await;
    talk.send("BDAT 3\r\nx\r\n").await;
    talk.expect("250").await;
    talk.transact("250", "BDAT 0 LAST").await;
    let bodies: Vec<_> = server.recorder.messages().into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, [b"a\r\n.\r\nbc\r\n".to_vec(), b"x\r\n".to_vec()]);
}

#[tokio::test]
async fn out_of_place_its_octets_are_not_commands() {
    let (server, mut talk) = mx().await;
    talk.send("BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n").await;
    talk.expect("503").await;
    talk.expect("250").await;
    talk.transact("250", "MAIL FROM:<a@alpha.mssante.fr>").await;
    talk.send("BDAT 6 LAST\r\nNOOP\r\n").await;
    talk.expect("503").await;
    talk.transact("250", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.send("BDAT 2\r\nab").await;
    talk.expect("250").await;
    // Neither DATA, nor MAIL, nor RCPT once chunks have begun.
    for line in ["DATA", "MAIL FROM:<a@b.fr>", "RCPT TO:<b@b.fr>"] {
        talk.transact("503", line).await;
    }
    talk.send("BDAT 2 LAST\r\ncd").await;
    talk.expect("250").await;
    // RSET drops what had come.
    talk.envelope().await;
    talk.send("BDAT 2\r\nab").await;
    talk.expect("250").await;
    talk.transact("250", "RSET").await;
    talk.send("BDAT 2 LAST\r\nab").await;
    talk.expect("503").await;
    assert_eq!(server.recorder.messages().len(), 1);
    assert_eq!(server.recorder.messages()[0].body, b"abcd\r\n");
}

#[tokio::test]
async fn size_and_line_ends_are_checked() {
    let (server, mut talk) = mx().await;
    talk.envelope().await;
    talk.send(format!("BDAT 900\r\n{}", "12345678\r\n".repeat(90))).await;
    talk.expect("250").await;
    talk.send(format!("BDAT 200\r\n{}BDAT 1 LAST\r\nx", "12345678\r\n".repeat(20))).await;
    talk.expect("552 5.3.4").await;
    talk.expect("503").await;
    // OPE-09: what would be smuggled into the next hop's DATA.
    for text in ["a\n.\nb", "a\r.\rb", "a\n.\r\n", "a\r", "\n"] {
        talk.envelope().await;
        talk.send(format!("BDAT {} LAST\r\n{text}", text.len())).await;
        talk.expect("554 5.6.0").await;
    }
    talk.transact("250", "MAIL FROM:<full@alpha.mssante.fr>").await;
    talk.transact("250", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.send("BDAT 2\r\nabBDAT 2 LAST\r\ncd").await;
    talk.expect("452 4.3.1").await;
    talk.expect("503").await;
    talk.envelope().await;
    talk.transact("552 5.3.4", "BDAT 100000000").await;
    talk.expect("421").await;
    talk.closed().await;
    assert!(server.recorder.messages().is_empty());
}
