//! What the process asks of the system to keep its memory to itself.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, setsid};

/// No core dump, no tracing by other processes of the user (`ptrace`, `/proc/PID/mem`), no swap where possible, and a session of
/// its own: the terminal that started it can go.
///
/// Each is asked for by itself; one that the system denies is no reason to keep a person from their mail.
pub(super) fn harden() {
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    if dumpable.is_err() || core.is_err() {
        tracing::warn!("the system does not let the agent forbid dumps of its memory");
    }
    // With a limit, some later allocation would fail and end the process: all or nothing.
    if getrlimit(Resource::Memlock).current.is_none() {
        let locked = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
        tracing::debug!(locked = locked.is_ok(), "the agent's memory");
    }
    // Fails for a process that leads its group already: then it has nothing to leave.
    let _ = setsid();
}
