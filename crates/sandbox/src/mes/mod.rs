//! A small Mon espace santé: receives the mail of patients as any operator does (mutual TLS, white list) and puts each
//! message into `DIR/mes/<INS>/<number>.eml`, with what the envelope said beside it in `<number>.json` (OPE-PATIENT).
//!
//! Rules (client.md §2.6): the local part is an INS whose key is right, else 550 5.1.1; a message over 25 MB in all is refused
//! with 552 5.3.4; `X-MSS-MES: FIN` is noted. Every INS has a space here.
//!
//! Invariant: a message answered 250 is on disk, synced, with its description: the `.eml` appears last.

mod folder;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::SharedClock;
use trust::tls::Acceptor;
use trust::white_list::Keeper;

use folder::Folder;
pub use folder::Note;

use crate::SandboxError;

/// The largest message taken, in octets.
pub const MAX_MESSAGE: u64 = 25 * 1024 * 1024;
/// Its name.
pub const HOST: &str = "mx.patient.mssante.fr";
/// Connections at once; more are closed: operators come back.
const MAX_CONNECTIONS: usize = 200;

/// What it needs.
pub(crate) struct Settings {
    /// Where messages go.
    pub folder: PathBuf,
    /// TLS of an operator interface.
    pub tls: Acceptor,
    /// Who may write for which domain.
    pub white_list: Arc<Keeper>,
    /// Tells the time.
    pub clock: SharedClock,
}

/// Takes connections until `shutdown`.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), SandboxError> {
    let config =
        Arc::new(smtp::Config { max_size: MAX_MESSAGE, ..smtp::Config::new(smtp::Role::Mx, settings.tls, HOST) });
    let backend: Arc<dyn smtp::Backend> = Arc::new(session::Backend {
        folder: Arc::new(Folder::open(settings.folder)?),
        white_list: settings.white_list,
        clock: settings.clock,
    });
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if tasks.len() < MAX_CONNECTIONS => {
                tasks.spawn(smtp::serve(stream, peer, config.clone(), backend.clone(), shutdown.clone()));
            }
            Ok(_) => tracing::warn!("Mon espace santé has too many connections"),
            Err(error) => {
                tracing::warn!("Mon espace santé could not take a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}
