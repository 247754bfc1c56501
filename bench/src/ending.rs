//! What a signal ends: the servers that run under this process, which would go on without it.
//!
//! SIGINT and SIGTERM are passed on to all processes under this one, children of children too, and this one ends when they have.
//! Not the kernel's signal at the death of a parent: it comes when the *thread* ends that started a child, and to none of the
//! child's own children.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::imap::process;

/// How long they may take to end by themselves before they are killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Listens for signals from now on, on a thread of its own.
pub fn on_signals() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).map_err(|e| format!("signals cannot be received: {e}"));
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            }
        });
        end_all();
        // As shells have it.
        std::process::exit(128 + kind.as_raw_value());
    });
    Ok(())
}

/// Ends what runs under this process, and what is started meanwhile by whom nobody told.
fn end_all() {
    let (began, mut told) = (Instant::now(), BTreeSet::new());
    loop {
        // What cannot be looked at is not waited for.
        let under = process::under(std::process::id()).unwrap_or_default();
        for pid in &under {
            if told.insert(*pid) {
                send("TERM", *pid);
            }
        }
        // One whose parent ended first is no longer under this process, and ends all the same.
        if under.is_empty() && told.iter().all(|pid| !process::lives(*pid)) {
            return;
        }
        if began.elapsed() > PATIENCE {
            under.iter().for_each(|pid| send("KILL", *pid));
            return;
        }
        std::thread::sleep(LOOK);
    }
}

fn send(signal: &str, pid: u32) {
    let _ = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
}
