//! OPE-09, CVE-2023-51764: whatever stands for the end of a message, there is one message or a refusal, never two.

use crate::recorder::Server;
use crate::talk::Talk;

const SMUGGLED: &str = "MAIL FROM:<evil@alpha.mssante.fr>\r\nRCPT TO:<b@beta.mssante.fr>\r\nDATA\r\nevil\r\n.\r\n";

/// Every sequence of one to five of CR, LF and dot around a dot, as an end of message.
fn false_ends() -> Vec<String> {
    let mut ends = Vec::new();
    for length in 3..=5u32 {
        for index in 0..3usize.pow(length) {
            let end: String = (0..length).map(|digit| ['\r', '\n', '.'][index / 3usize.pow(digit) % 3]).collect();
            // The true end, in any company, ends the message.
            if end.contains('.') && !end.contains("\r\n.\r\n") && end.contains(['\r', '\n']) {
                ends.push(end);
            }
        }
    }
    ends
}

#[tokio::test]
async fn a_false_end_never_makes_two_messages() {
    let server = Server::start(smtp::Role::Mx, |config| config.max_messages = 100_000).await;
    let mut talk = Talk::secure(server.address, Some("peer")).await;
    let ends = false_ends();
    assert!(ends.len() > 250);
    for end in &ends {
        let before = server.recorder.messages().len();
        talk.envelope().await;
        talk.transact("354", "DATA").await;
        talk.send(format!("good{end}{SMUGGLED}")).await;
        let reply = talk.reply().await;
        let bare = end.replace("\r\n", "").contains(['\r', '\n']);
        assert!(reply.starts_with(if bare { "554 5.6.0" } else { "250" }), "{end:?}: {reply}");
        let messages = server.recorder.messages();
        assert_eq!(messages.len() - before, usize::from(!bare), "{end:?}");
        // Nothing of it was taken for a command: the next reply is NOOP's.
        talk.transact("250 2.0.0 Ok", "NOOP").await;
        if !bare {
            let body = &messages.last().expect("one").body;
            assert!(body.windows(4).any(|w| w == b"evil"), "{end:?}: it is text");
        }
    }
}

#[tokio::test]
async fn a_bare_line_end_in_a_command_closes() {
    for line in ["NOOP\n", "NOOP\nQUIT\r\n", "NOOP\rQUIT\r\n", "MAIL FROM:<a@b.fr>\nRCPT TO:<b@b.fr>\r\n", "\r\r\n"] {
        let server = Server::mx().await;
        let mut talk = Talk::secure(server.address, Some("peer")).await;
        talk.send(line).await;
        talk.expect("521 5.5.2").await;
        talk.closed().await;
    }
}

/// As a client: whatever a stored message holds, what goes out has no CR or LF alone and no line that is a dot before the end, so that
/// no peer, however lenient about line ends, sees two messages. The same in pieces of any size, and by BDAT.
#[test]
fn the_relay_never_sends_a_false_end() {
    for end in false_ends().into_iter().chain(["\r\n.\r\n".into(), "\r\n..\r\n.\r\n".into()]) {
        let message = format!("good{end}{SMUGGLED}");
        for size in [1, 2, 3, 7, message.len()] {
            for mut encoder in [smtp::data::Encoder::data(), smtp::data::Encoder::chunks()] {
                let mut wire = Vec::new();
                message.as_bytes().chunks(size).for_each(|piece| encoder.encode(piece, &mut wire));
                encoder.finish(&mut wire);
                let text = String::from_utf8(wire).expect("ASCII");
                assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{end:?} in pieces of {size}");
            }
            let (mut encoder, mut wire) = (smtp::data::Encoder::data(), Vec::new());
            message.as_bytes().chunks(size).for_each(|piece| encoder.encode(piece, &mut wire));
            encoder.finish(&mut wire);
            let text = String::from_utf8(wire).expect("ASCII");
            let dots: Vec<usize> = text.split("\r\n").enumerate().filter(|(_, l)| *l == ".").map(|(n, _)| n).collect();
            assert_eq!(dots, [text.split("\r\n").count() - 2], "{end:?} in pieces of {size}: {text:?}");
        }
    }
}
