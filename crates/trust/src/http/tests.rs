use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::SystemClock;
use crate::pki::{LeafRequest, Organization, TestAuthority};
use crate::tls::{Acceptor, Profile, ServerTls, TlsInfo};

/// Tells the test that a request is under way, and ends after the server was told to stop.
static UNDER_WAY: Notify = Notify::const_new();
static STOPPED: Notify = Notify::const_new();

async fn slow() {
    UNDER_WAY.notify_one();
    STOPPED.notified().await;
}

fn router() -> Router {
    Router::new()
        .route("/hello", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("{}", peer.ip()) }))
        .route("/tls", get(|Extension(tls): Extension<Arc<TlsInfo>>| async move { tls.version.to_string() }))
        .route("/big", get(|| async { vec![b'a'; 10_000] }))
        .route("/moved", get(|| async { Redirect::to("/hello") }))
        .route("/echo", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/slow", get(slow))
}

struct Running {
    addr: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(acceptor: Option<Acceptor>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, acceptor, router(), stop.clone()));
    Running { addr, stop, task }
}

async fn start_tls() -> (TestAuthority, Running) {
    let authority = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    let hospital = Organization::new("1750000001", "CH", "Paris (75)");
    let request = LeafRequest::server("autoconfig.exemple.fr", &hospital, &["localhost"], &[[127, 0, 0, 1].into()]);
    let identity = authority.issue(&request).expect("a certificate").identity().expect("an identity");
    let acceptor = Acceptor::new(ServerTls::new(identity, Profile::Https)).expect("right settings");
    let running = start(Some(acceptor)).await;
    (authority, running)
}

#[tokio::test]
async fn our_client_and_our_server() {
    let (authority, running) = start_tls().await;
    let ours = client(&[authority.root().clone()]).expect("a client");
    let base = format!("https://{}", running.addr);
    let tls = get_limited(&ours, &format!("{base}/tls"), 100).await.expect("an answer");
    assert!(tls.starts_with(b"TLSv1."), "{tls:?}");
    assert_eq!(get_limited(&ours, &format!("{base}/hello"), 100).await.expect("an answer"), b"127.0.0.1");
    let too_large = get_limited(&ours, &format!("{base}/big"), 9_999).await;
    assert!(matches!(too_large, Err(HttpError::TooLarge(9_999))));
    assert_eq!(get_limited(&ours, &format!("{base}/big"), 10_000).await.expect("an answer").len(), 10_000);
    let moved = get_limited(&ours, &format!("{base}/moved"), 100).await;
    assert!(matches!(moved, Err(HttpError::Status(StatusCode::SEE_OTHER))), "no redirection is followed");
    let absent = get_limited(&ours, &format!("{base}/absent"), 100).await;
    assert!(matches!(absent, Err(HttpError::Status(StatusCode::NOT_FOUND))));
    // another authority, or none
    let other = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    for anchors in [&[other.root().clone()][..], &[]] {
        let stranger = client(anchors).expect("a client");
        assert!(matches!(get_limited(&stranger, &format!("{base}/hello"), 100).await, Err(HttpError::Request(_))));
    }
    // another name
    let wrong_name = ours.get(format!("https://127.0.0.2:{}/hello", running.addr.port())).send().await;
    assert!(wrong_name.is_err());
}

#[tokio::test]
async fn limits_and_shutdown() {
    let running = start(None).await;
    let ours = client(&[]).expect("a client");
    let base = format!("http://{}", running.addr);
    let echo = |size: usize| ours.post(format!("{base}/echo")).body(vec![b'a'; size]).send();
    assert_eq!(echo(MAX_BODY).await.expect("an answer").status(), StatusCode::OK);
    // the server may answer 413 and close before the client has written everything
    if let Ok(answer) = echo(MAX_BODY + 1).await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut raw = TcpStream::connect(running.addr).await.expect("listening");
    let head = format!("GET /hello HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(64 * 1024));
    let _ = raw.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = raw.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    // a request under way at shutdown is answered
    let slow = tokio::spawn(ours.get(format!("{base}/slow")).send());
    UNDER_WAY.notified().await;
    running.stop.cancel();
    STOPPED.notify_one();
    assert_eq!(slow.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    tokio::time::timeout(patience::PATIENCE, running.task).await.expect("it stops").expect("no panic");
    assert!(TcpStream::connect(running.addr).await.is_err(), "the port is free");
}

/// Programs that are not ours accept the authority.
#[tokio::test]
async fn one_address_cannot_take_all_the_places() {
    let running = start(None).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(running.addr).await.expect("listening"));
    }
    // One too many is closed at once; another address is served as if nothing were.
    let last = idle.last_mut().expect("300 of them");
    assert_eq!(last.read(&mut [0; 16]).await.expect("closed"), 0);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("loopback is a whole network");
    let mut other = socket.connect(running.addr).await.expect("listening");
    other.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("written");
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("127.0.0.2"), "{answer}");
    // Places are given back.
    drop(idle);
    let given_back = async {
        while reqwest::get(format!("http://{}/hello", running.addr)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience::PATIENCE, given_back).await.expect("the places are never given back");
    running.stop.cancel();
    running.task.await.expect("no panic");
}

#[tokio::test]
async fn curl_and_python_agree() {
    let (authority, running) = start_tls().await;
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("root.pem");
    std::fs::write(&root, authority.root().to_pem().expect("PEM")).expect("written");
    let resolve = format!("autoconfig.exemple.fr:{}:127.0.0.1", running.addr.port());
    let url = format!("https://autoconfig.exemple.fr:{}/hello", running.addr.port());
    let curl = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--resolve", &resolve, "--cacert"])
        .arg(&root)
        .arg(&url)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "127.0.0.1", "{}", String::from_utf8_lossy(&curl.stderr));
    let program = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as raw:
    with context.wrap_socket(raw, server_hostname='autoconfig.exemple.fr') as tls:
        print(tls.version())
";
    let python = Command::new("python3")
        .args(["-c", program])
        .arg(&root)
        .arg(running.addr.port().to_string())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("python3 is installed");
    assert_eq!(
        String::from_utf8_lossy(&python.stdout).trim(),
        "TLSv1.3",
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
}
