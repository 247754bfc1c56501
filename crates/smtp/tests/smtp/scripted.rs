//! Our client against servers that misbehave. OPE-11, OPE-15 to OPE-18.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smtp::BodyType;
use smtp::client::{Client, ClientError, Delivery, RecipientResult, Settings, Stage};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::{envelope, settings};
use crate::pki;
use crate::talk::Talk;

/// A server for one connection, and what it heard.
async fn server<F, Fut>(script: F) -> (SocketAddr, JoinHandle<Fut::Output>)
where
    F: FnOnce(Talk) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("a connection");
        script(Talk::over(tcp)).await
    });
    (address, task)
}

async fn connect(address: SocketAddr) -> Result<Client, ClientError> {
    Client::connect(address, pki::HOST, &settings(Some("peer")), &|_| Ok(())).await
}

/// From the greeting to the second EHLO, which announces `keywords`.
async fn begin(talk: &mut Talk, keywords: &str) {
    talk.send("220-two\r\n220 lines\r\n").await;
    heard(talk, "EHLO").await;
    talk.send("250-x\r\n250 STARTTLS\r\n").await;
    heard(talk, "STARTTLS").await;
    talk.send("220 go\r\n").await;
    talk.accept(&pki::acceptor(true)).await;
    heard(talk, "EHLO").await;
    let mut lines: Vec<&str> = vec!["x"];
    lines.extend(keywords.split(',').filter(|k| !k.is_empty()));
    for (at, line) in lines.iter().enumerate() {
        talk.send(format!("250{}{line}\r\n", if at + 1 == lines.len() { ' ' } else { '-' })).await;
    }
}

async fn heard(talk: &mut Talk, begin: &str) -> String {
    let line = talk.line().await.unwrap_or_else(|| panic!("closed instead of {begin}"));
    assert!(line.starts_with(begin), "{begin} expected, heard {line}");
    line
}

/// Answers QUIT, and says what else was heard before the end.
async fn bye(talk: &mut Talk) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = talk.line().await {
        if line == "QUIT" {
            talk.send("221 bye\r\n").await;
        }
        lines.push(line);
    }
    lines
}

async fn hears_message(talk: &mut Talk) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match talk.line().await {
            Some(line) if line == "." => return lines,
            Some(line) => lines.push(line),
            None => panic!("closed in the message"),
        }
    }
}

async fn send(address: SocketAddr) -> Result<Delivery, ClientError> {
    let mut client = connect(address).await?;
    let delivery = client.send(&envelope("a@alpha.mssante.fr", &["b@b.fr", "c@b.fr"]), &mut &b"a\r\n.b"[..]).await;
    client.quit().await;
    delivery
}

#[tokio::test]
async fn a_plain_old_server_is_spoken_to_step_by_step() {
    let (address, task) = server(|mut talk| async move {
        begin(&mut talk, "").await;
        // No DSN, no SIZE, no 8BITMIME: no parameter.
        assert_eq!(heard(&mut talk, "MAIL").await, "MAIL FROM:<a@alpha.mssante.fr>");
        talk.send("250 ok\r\n").await;
        heard(&mut talk, "RCPT TO:<b@b.fr>").await;
        talk.send("550-5.1.1 no\r\n550 5.1.1 such\r\n").await;
        assert_eq!(heard(&mut talk, "RCPT").await, "RCPT TO:<c@b.fr>");
        talk.send("251 forwarded\r\n").await;
        heard(&mut talk, "DATA").await;
        talk.send("354 go\r\n").await;
        let text = hears_message(&mut talk).await;
        talk.send("250 done\r\n").await;
        heard(&mut talk, "QUIT").await;
        talk.send("221 bye\r\n").await;
        text
    })
    .await;
    let mut client = connect(address).await.expect("connected");
    let mut message = envelope("a@alpha.mssante.fr", &["b@b.fr", "c@b.fr"]);
    message.from.size = Some(5);
    message.from.envid = Some("e".parse().expect("xtext"));
    message.to[1].notify = Some("NEVER".parse().expect("valid"));
    let delivery = client.send(&message, &mut &b"a\r\n.b"[..]).await.expect("sent");
    client.quit().await;
    assert!(!delivery.dsn, "the relay owes the notice");
    assert_eq!(delivery.recipients[0].reply().to_string(), "550 5.1.1 no such");
    assert!(matches!(&delivery.recipients[1], RecipientResult::Accepted(reply) if reply.to_string() == "250 done"));
    assert_eq!(task.await.expect("no panic"), ["a", "..b"]);
}

// OPE-11
#[tokio::test]
async fn without_starttls_nothing_is_said() {
    let (address, task) = server(|mut talk| async move {
        talk.send("220 x\r\n").await;
        heard(&mut talk, "EHLO").await;
        talk.send("250-x\r\n250 SIZE\r\n").await;
        bye(&mut talk).await
    })
    .await;
    let error = send(address).await.expect_err("refused");
    assert!(matches!(error, ClientError::NoStartTls) && error.is_trust());
    assert_eq!(task.await.expect("no panic"), ["QUIT"]);
}

#[tokio::test]
async fn starttls_refused_is_the_end() {
    let (address, task) = server(|mut talk| async move {
        talk.send("220 x\r\n").await;
        heard(&mut talk, "EHLO").await;
        talk.send("250 STARTTLS\r\n").await;
        bye(&mut talk).await
    })
    .await;
    // The first line of EHLO is a name, not a keyword.
    assert!(matches!(send(address).await, Err(ClientError::NoStartTls)));
    assert_eq!(task.await.expect("no panic"), ["QUIT"]);
    let (address, task) = server(|mut talk| async move {
        talk.send("220 x\r\n").await;
        heard(&mut talk, "EHLO").await;
        talk.send("250-x\r\n250 STARTTLS\r\n").await;
        heard(&mut talk, "STARTTLS").await;
        talk.send("454 4.7.0 no\r\n").await;
        talk.rest().await
    })
    .await;
    assert!(matches!(send(address).await, Err(ClientError::Refused { stage: Stage::StartTls, .. })));
    assert!(task.await.expect("no panic").is_empty());
}

// OPE-18: a reply glued to the answer to STARTTLS, or to EHLO, is not read as one of those inside TLS: such a server gets nothing.
#[tokio::test]
async fn what_is_injected_before_tls_ends_the_connection() {
    for (hello, ready) in [
        ("250-x\r\n250 STARTTLS\r\n250 stray\r\n", "220 go\r\n"),
        ("250-x\r\n250 STARTTLS\r\n", "220 go\r\n250-evil\r\n250-CHUNKING\r\n250 AUTH XOAUTH2\r\n"),
    ] {
        let (address, task) = server(move |mut talk| async move {
            talk.send("220 x\r\n").await;
            heard(&mut talk, "EHLO").await;
            talk.send(hello).await;
            if ready.contains("evil") {
                heard(&mut talk, "STARTTLS").await;
                talk.send(ready).await;
            }
            talk.rest().await
        })
        .await;
        let error = send(address).await.expect_err("refused");
        assert!(matches!(error, ClientError::OutOfTurn) && error.is_trust() && error.is_temporary(), "{error}");
        assert!(task.await.expect("no panic").is_empty());
    }
}

// OPE-15
#[tokio::test]
async fn a_greeting_or_a_mail_refused_for_now_is_temporary() {
    for greeting in ["421 4.3.2 later\r\n", "450 later\r\n"] {
        let (address, _task) = server(move |mut talk| async move {
            talk.send(greeting).await;
            talk.rest().await
        })
        .await;
        let error = send(address).await.expect_err("refused");
        assert!(
            matches!(error, ClientError::Refused { stage: Stage::Greeting, .. }) && error.is_temporary(),
            "{error}"
        );
    }
    let (address, _task) = server(|mut talk| async move {
        begin(&mut talk, "PIPELINING").await;
        for verb in ["MAIL", "RCPT", "RCPT"] {
            heard(&mut talk, verb).await;
        }
        talk.send("421 4.3.2 closing\r\n").await;
    })
    .await;
    let error = send(address).await.expect_err("refused");
    assert!(matches!(error, ClientError::Refused { stage: Stage::Envelope, .. }) && error.is_temporary(), "{error}");
}

// OPE-16: the status is reported as it came.
#[tokio::test]
async fn a_refusal_at_the_end_goes_to_those_accepted_only() {
    let (address, task) = server(|mut talk| async move {
        begin(&mut talk, "PIPELINING,ENHANCEDSTATUSCODES").await;
        for verb in ["MAIL", "RCPT", "RCPT"] {
            heard(&mut talk, verb).await;
        }
        talk.send("250 ok\r\n552 5.2.2 full\r\n250 ok\r\n").await;
        heard(&mut talk, "DATA").await;
        talk.send("354 go\r\n").await;
        hears_message(&mut talk).await;
        talk.send("554 5.6.0 content\r\n").await;
        bye(&mut talk).await
    })
    .await;
    let delivery = send(address).await.expect("answered");
    let replies: Vec<String> = delivery.recipients.iter().map(|r| r.reply().to_string()).collect();
    assert_eq!(replies, ["552 5.2.2 full", "554 5.6.0 content"]);
    assert!(delivery.recipients.iter().all(|r| matches!(r, RecipientResult::Permanent(_))));
    assert_eq!(task.await.expect("no panic"), ["QUIT"]);
}

// OPE-17
#[tokio::test]
async fn a_connection_cut_in_data_is_temporary_and_says_whether_it_may_be_delivered() {
    for after_the_end in [false, true] {
        let (address, _task) = server(move |mut talk| async move {
            begin(&mut talk, "PIPELINING").await;
            for verb in ["MAIL", "RCPT", "RCPT"] {
                heard(&mut talk, verb).await;
            }
            talk.send("250 ok\r\n250 ok\r\n250 ok\r\n").await;
            heard(&mut talk, "DATA").await;
            if after_the_end {
                talk.send("354 go\r\n").await;
                hears_message(&mut talk).await;
            }
        })
        .await;
        let error = send(address).await.expect_err("cut");
        assert!(error.is_temporary());
        assert_eq!(error.may_be_delivered(), after_the_end, "{error}");
    }
}

#[tokio::test]
async fn chunks_are_counted_and_stop_at_a_refusal() {
    let (address, task) = server(|mut talk| async move {
        begin(&mut talk, "CHUNKING,8BITMIME,SIZE 1000000").await;
        assert_eq!(heard(&mut talk, "MAIL").await, "MAIL FROM:<a@alpha.mssante.fr> SIZE=200000 BODY=8BITMIME");
        talk.send("250 ok\r\n").await;
        heard(&mut talk, "RCPT").await;
        talk.send("250 ok\r\n").await;
        let size: usize = heard(&mut talk, "BDAT ").await[5..].parse().expect("not LAST");
        talk.exactly(size).await;
        talk.send("552 5.3.4 too big after all\r\n").await;
        heard(&mut talk, "RSET").await;
        talk.send("250 ok\r\n").await;
        heard(&mut talk, "MAIL").await;
        talk.send("250 ok\r\n").await;
        heard(&mut talk, "RCPT").await;
        talk.send("250 ok\r\n").await;
        assert_eq!(heard(&mut talk, "BDAT ").await, "BDAT 7 LAST");
        let text = talk.exactly(7).await;
        talk.send("250 ok\r\n").await;
        text
    })
    .await;
    let mut client = connect(address).await.expect("connected");
    let mut message = envelope("a@alpha.mssante.fr", &["b@b.fr"]);
    message.from.size = Some(200_000);
    message.from.body = BodyType::EightBit;
    let body = "x".repeat(200_000);
    let delivery = client.send(&message, &mut body.as_bytes()).await.expect("answered");
    assert!(matches!(&delivery.recipients[0], RecipientResult::Permanent(reply) if reply.code() == 552));
    let delivery = client.send(&envelope("a@alpha.mssante.fr", &["b@b.fr"]), &mut &b".\nok"[..]).await;
    assert!(matches!(delivery.expect("sent").recipients[..], [RecipientResult::Accepted(_)]));
    assert_eq!(task.await.expect("no panic"), b".\r\nok\r\n");
}

#[tokio::test]
async fn eight_bit_and_utf8_are_never_forced_on_a_peer() {
    let (address, task) = server(|mut talk| async move {
        begin(&mut talk, "PIPELINING").await;
        talk.rest().await
    })
    .await;
    let mut client = connect(address).await.expect("connected");
    let mut eight = envelope("a@alpha.mssante.fr", &["b@b.fr"]);
    eight.from.body = BodyType::EightBit;
    for (message, code) in [(eight, "554 5.6.3"), (envelope("a@alpha.mssante.fr", &["é@b.fr"]), "553 5.6.7")] {
        let delivery = client.send(&message, &mut &b"x"[..]).await.expect("answered");
        assert!(delivery.recipients[0].reply().to_string().starts_with(code));
    }
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}

#[tokio::test]
async fn what_is_not_smtp_is_a_protocol_error_in_bounded_memory() {
    let many = "220-x\r\n".repeat(200);
    let long = format!("220 {}\r\n", "x".repeat(5000));
    let endless = "220-".to_owned() + &"x".repeat(400_000);
    for greeting in ["hello\r\n", "220-a\r\n250 b\r\n", "220 a\n", "999 x\r\n", &many, &long, &endless] {
        let greeting = greeting.to_owned();
        let (address, task) = server(|mut talk| async move { talk.send(greeting).await }).await;
        let error = send(address).await.expect_err("refused");
        assert!(matches!(error, ClientError::Protocol { stage: Stage::Greeting, .. }), "{error}");
        assert!(error.is_temporary());
        task.abort();
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let (address, _task) = server(|mut talk| async move { talk.rest().await }).await;
    let mut brief: Settings = settings(Some("peer"));
    brief.timeouts.greeting = Duration::from_millis(100);
    let error = Client::connect(address, pki::HOST, &brief, &|_| Ok(())).await.err().expect("refused");
    assert!(matches!(error, ClientError::Timeout(Stage::Greeting)) && error.is_temporary());
}

#[tokio::test]
async fn a_body_that_fails_is_never_ended() {
    let (address, task) = server(|mut talk| async move {
        begin(&mut talk, "").await;
        for verb in ["MAIL", "RCPT", "RCPT"] {
            heard(&mut talk, verb).await;
            talk.send("250 ok\r\n").await;
        }
        heard(&mut talk, "DATA").await;
        talk.send("354 go\r\n").await;
        talk.rest().await
    })
    .await;
    let mut client = connect(address).await.expect("connected");
    let sent = client.send(&envelope("a@alpha.mssante.fr", &["b@b.fr", "c@b.fr"]), &mut Failing(false)).await;
    assert!(matches!(sent, Err(ClientError::Body(_))));
    drop(client);
    assert!(!task.await.expect("no panic").iter().any(|line| line == "."));
}

/// A body whose disk fails after a few octets.
struct Failing(bool);

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Err(io::Error::other("disk")));
        }
        buf.put_slice(b"half\r\n");
        Poll::Ready(Ok(()))
    }
}
