//! The asynchronous runtime of a command.

use crate::failure::Failure;

/// Runs a command to its end.
pub fn block_on<T, F: Future<Output = Result<T, Failure>>>(command: F) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the asynchronous runtime does not start: {error}")))?;
    let done = runtime.block_on(command);
    // A thread that still waits for a dead disk must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}
