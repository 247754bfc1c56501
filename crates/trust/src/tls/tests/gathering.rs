//! Long writes: few system calls, no octet lost or exchanged, whatever the socket takes at a time.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::*;

/// A socket that counts the calls by which something is written.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Sends pieces of these sizes through a pipe that takes `room` octets, without a flush between them nor after the last; how many
/// calls wrote them.
async fn send(room: usize, pieces: &[usize]) -> usize {
    let (_authority, server) = authority_and_server();
    let acceptor =
        Acceptor::new(ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps)).expect("settings");
    let (near, far) = tokio::io::duplex(room);
    let calls = Arc::new(AtomicUsize::new(0));
    let all: Vec<u8> = (0..pieces.iter().sum::<usize>()).map(|n| (n % 251) as u8).collect();
    let receive = async {
        let mut tls = SslStream::new(Ssl::new(&client(|_| {})).expect("OpenSSL"), far).expect("OpenSSL");
        Pin::new(&mut tls).connect().await.expect("accepted");
        let mut received = vec![0; all.len()];
        tls.read_exact(&mut received).await.expect("all of it");
        received
    };
    let write = async {
        let mut tls = acceptor.accept(Counted(near, calls.clone())).await.expect("accepted");
        calls.store(0, Ordering::Relaxed);
        let mut rest = &all[..];
        for piece in pieces {
            let (now, later) = rest.split_at(*piece);
            tls.write_all(now).await.expect("written");
            rest = later;
        }
        tls
    };
    let (received, _tls) = tokio::join!(receive, write);
    assert!(received == all, "{pieces:?} through {room}");
    calls.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_long_write_is_few_calls() {
    assert_eq!(send(1024 * 1024, &[64 * 1024]).await, 1);
    assert_eq!(send(1024 * 1024, &[10]).await, 1);
    assert!(send(1024 * 1024, &[512 * 1024]).await <= 8);
}

#[tokio::test]
async fn no_octet_is_lost_where_little_goes_at_a_time() {
    for room in [700, 20_000, 100_000] {
        send(room, &[1, 16 * 1024, 16 * 1024 + 1, 200_000, 3, 64 * 1024, 65 * 1024, 5]).await;
    }
}
