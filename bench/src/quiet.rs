//! Quiet before each measure: what the one before left to do (files to write, a queue to tidy, an index to make) is nobody's
//! share of the next.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cpu;

/// How long nothing must have happened: longer than the four seconds our search index waits for more messages.
const WINDOW: Duration = Duration::from_secs(5);
/// A machine that others use is never quiet: the measure goes on then, and says so.
const PATIENCE: Duration = Duration::from_secs(300);

/// Writes what waits to be written, and waits until the processors were busy for at most `percent` of five seconds.
pub fn settle(percent: f64) {
    // Without the command the wait alone has to do.
    let _ = Command::new("sync").status();
    let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let begin = Instant::now();
    loop {
        let Some(before) = cpu::machine() else { return };
        std::thread::sleep(WINDOW);
        let Some(after) = cpu::machine() else { return };
        let busy = (after - before) / (WINDOW.as_secs_f64() * processors) * 100.0;
        if busy <= percent {
            return;
        }
        if begin.elapsed() > PATIENCE {
            eprintln!(
                "not quiet: {busy:.0} % of the processors are busy after five minutes of waiting; measured all the same"
            );
            return;
        }
    }
}
