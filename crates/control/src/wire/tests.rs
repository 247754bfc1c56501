use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// A server that answers line after line from a list, and tells what it was sent.
async fn scripted(answers: &'static [&'static str]) -> (Wire, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufReader::new(stream);
        let mut heard = Vec::new();
        for answer in answers {
            let mut line = String::new();
            stream.read_line(&mut line).await.expect("a line");
            heard.push(line.trim_end().to_owned());
            stream.write_all(answer.as_bytes()).await.expect("the client listens");
        }
        heard
    });
    let wire = Wire::connect(address, Duration::from_secs(20), &Log::default()).await.expect("connected");
    (wire, server)
}

#[tokio::test]
async fn a_response_too_long_for_the_command_goes_alone() {
    let response = [b'x'; 900];
    let (mut wire, server) =
        scripted(&["500 5.5.2 Error: command line too long\r\n", "334 \r\n", "235 2.7.0 ok\r\n"]).await;
    let (answer, challenge) = wire.smtp_xoauth2(&response, true).await.expect("a server");
    assert_eq!((answer.code, challenge), (235, None));
    let heard = server.await.expect("no panic");
    assert_eq!(heard[1], "AUTH XOAUTH2");
    assert_eq!(heard[0], format!("AUTH XOAUTH2 {}", heard[2]));
}

#[tokio::test]
async fn five_hundred_to_a_short_command_and_other_refusals_are_the_answer() {
    let (mut wire, server) = scripted(&["500 5.5.2 what\r\n"]).await;
    assert_eq!(wire.smtp_xoauth2(b"user=a", true).await.expect("a server").0.code, 500);
    assert_eq!(server.await.expect("no panic").len(), 1);
    let (mut wire, server) = scripted(&["535 5.7.8 no\r\n"]).await;
    assert_eq!(wire.smtp_xoauth2(&[b'x'; 900], true).await.expect("a server").0.code, 535);
    assert_eq!(server.await.expect("no panic").len(), 1);
}
