//! For tests only: how long they wait, how they measure work, which ports they take. Imports nothing, and no crate of the product imports it.
//!
//! A test must say the same on an idle workstation and on two cores that forty programs share. So it waits for an event for as long
//! as [`PATIENCE`] and never asserts how soon it came; and where a duty is that something costs little, it counts the processor's
//! time ([`Work`]), which other programs do not lengthen, and not the clock's. `CONTRIBUTING.md`, "Tests that hold on a slow machine".
#![deny(missing_docs)]

mod port;

use std::time::Duration;

pub use port::free_port;

/// How long a test waits for what must happen. Only a test that fails ever waits so long, so it is far beyond what the slowest machine
/// needs: what takes a second on an idle machine was seen to take forty on a loaded one.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A limit of the product's that a test lets run out, where something else must still come before its end (a handshake, a command).
/// Limits that nothing is to come before may be as short as one likes.
pub const BRIEF: Duration = Duration::from_secs(3);

/// Ticks of the processor's clock in `/proc/self/stat`: USER_HZ, 100 on every architecture that Linux still has.
const TICKS_A_SECOND: u64 = 100;

/// Work of this process since [`Work::begin`], in processor time of all its threads. `cargo nextest` gives each test a process of its
/// own; under `cargo test` the other tests of the same binary are counted too, so bounds are several times what is needed.
#[derive(Debug)]
pub struct Work {
    before: Duration,
}

impl Work {
    /// Begins to count.
    #[must_use]
    pub fn begin() -> Work {
        Work { before: spent() }
    }

    /// Processor time spent since, to a hundredth of a second.
    #[must_use]
    pub fn spent(&self) -> Duration {
        spent().saturating_sub(self.before)
    }
}

/// What this process has spent since it began, its own code and the kernel's for it.
fn spent() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells what a process spent");
    // The second field is the program's name in parentheses, and may hold anything: what follows the last one is numbers.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    // utime and stime are fields 14 and 15 of proc_pid_stat(5); the third is the first one here.
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_and_waiting_does_not() {
        let work = Work::begin();
        let begun = std::time::Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        let slept = work.spent();
        let mut sum = 0u64;
        while work.spent() < slept + Duration::from_millis(100) {
            sum = (0..100_000u64).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n)));
            assert!(begun.elapsed() < PATIENCE, "work is not counted: {sum}");
        }
        assert!(slept < Duration::from_millis(300), "sleep is counted as work: {slept:?}");
    }
}
