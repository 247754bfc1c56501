//! Doors for `fuzz/` to what strangers reach only through a session. No part of the crate's interface.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::deflate::{Inbound, Outbound};
use super::search::{base_subject, check_threads};

/// More than this of what was inflated is not looked at: a bomb is as good as endless.
const MOST: usize = 1024 * 1024;

/// Octets of a client after COMPRESS: no reader gets more than it has room for. Then the same octets as our answers: what
/// is deflated inflates to itself.
///
/// # Panics
/// When one of these does not hold.
pub fn compression(input: &[u8]) {
    let room = input.first().map_or(1, |n| usize::from(*n) + 1);
    inflated(input, room);
    let (sink, mut read) = tokio::io::duplex(4 * input.len() + 4096);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without drivers");
    runtime.block_on(async {
        let mut out = Outbound::new(Box::new(sink));
        for piece in input.chunks(room * 7) {
            out.write_all(piece).await.expect("a pipe with room");
            out.flush().await.expect("a pipe with room");
        }
        out.shutdown().await.expect("a pipe");
        drop(out);
        let mut deflated = Vec::new();
        read.read_to_end(&mut deflated).await.expect("a pipe");
        assert_eq!(inflated(&deflated, room), input);
    });
}

fn inflated(input: &[u8], room: usize) -> Vec<u8> {
    let mut inbound = Inbound::new(input);
    inbound.inflate();
    let mut all = Vec::new();
    let mut buffer = vec![0; room];
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let mut space = ReadBuf::new(&mut buffer);
        match Pin::new(&mut inbound).poll_read(&mut context, &mut space) {
            Poll::Ready(Ok(())) if !space.filled().is_empty() && all.len() < MOST => {
                all.extend_from_slice(space.filled())
            }
            Poll::Ready(_) => return all,
            Poll::Pending => panic!("octets in memory are never waited for"),
        }
    }
}

/// A subject, for SORT and THREAD: stripped once, there is nothing left to strip but what decoding it again would find.
///
/// # Panics
/// When it grew.
pub fn subject(input: &str) {
    let text = base_subject(input);
    assert!(text.len() <= 4 * input.len(), "a base subject is a part of its subject");
}

/// References among messages, for THREAD.
///
/// # Panics
/// When a message is told twice or not at all.
pub fn threads(input: &[u8]) {
    check_threads(input);
}
