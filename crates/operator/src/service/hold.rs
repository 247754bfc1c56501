//! `GET /hold` on the administrator's socket: the store keeps its files as long as the connection is open, for a backup made beside the
//! server. The answer never ends by itself; a pulse every second tells that the server is the same as before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::{Interval, interval};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Running;

/// What the answer begins with: the files are held.
pub const HELD: &str = "held\n";
/// Between two pulses: also how long a hold outlives a client that vanished.
const PULSE: Duration = Duration::from_secs(1);

/// Holds until the client goes or the server is over.
pub(super) fn hold(running: &Arc<Running>) -> Response {
    let Some(held) = running.store.hold() else {
        return (StatusCode::NOT_IMPLEMENTED, "this store has no files\n").into_response();
    };
    let over = Box::pin(running.over.clone().cancelled_owned());
    Body::from_stream(Pulse { _held: held, over, ticks: interval(PULSE), begun: false }).into_response()
}

struct Pulse {
    _held: Box<dyn std::any::Any + Send + Sync>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    ticks: Interval,
    begun: bool,
}

impl futures_core::Stream for Pulse {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.ticks.poll_tick(cx).map(|_| {
            let text = if std::mem::replace(&mut self.begun, true) { "." } else { HELD };
            Some(Ok(Bytes::from_static(text.as_bytes())))
        })
    }
}
