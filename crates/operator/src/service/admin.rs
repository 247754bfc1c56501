//! The administrator's socket: `DATA/admin.sock`, a Unix socket of mode 0600 that speaks HTTP, for the command line beside a running
//! server.
//!
//! * `POST /reload`: reads the configuration again; 200 with [`Reloaded`](super::Reloaded) as JSON, 409 with the problems as text;
//! * `POST /drain`: stops the server as SIGTERM does; 202;
//! * `GET /hold`: no file of mail is removed while the connection is open ([`super::hold`]);
//! * `/mailboxes/{address}/letters`: mail in and out ([`crate::transfer`]);
//! * `GET /ready`, `GET /metrics`, `GET /health`: as on the monitoring port.
//!
//! Invariant: whoever may open the socket may read the whole store: the file's mode and the folder's are the protection.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::UnixListener;

use super::Running;
use crate::{monitoring, transfer};

/// The socket's name in the data folder.
pub const SOCKET: &str = "admin.sock";

/// The socket, taken away again when the server stops.
pub(super) struct Admin(PathBuf);

impl Drop for Admin {
    fn drop(&mut self) {
        // Gone already, or left for the next start to replace.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens the socket. The store's lock is held: a file that is there was left by a server that was killed.
pub(super) fn open(data: &Path, running: &Arc<Running>) -> std::io::Result<Admin> {
    let path = data.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = router(running.clone());
    let over = running.over.clone();
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(over.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::warn!("the administrator's socket is closed: {error}");
        }
    });
    Ok(Admin(path))
}

fn router(running: Arc<Running>) -> Router {
    let (reloading, draining) = (running.clone(), running.clone());
    let reload = move || {
        let running = reloading.clone();
        async move { reloaded(&running).await }
    };
    let drain = move || {
        draining.stop_asked.cancel();
        async { StatusCode::ACCEPTED }
    };
    let holding = running.clone();
    let hold = move || {
        let running = holding.clone();
        async move { super::hold::hold(&running) }
    };
    let letters = transfer::http::router(running.store.clone());
    monitoring::router(running)
        .route("/reload", post(reload))
        .route("/drain", post(drain))
        .route("/hold", get(hold))
        .merge(letters)
}

async fn reloaded(running: &Running) -> Response {
    match running.reload().await {
        Ok(done) => Json(done).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}
