//! SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process at once. SIGHUP asks to read the configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Listens from its creation on.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

/// Exit code after a second signal, as shells have it for SIGINT.
const AT_ONCE: i32 = 130;

impl Signals {
    /// Begins to listen; from here on a signal no longer ends the process by itself.
    pub fn listen() -> Result<Signals, Failure> {
        let one = |kind| signal(kind).map_err(|error| Failure::new(format!("signals cannot be received: {error}")));
        Ok(Signals {
            interrupt: one(SignalKind::interrupt())?,
            terminate: one(SignalKind::terminate())?,
            hang_up: None,
        })
    }

    /// Listens to SIGHUP too, which otherwise ends the process as it always did.
    pub fn with_hang_up(self) -> Result<Signals, Failure> {
        let hang_up = signal(SignalKind::hangup());
        let hang_up = hang_up.map_err(|error| Failure::new(format!("signals cannot be received: {error}")))?;
        Ok(Signals { hang_up: Some(hang_up), ..self })
    }

    /// Waits for one that asks for a stop (`true`) or for the configuration to be read again (`false`).
    pub async fn next_of_both(&mut self) -> bool {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = hang_up => false,
        }
    }

    /// Waits for one that asks for a stop.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Waits for `stopping` to be done; another signal meanwhile ends the process.
    pub async fn unless_again(mut self, stopping: impl Future<Output = ()>) {
        tokio::select! {
            () = stopping => {}
            () = self.next() => {
                eprintln!("vaguemestre: stopped at once");
                std::process::exit(AT_ONCE);
            }
        }
    }
}
