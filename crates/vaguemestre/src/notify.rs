//! Telling systemd how the service is (sd_notify(3)): one datagram to the socket that `NOTIFY_SOCKET` names. Without it, nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service takes connections.
pub const READY: &str = "READY=1";
/// The service stops.
pub const STOPPING: &str = "STOPPING=1";
/// The service is alive.
const ALIVE: &str = "WATCHDOG=1";

/// Tells.
pub fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").and_then(|name| name.into_string().ok()) else { return };
    if let Err(error) = send(&name, state) {
        tracing::warn!("systemd cannot be told {state}: {error}");
    }
}

fn send(name: &str, state: &str) -> std::io::Result<()> {
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

/// Tells that the service is alive as often as `WATCHDOG_USEC` asks, as long as the runtime runs tasks. Never ends.
pub async fn watchdog() {
    let asked = std::env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse::<u64>().ok()).filter(|m| *m > 0);
    let Some(micros) = asked else { return std::future::pending().await };
    // Half of the time, as sd_watchdog_enabled(3) advises.
    let mut tick = tokio::time::interval(Duration::from_micros(micros / 2).max(Duration::from_millis(1)));
    loop {
        tick.tick().await;
        tell(ALIVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        send(path.to_str().expect("text"), READY).expect("told");
        let name = format!("vaguemestre-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&address).expect("a socket");
        send(&format!("@{name}"), STOPPING).expect("told");
        for (socket, expected) in [(by_path, READY), (by_name, STOPPING)] {
            let mut octets = [0; 64];
            let n = socket.recv(&mut octets).expect("a datagram");
            assert_eq!(&octets[..n], expected.as_bytes());
        }
    }
}
