//! How the server is: numbers for Prometheus, and whether it is alive and ready, over plain HTTP (`[monitoring]`).
//!
//! * [`Meter`]: the typed events that feed the counters;
//! * [`page`] makes `/metrics`;
//! * [`ready`] makes `/ready`, one check after the other;
//! * [`process`]: what the system says of the process and of the disk.
//!
//! Invariants: no person, mailbox, token or identifier in a label or an answer; asking costs little and changes nothing, however often;
//! it still answers while the server drains, to say so.

mod meter;
pub(crate) mod page;
mod process;
mod ready;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

pub use meter::{Limit, LoginOutcome, Meter};
pub use ready::{Check, Report};

use crate::service::Running;

/// The content type of the text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics`, `/health`, `/ready`.
pub(crate) fn router(running: Arc<Running>) -> Router {
    let (metrics, ready) = (running.clone(), running);
    let metrics = move || {
        let running = metrics.clone();
        async move { ([(header::CONTENT_TYPE, PROMETHEUS)], page::page(&running).await) }
    };
    let ready = move || {
        let running = ready.clone();
        async move {
            let report = ready::report(&running).await;
            let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, axum::Json(report)).into_response()
        }
    };
    Router::new().route("/metrics", get(metrics)).route("/health", get(async || "alive\n")).route("/ready", get(ready))
}
