//! Ports for servers that a test tells where to listen, and that it stops and starts again.

use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Below those that Linux gives to outgoing connections (32768 and more): one of these is given away as soon as nobody listens on it,
/// before a server starts and each time it starts again. Above are those of sandboxes.
const PLACES: std::ops::Range<u16> = 10_000..16_000;

/// Locks of the ports that are this process's.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nobody else is given while this process lives: neither by the system nor by another test. The tests in
/// Python hold the same locks (`tests/e2e/space.py`).
///
/// # Panics
/// When there is none, or no folder for the locks.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("vaguemestre-test-ports");
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::create_dir_all(&folder).expect("a folder for the locks of ports");
    // Not all from the same place, so that few are tried.
    let start = std::process::id().wrapping_mul(7919) % u32::from(PLACES.end - PLACES.start);
    for step in 0..PLACES.end - PLACES.start {
        let port = PLACES.start + ((start + u32::from(step)) % u32::from(PLACES.end - PLACES.start)) as u16;
        let lock = File::options().create(true).append(true).open(folder.join(port.to_string())).expect("a lock");
        match lock.try_lock() {
            Ok(()) if TcpListener::bind(("127.0.0.1", port)).is_ok() => {
                held.push(lock);
                return port;
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => panic!("{}: {error}", folder.display()),
        }
    }
    panic!("every port of {PLACES:?} is taken")
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_is_given_once() {
        let ports: Vec<u16> = (0..20).map(|_| super::free_port()).collect();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), ports.len(), "{ports:?}");
        assert!(ports.iter().all(|port| super::PLACES.contains(port)));
    }
}
