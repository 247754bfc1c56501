//! Taking connections: how many at once, how many from one address, and what happens when it is too many.
//!
//! Invariants: one address cannot take all the connections; a listener never dies of an error of `accept`.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::presence::{Presence, Room};

/// Pause after `accept` failed: most often the process has no file descriptor left.
const BREATHER: Duration = Duration::from_millis(100);
/// How long a connection that is one too many is told so.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes connections until `shutdown`, each served by its own task of `tasks`; one too many is told `farewell` and closed.
pub async fn listen<S, F>(
    listener: TcpListener,
    room: Room,
    farewell: &'static str,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    serve: S,
) where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let presence = Presence::new(room);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (mut stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        // Answers are small and awaited: no reason to hold them back.
        let _ = stream.set_nodelay(true);
        match presence.enter(address.ip()) {
            Some(place) => {
                let serving = serve(stream, address);
                tasks.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            None => {
                tracing::warn!(peer = %address, "too many connections");
                tasks.spawn(async move {
                    let _ = tokio::time::timeout(FAREWELL, async {
                        let _ = stream.write_all(farewell.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    })
                    .await;
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn one_address_has_only_so_many_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let room = Room { connections: 10, per_address: 2 };
        let serve = |mut stream: TcpStream, _| async move {
            let _ = stream.write_all(b"hello\r\n").await;
            let _ = stream.read_u8().await;
        };
        let running = tokio::spawn(listen(listener, room, "busy\r\n", TaskTracker::new(), shutdown.clone(), serve));
        let connect = || async {
            let mut stream = TcpStream::connect(address).await.expect("listening");
            let mut line = [0; 16];
            let n = stream.read(&mut line).await.expect("a line");
            (stream, String::from_utf8_lossy(&line[..n]).into_owned())
        };
        let (first, said) = connect().await;
        assert_eq!(said, "hello\r\n");
        let (_second, said) = connect().await;
        assert_eq!(said, "hello\r\n");
        assert_eq!(connect().await.1, "busy\r\n");
        drop(first);
        // The place is free once the server has noticed.
        let mut tries = 0;
        while connect().await.1 != "hello\r\n" {
            tries += 1;
            assert!(tries < 1000, "the place is never given back");
        }
        shutdown.cancel();
        running.await.expect("no panic");
    }
}
