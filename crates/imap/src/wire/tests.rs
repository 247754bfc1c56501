//! The reader: RFC examples, limits, and that nothing depends on how the octets arrive.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::*;

/// A stream that gives its octets in the pieces it was told.
struct Pieces(VecDeque<Vec<u8>>);

impl Pieces {
    fn new(input: &[u8], sizes: &[usize]) -> Self {
        let (mut rest, mut pieces) = (input, VecDeque::new());
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let n = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            pieces.push_back(rest[..n].to_vec());
            rest = &rest[n..];
        }
        Pieces(pieces)
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let n = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..n]);
            piece.drain(..n);
            if !piece.is_empty() {
                self.0.push_front(piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What a session saw.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Event(Event),
    Message(Vec<u8>, Result<(), Refusal>),
    Broken(io::ErrorKind),
}

/// A session that takes one message at a time, and nothing after it.
fn only(tail: Result<Tail, Refusal>) -> Result<(), Refusal> {
    match tail? {
        Tail::End(text) if text.is_empty() => Ok(()),
        Tail::End(_) | Tail::Literal { .. } => Err(Refusal::AfterMessage),
    }
}

/// Reads to the end; messages are taken when `take`, else refused.
async fn session(input: &[u8], sizes: &[usize], phase: Phase, take: bool) -> Vec<Seen> {
    let mut reader = CommandReader::new(Pieces::new(input, sizes), phase);
    let mut seen = Vec::new();
    loop {
        let event = match reader.next().await {
            Ok(event) => event,
            Err(error) => {
                seen.push(Seen::Broken(error.kind()));
                return seen;
            }
        };
        let over = matches!(event, Event::End | Event::Fatal(_));
        let message = matches!(event, Event::Append { .. });
        seen.push(Seen::Event(event));
        if over {
            return seen;
        }
        if message && take {
            let mut body = Vec::new();
            let end = loop {
                match reader.literal_chunk(u64::MAX).await {
                    Ok(chunk) if chunk.is_empty() => break reader.append_next().await.map(only),
                    Ok(chunk) => body.extend_from_slice(&chunk),
                    Err(error) => break Err(error),
                }
            };
            match end {
                Ok(end) => {
                    // As the server does: it says BYE, and what follows depends on what was read already.
                    let over = end.as_ref().is_err_and(|refusal| refusal.is_fatal());
                    seen.push(Seen::Message(body, end));
                    if over {
                        return seen;
                    }
                }
                Err(error) => {
                    seen.push(Seen::Broken(error.kind()));
                    return seen;
                }
            }
        }
    }
}

fn run(input: &[u8], sizes: &[usize], phase: Phase, take: bool) -> Vec<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(session(input, sizes, phase, take))
}

fn all(input: &[u8]) -> Vec<Seen> {
    run(input, &[usize::MAX], Phase::Authenticated, true)
}

fn command(text: &[u8]) -> Seen {
    Seen::Event(Event::Command(Zeroizing::new(text.to_vec())))
}

fn refused(tag: &str, reason: Refusal) -> Seen {
    Seen::Event(Event::Refused { tag: Some(tag.into()), reason })
}

fn append(head: &[u8], size: u64, synchronizing: bool) -> Seen {
    Seen::Event(Event::Append { head: Zeroizing::new(head.to_vec()), size, synchronizing })
}

const END: Seen = Seen::Event(Event::End);
const CONTINUE: Seen = Seen::Event(Event::Continue);

#[test]
fn lines_and_literals() {
    assert_eq!(all(b"a1 NOOP\r\na2 IDLE\r\n"), [command(b"a1 NOOP"), command(b"a2 IDLE"), END]);
    assert_eq!(
        all(b"a RENAME {3}\r\nx\r\n {2+}\r\n{}\r\nb NOOP\r\n"),
        [CONTINUE, command(b"a RENAME {3}\r\nx\r\n {2+}\r\n{}"), command(b"b NOOP"), END]
    );
    assert_eq!(all(b""), [END]);
    assert_eq!(all(b"\r\n"), [command(b""), END]);
    assert_eq!(all(b"a NOO"), [Seen::Broken(io::ErrorKind::UnexpectedEof)]);
    assert_eq!(all(b"a X {5}\r\nab"), [CONTINUE, Seen::Broken(io::ErrorKind::UnexpectedEof)]);
}

#[test]
fn append_stops_where_the_message_begins() {
    assert_eq!(
        all(b"a APPEND {5}\r\nINBOX (\\Seen) {7}\r\nA: b\r\n\n\r\nb NOOP\r\n"),
        [
            CONTINUE,
            append(b"a APPEND {5}\r\nINBOX (\\Seen) {7}", 7, true),
            Seen::Message(b"A: b\r\n\n".to_vec(), Ok(())),
            command(b"b NOOP"),
            END
        ]
    );
    // Nothing may follow the message, and nothing of what follows is taken for a command.
    assert_eq!(
        all(b"a append x {1+}\r\nm (\\Seen) {10+}\r\nz LOGOUT\r\n\r\nb NOOP\r\n"),
        [
            append(b"a append x {1+}", 1, false),
            Seen::Message(b"m".to_vec(), Err(Refusal::AfterMessage)),
            command(b"b NOOP"),
            END
        ]
    );
    assert_eq!(
        all(b"a append x {1+}\r\nm\nb NOOP\r\n"),
        [
            append(b"a append x {1+}", 1, false),
            Seen::Message(b"m".to_vec(), Err(Refusal::AfterMessage)),
            command(b"b NOOP"),
            END
        ]
    );
    assert_eq!(
        all(b"a append x {0+}\r\n\r\nb NOOP\r\n"),
        [append(b"a append x {0+}", 0, false), Seen::Message(Vec::new(), Ok(())), command(b"b NOOP"), END]
    );
    assert_eq!(
        all(b"a append x {9}\r\nm"),
        [append(b"a append x {9}", 9, true), Seen::Broken(io::ErrorKind::UnexpectedEof)]
    );
}

#[test]
fn a_refused_append_is_forgotten() {
    let refuse = |input: &[u8]| run(input, &[7], Phase::Authenticated, false);
    // The client that waits sends no message; the one that does not has sent it.
    assert_eq!(refuse(b"a APPEND x {9}\r\nb NOOP\r\n"), [append(b"a APPEND x {9}", 9, true), command(b"b NOOP"), END]);
    assert_eq!(
        refuse(b"a APPEND x {9+}\r\nz NOOP\r\n.\r\nb NOOP\r\n"),
        [append(b"a APPEND x {9+}", 9, false), command(b"b NOOP"), END]
    );
    let huge = b"a APPEND x {99999999999+}\r\nwhatever";
    assert_eq!(refuse(huge)[1], Seen::Event(Event::Fatal(Refusal::TooMuch)));
    let unknown = b"a APPEND x {65537+}\r\nwhatever";
    assert_eq!(run(unknown, &[9], Phase::NotAuthenticated, false)[1], Seen::Event(Event::Fatal(Refusal::TooMuch)));
}

#[tokio::test]
async fn half_a_message_may_be_refused() {
    let mut input = b"a APPEND x {100000}\r\n".to_vec();
    input.extend_from_slice(&[b'm'; 100_000]);
    input.extend_from_slice(b"\r\nb NOOP\r\n");
    let mut reader = CommandReader::new(Pieces::new(&input, &[5000]), Phase::Authenticated);
    assert!(matches!(reader.next().await, Ok(Event::Append { .. })));
    assert_eq!(reader.literal_chunk(10).await.expect("open").len(), 10);
    assert_eq!(reader.next().await.expect("open"), Event::Command(Zeroizing::new(b"b NOOP".to_vec())));

    // A message of which some was not drawn never passes for a whole one.
    let mut reader = CommandReader::new(Pieces::new(&input, &[5000]), Phase::Authenticated);
    assert!(matches!(reader.next().await, Ok(Event::Append { .. })));
    assert_eq!(reader.append_next().await.expect("open"), Err(Refusal::AfterMessage));
}

#[test]
fn a_line_feed_alone_is_refused() {
    assert_eq!(all(b"a NOOP\nb NOOP\r\n"), [refused("a", Refusal::BareLineFeed), command(b"b NOOP"), END]);
    assert_eq!(all(b"a X {3}\nb NOOP\r\n"), [refused("a", Refusal::BareLineFeed), command(b"b NOOP"), END]);
    assert_eq!(all(b"a X {3+}\n\r\n!\r\nb NOOP\r\n"), [refused("a", Refusal::BareLineFeed), command(b"b NOOP"), END]);
}

#[test]
fn long_lines() {
    for (phase, limit) in [(Phase::Authenticated, MAX_TEXT), (Phase::NotAuthenticated, MAX_TEXT_BEFORE)] {
        let fits = [b"a ".to_vec(), vec![b'x'; limit - 2]].concat();
        let long = [b"b ".to_vec(), vec![b'x'; limit - 1]].concat();
        let input = [&fits[..], b"\r\n", &long, b"\r\n", &long, b" {3+}\r\nx\r\n {4}\r\nc NOOP\r\n"].concat();
        assert_eq!(
            run(&input, &[usize::MAX], phase, true),
            [command(&fits), refused("b", Refusal::TooLong), refused("b", Refusal::TooLong), command(b"c NOOP"), END]
        );
        let endless = vec![b'x'; 2 * 1024 * 1024];
        assert_eq!(run(&endless, &[usize::MAX], phase, true), [Seen::Event(Event::Fatal(Refusal::TooMuch))]);
    }
    // SASL-IR: 12,288 octets of token in base64 before anybody is known.
    let token = [&b"a AUTHENTICATE XOAUTH2 "[..], &[b'A'; MAX_RAW_LINE]].concat();
    let input = [&token[..], b"\r\n"].concat();
    assert_eq!(run(&input, &[1000], Phase::NotAuthenticated, true), [command(&token), END]);
}

#[test]
fn large_literals() {
    let over = MAX_LITERALS + 1;
    // The client that waits is told at once, the other is read through.
    let input = format!("a SELECT {{{over}}}\r\nb NOOP\r\n");
    assert_eq!(all(input.as_bytes()), [refused("a", Refusal::LiteralTooLarge), command(b"b NOOP"), END]);
    let phase = Phase::NotAuthenticated;
    let over = MAX_LITERALS_BEFORE + 1;
    let input = [
        format!("a LOGIN {{{over}+}}\r\n").into_bytes(),
        vec![b'\n'; over],
        b" {2+}\r\n\r\n {7}\r\nb NOOP\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(run(&input, &[999], phase, true), [refused("a", Refusal::LiteralTooLarge), command(b"b NOOP"), END]);
    let input = b"a LOGIN {999999999999999999999999999+}\r\n";
    assert_eq!(run(input, &[5], phase, true), [Seen::Event(Event::Fatal(Refusal::TooMuch))]);
    let input = b"a LOGIN {999999999999999999999999999}\r\nb NOOP\r\n";
    assert_eq!(run(input, &[5], phase, true), [refused("a", Refusal::LiteralTooLarge), command(b"b NOOP"), END]);
    // The sum counts, not each.
    let half = MAX_LITERALS_BEFORE / 2;
    let text = "x".repeat(half);
    let input = format!("a X {{{half}+}}\r\n{text} {{{half}+}}\r\n{text} {{1}}\r\nb NOOP\r\n");
    assert_eq!(
        run(input.as_bytes(), &[4096], phase, true),
        [refused("a", Refusal::LiteralTooLarge), command(b"b NOOP"), END]
    );
}

#[test]
fn a_flood_of_literals() {
    let input = [&b"a SEARCH"[..], &b" {0+}\r\n".repeat(10_000), b"\r\nb NOOP\r\n"].concat();
    assert_eq!(all(&input), [refused("a", Refusal::TooManyLiterals), command(b"b NOOP"), END]);
    let input = [&b"a SEARCH"[..], &b" {1}\r\nx".repeat(MAX_LITERAL_COUNT), b" {1}\r\nb NOOP\r\n"].concat();
    let seen = all(&input);
    assert_eq!(seen.len(), MAX_LITERAL_COUNT + 3);
    assert_eq!(seen[MAX_LITERAL_COUNT..], [refused("a", Refusal::TooManyLiterals), command(b"b NOOP"), END]);
}

#[test]
fn a_literal_that_looks_like_an_announcement_is_none() {
    // The text goes beyond the limit right after a literal that ends with what looks like one.
    let long = "x".repeat(MAX_TEXT);
    let input = format!("a SEARCH {{4+}}\r\n{{9+}}{long}\r\nb NOOP\r\n");
    assert_eq!(all(input.as_bytes()), [refused("a", Refusal::TooLong), command(b"b NOOP"), END]);
    let input = b"a SEARCH {4+}\r\n{9+}\r\nb NOOP\r\n";
    assert_eq!(all(input), [command(b"a SEARCH {4+}\r\n{9+}"), command(b"b NOOP"), END]);
}

#[tokio::test]
async fn raw_lines() {
    let long = vec![b'A'; MAX_RAW_LINE + 1];
    let input = [&b"DONE\r\n*\r\n\r\n"[..], &long[1..], b"\r\n", &long, b"\r\nx\nlast {5}\r\n"].concat();
    let mut reader = CommandReader::new(Pieces::new(&input, &[1500]), Phase::NotAuthenticated);
    let text = |text: &[u8]| Line::Text(Zeroizing::new(text.to_vec()));
    assert_eq!(reader.line().await.expect("open"), text(b"DONE"));
    assert_eq!(reader.line().await.expect("open"), text(b"*"));
    assert_eq!(reader.line().await.expect("open"), text(b""));
    assert_eq!(reader.line().await.expect("open"), text(&long[1..]));
    assert_eq!(reader.line().await.expect("open"), Line::Refused(Refusal::TooLong));
    assert_eq!(reader.line().await.expect("open"), Line::Refused(Refusal::BareLineFeed));
    assert_eq!(reader.line().await.expect("open"), text(b"last {5}"));
    assert_eq!(reader.line().await.expect("open"), Line::End);
    let endless = vec![b'x'; 2 * 1024 * 1024];
    let mut reader = CommandReader::new(&endless[..], Phase::Authenticated);
    assert_eq!(reader.line().await.expect("open"), Line::Fatal(Refusal::TooMuch));
}

/// LPS-NOPLAIN: nothing injected before TLS survives it.
#[tokio::test]
async fn what_came_before_tls_is_noticed() {
    let mut reader = CommandReader::new(&b"a STARTTLS\r\n"[..], Phase::NotAuthenticated);
    assert!(matches!(reader.next().await, Ok(Event::Command(_))));
    assert!(!reader.has_buffered());
    assert!(reader.into_inner().is_ok());
    for injected in [&b"a STARTTLS\r\nb LOGOUT\r\n"[..], b"a STARTTLS\r\n\n"] {
        let mut reader = CommandReader::new(injected, Phase::NotAuthenticated);
        assert!(matches!(reader.next().await, Ok(Event::Command(_))));
        assert!(reader.has_buffered());
        assert_eq!(reader.into_inner(), Err(Injected));
    }
}

#[tokio::test]
async fn reading_may_be_cancelled_anywhere() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut reader = CommandReader::new(server, Phase::Authenticated);
    let input = b"a SELECT {3+}\r\nx\r\n\r\nb APPEND x {4+}\r\nmail\r\nDONE\r\n";
    let (mut events, mut message, mut ended, mut done) = (Vec::new(), Vec::new(), None, None);
    for octet in input {
        client.write_all(&[*octet]).await.expect("room");
        let once = Duration::ZERO;
        if done.is_none() && ended.is_some() {
            done = tokio::time::timeout(once, reader.line()).await.ok();
        } else if matches!(events.last(), Some(Event::Append { .. })) {
            if message.len() < 4 {
                if let Ok(chunk) = tokio::time::timeout(once, reader.literal_chunk(9)).await {
                    message.extend_from_slice(&chunk.expect("open"));
                }
            } else {
                ended = tokio::time::timeout(once, reader.append_next()).await.ok();
            }
        } else if let Ok(event) = tokio::time::timeout(once, reader.next()).await {
            events.push(event.expect("open"));
        }
    }
    assert_eq!(events[0], Event::Command(Zeroizing::new(b"a SELECT {3+}\r\nx\r\n".to_vec())));
    assert_eq!(message, b"mail");
    assert!(matches!(ended, Some(Ok(Ok(Tail::End(text)))) if text.is_empty()));
    assert_eq!(done.expect("read").expect("open"), Line::Text(Zeroizing::new(b"DONE".to_vec())));
}

/// Pieces of sessions, whole and broken.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        4 => Just(b"a1 NOOP\r\n".to_vec()),
        2 => "[ -~]{0,30}".prop_map(|s| format!("b {s}\r\n").into_bytes()),
        2 => (0usize..40, "[+]?").prop_map(|(n, plus)| [format!("c X {{{n}{plus}}}\r\n").into_bytes(), vec![b'}'; n], b" y\r\n".to_vec()].concat()),
        2 => (0usize..40, 0usize..40).prop_map(|(n, m)| [format!("d APPEND x {{{n}+}}\r\n").into_bytes(), vec![b'\n'; m], b"\r\n".to_vec()].concat()),
        1 => Just(b"e NOOP\n".to_vec()),
        1 => (8000usize..8400).prop_map(|n| [b"f ".to_vec(), vec![b'x'; n], b" {3+}\r\nabc\r\n".to_vec()].concat()),
        1 => (16_000usize..70_000).prop_map(|n| [format!("g {{{n}+}}\r\n").into_bytes(), vec![b'z'; n], b"\r\n".to_vec()].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(b"h {+}\r\n{{5+}\r\n".to_vec()),
    ];
    proptest::collection::vec(fragment, 0..12).prop_map(|f| f.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However the octets arrive, the session sees the same; and nothing panics.
    #[test]
    fn pieces_do_not_matter(
        input in fragments(),
        sizes in proptest::collection::vec(1usize..5000, 1..8),
        known in any::<bool>(),
        take in any::<bool>(),
    ) {
        let phase = if known { Phase::Authenticated } else { Phase::NotAuthenticated };
        prop_assert_eq!(run(&input, &sizes, phase, take), run(&input, &[usize::MAX], phase, take));
    }

    /// A literal's octets are never taken for commands.
    #[test]
    fn literals_are_opaque(text in proptest::collection::vec(any::<u8>(), 0..200), plus in any::<bool>()) {
        let announced = format!("{{{}{}}}\r\n", text.len(), if plus { "+" } else { "" });
        let input = [b"a X ", announced.as_bytes(), &text, b"\r\nb NOOP\r\n"].concat();
        let gathered = [b"a X ", announced.as_bytes(), &text].concat();
        let mut seen = all(&input);
        if !plus {
            prop_assert_eq!(seen.remove(0), CONTINUE);
        }
        prop_assert_eq!(seen, [command(&gathered), command(b"b NOOP"), END]);
    }
}
