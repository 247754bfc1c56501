//! Taking connections: how many at once, how many from one address, and what happens when it is too many.
//!
//! Invariants: one address cannot take all the connections; a listener never dies of an error of `accept`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meter::{Entrance, Refusal};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::presence::{NoPlace, Presence};

/// A peer that vanished without a word (a crash, a cable) is asked after this silence whether it is there…
const KEEPALIVE_AFTER: Duration = Duration::from_secs(120);
/// …this often…
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// …and is given up after so many questions without an answer.
const KEEPALIVE_TIMES: u32 = 4;
/// What was sent and is not acknowledged in this time ends the connection, instead of the fifteen minutes of the system.
const UNACKNOWLEDGED: Duration = Duration::from_secs(180);
/// Pause after `accept` failed: most often the process has no file descriptor left.
const BREATHER: Duration = Duration::from_millis(100);
/// How long a connection that is one too many is told so.
const FAREWELL: Duration = Duration::from_secs(2);

/// One entry point: how many it lets in, and where they are counted.
pub struct Door {
    /// How many connections.
    pub presence: Presence,
    /// What a connection too many is told.
    pub farewell: &'static str,
    /// Where connections are counted.
    pub entrance: Arc<Entrance>,
}

/// Takes connections until `shutdown`, each served by its own task of `tasks`; one too many is told the farewell and closed.
pub async fn listen<S, F>(listener: TcpListener, door: Door, tasks: TaskTracker, shutdown: CancellationToken, serve: S)
where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Door { presence, farewell, entrance } = door;
    let _open = Listening::new(&entrance);
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
        if faults::is_on(faults::Fault::Outage) {
            continue;
        }
        // Answers are small and awaited: no reason to hold them back.
        let _ = stream.set_nodelay(true);
        watch(&stream);
        match presence.enter(address.ip()) {
            Ok(place) => {
                let serving = serve(stream, address);
                tasks.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(why) => {
                entrance.refuse(match why {
                    NoPlace::Full => Refusal::Full,
                    NoPlace::Address => Refusal::Address,
                });
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

/// Says that the entry point takes connections, for as long as it lives.
struct Listening<'e>(&'e Entrance);

impl<'e> Listening<'e> {
    fn new(entrance: &'e Entrance) -> Self {
        entrance.listening(true);
        Listening(entrance)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listening(false);
    }
}

/// Has the system find out that the peer is gone. Without it the session only ends at its own time-outs.
fn watch(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_TIMES);
    let watched = socket.set_tcp_keepalive(&keepalive).and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)));
    if let Err(error) = watched {
        tracing::debug!(%error, "no keep-alive");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use trust::presence::Room;

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
        let entrance = Entrance::unwatched();
        let door = Door { presence: Presence::new(room), farewell: "busy\r\n", entrance: entrance.clone() };
        let running = tokio::spawn(listen(listener, door, TaskTracker::new(), shutdown.clone(), serve));
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
        assert!(entrance.is_listening());
        drop(first);
        // The place is free once the server has noticed.
        let mut tries = 0;
        while connect().await.1 != "hello\r\n" {
            tries += 1;
            assert!(tries < 1000, "the place is never given back");
        }
        shutdown.cancel();
        running.await.expect("no panic");
        assert!(!entrance.is_listening());
    }

    // "thousands of connections from one address" and "half-open peers" (issue 3, "Hard to break").
    #[tokio::test]
    async fn thousands_from_one_address_do_not_keep_others_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let room = Room { connections: 100, per_address: 20 };
        let serve = |mut stream: TcpStream, _| async move {
            let time = SockRef::from(&stream).tcp_keepalive_time().expect("asked for");
            assert_eq!(time, KEEPALIVE_AFTER);
            let _ = stream.write_all(b"hello\r\n").await;
            let _ = stream.read_u8().await;
        };
        let door = Door { presence: Presence::new(room), farewell: "busy\r\n", entrance: Entrance::unwatched() };
        tokio::spawn(listen(listener, door, TaskTracker::new(), shutdown.clone(), serve));
        let from = |ip: &'static str| async move {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(format!("{ip}:0").parse().expect("an address")).expect("loopback");
            let mut stream = socket.connect(address).await.expect("listening");
            let mut line = [0; 16];
            let n = stream.read(&mut line).await.expect("a line");
            (stream, line[..n] == *b"hello\r\n")
        };
        let mut held = Vec::new();
        for _ in 0..2000 {
            let (stream, let_in) = from("127.0.0.1").await;
            // Those refused are kept open by this side too: that must not count.
            held.push((stream, let_in));
            if held.len() > 300 {
                held.retain(|(_, let_in)| *let_in);
            }
        }
        assert_eq!(held.iter().filter(|(_, let_in)| *let_in).count(), 20);
        assert!(from("127.0.0.2").await.1, "somebody else gets in");
        shutdown.cancel();
    }
}
