//! SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Listens from its creation on.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Exit code after a second signal, as shells have it for SIGINT.
const AT_ONCE: i32 = 130;

impl Signals {
    /// Begins to listen; from here on a signal no longer ends the process by itself.
    pub fn listen() -> Result<Signals, Failure> {
        let one = |kind| signal(kind).map_err(|error| Failure::new(format!("signals cannot be received: {error}")));
        Ok(Signals { interrupt: one(SignalKind::interrupt())?, terminate: one(SignalKind::terminate())? })
    }

    /// Waits for one.
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
