//! The HTTP server: an accept loop over one listener, plain or under TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use http_body_util::Limited;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::presence::{Presence, Room};
use crate::tls::{Acceptor, TlsInfo};

/// Largest request body: forms, tokens and mailbox descriptions are a few KB. Messages do not travel over these services.
pub const MAX_BODY: usize = 1024 * 1024;
/// Largest request head.
const MAX_HEAD: usize = 32 * 1024;
/// Most header fields.
const MAX_HEADERS: usize = 64;
/// Time to send a request head, also the longest idle time of a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// Connections at once from one address, half of them all: whoever opens many and says nothing must not keep everybody out.
const MAX_PER_ADDRESS: usize = MAX_CONNECTIONS / 2;
/// Pause after a failed `accept` (no file descriptor left), instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What requests under way are given at shutdown.
const GRACE: Duration = Duration::from_secs(3);

/// As an extension of a response: instead of it, the connection is closed without a word. For stand-ins of services that are down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hung up to order")]
pub struct HangUp;

/// Serves `router` on `listener` until `shutdown` is cancelled, then lets requests under way finish for a few seconds.
///
/// Handlers find `ConnectInfo<SocketAddr>` and, under TLS, `Arc<TlsInfo>` among the request's extensions.
pub async fn serve(listener: TcpListener, acceptor: Option<Acceptor>, router: Router, shutdown: CancellationToken) {
    let router = router.layer(DefaultBodyLimit::max(MAX_BODY));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let presence = Presence::new(Room { connections: MAX_CONNECTIONS, per_address: MAX_PER_ADDRESS });
    let tasks = TaskTracker::new();
    let stop_hard = CancellationToken::new();
    loop {
        let slot = tokio::select! {
            () = shutdown.cancelled() => break,
            // the semaphore is never closed; were it so, serving would stop
            slot = Arc::clone(&slots).acquire_owned() => match slot { Ok(slot) => slot, Err(_) => break },
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = presence.enter(peer.ip()) else {
            tracing::warn!(%peer, "too many HTTP connections");
            continue;
        };
        let _ = stream.set_nodelay(true); // only a matter of latency
        let (acceptor, router) = (acceptor.clone(), router.clone());
        let (soft, hard) = (shutdown.clone(), stop_hard.clone());
        tasks.spawn(async move {
            let work = async {
                match acceptor {
                    None => connection(stream, peer, None, router, soft).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(tls) => {
                            let info = tls.shared_info();
                            connection(tls, peer, Some(info), router, soft).await;
                        }
                        Err(error) => tracing::debug!(%error, "HTTPS handshake failed"),
                    },
                }
            };
            tokio::select! {
                () = work => {}
                () = hard.cancelled() => {}
            }
            drop((slot, place));
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        stop_hard.cancel();
        tasks.wait().await;
    }
}

/// One connection, to its end or to the end of the request under way at shutdown.
async fn connection<S>(
    stream: S,
    peer: SocketAddr,
    tls: Option<Arc<TlsInfo>>,
    router: Router,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Limited::new(body, MAX_BODY)));
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(tls) = &tls {
            request.extensions_mut().insert(Arc::clone(tls));
        }
        let router = router.clone();
        async move {
            let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
            match response.extensions().get::<HangUp>() {
                Some(hang_up) => Err(*hang_up),
                None => Ok(response),
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
