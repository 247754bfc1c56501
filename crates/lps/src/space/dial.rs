//! The way to a server: its name checked, resolved by the space's name server, its addresses checked, and the connection made to
//! one of the very addresses that were checked (no second resolution: no DNS rebinding).
//!
//! Happy eyeballs as RFC 8305 has it: addresses of both families by turns, the next one tried when one fails or has not
//! answered for a quarter of a second.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mssante::Domain;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use trust::names::Unanswered;

use super::public_address::is_public;
use super::{ConnectError, Space};
use crate::account::Endpoint;

/// Name resolution and TCP connection together. Long enough for a lost packet or two, short enough for somebody who waits.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// RFC 8305 §5, the recommended delay between two attempts.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Addresses tried of one host: more would only make a failure longer.
const MAX_ADDRESSES: usize = 6;

impl Space {
    /// Opens a connection to a server, without TLS yet. In a sandbox only, the host may be an IP address.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn dial(&self, endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
        let until = Instant::now() + DIAL_TIMEOUT;
        self.revocation().keep_fresh();
        let host = self.check_host(&endpoint.host)?;
        let addresses = match host {
            Host::Address(address) => vec![address],
            Host::Name(name) => match timeout_at(until, self.resolve(&name)).await {
                Ok(found) => found?,
                Err(_) => return Err(ConnectError::DnsSilent { host: name.to_string() }),
            },
        };
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, endpoint.port));
        match timeout_at(until, connect(addresses.collect())).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true); // only a matter of latency
                Ok(stream)
            }
            Ok(Err(source)) => Err(ConnectError::Unreachable { host: endpoint.host.clone(), source }),
            Err(_) => Err(ConnectError::TimedOut { host: endpoint.host.clone() }),
        }
    }

    /// What may be dialled.
    fn check_host(&self, host: &str) -> Result<Host, ConnectError> {
        if self.rules.private_addresses
            && let Ok(address) = host.parse::<IpAddr>()
        {
            return Ok(Host::Address(address));
        }
        let name: Domain =
            host.parse().map_err(|_| ConnectError::NotAName { host: host.chars().take(80).collect() })?;
        if self.allows(&name) {
            Ok(Host::Name(name))
        } else {
            Err(ConnectError::OutsideSpace { host: name.to_string() })
        }
    }

    /// The addresses of a name, those of a private network left out.
    async fn resolve(&self, name: &Domain) -> Result<Vec<IpAddr>, ConnectError> {
        let host = || name.to_string();
        let found = self.names.addresses(name.as_str()).await.map_err(|why| match why {
            Unanswered::Absent => ConnectError::NoSuchHost { host: host() },
            Unanswered::Unknown => ConnectError::DnsSilent { host: host() },
        })?;
        let allowed = found.into_iter().filter(|address| self.rules.private_addresses || is_public(*address));
        let allowed = by_turns(allowed.collect());
        if allowed.is_empty() { Err(ConnectError::PrivateAddress { host: host() }) } else { Ok(allowed) }
    }
}

/// A host that may be dialled.
enum Host {
    Name(Domain),
    Address(IpAddr),
}

/// IPv6 and IPv4 by turns, IPv6 first (RFC 8305 §4).
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut ordered = Vec::new();
    six.reverse();
    four.reverse();
    while ordered.len() < MAX_ADDRESSES && !(six.is_empty() && four.is_empty()) {
        ordered.extend(six.pop());
        ordered.extend(four.pop());
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// The first connection that succeeds; the others are given up.
async fn connect(addresses: Vec<SocketAddr>) -> std::io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let next = Instant::now() + NEXT_ADDRESS_AFTER;
        tokio::select! {
            Some(ended) = attempts.join_next() => match ended {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(error) => last = std::io::Error::other(error),
            },
            () = sleep_until(next), if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_by_turns() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().expect("an address")).collect::<Vec<IpAddr>>();
        let given = parse(&["1.0.0.1", "1.0.0.2", "1.0.0.3", "2a00::1", "1.0.0.4", "1.0.0.5", "1.0.0.6", "1.0.0.7"]);
        let expected = parse(&["2a00::1", "1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4", "1.0.0.5"]);
        assert_eq!(by_turns(given), expected);
    }

    #[tokio::test]
    async fn the_first_address_that_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = listener.local_addr().expect("bound");
        // Bound, not listening: refused at once.
        let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
        closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let bad = closed.local_addr().expect("bound");
        let stream = connect(vec![bad, good]).await.expect("the second");
        assert_eq!(stream.peer_addr().expect("connected"), good);
        assert!(connect(vec![bad]).await.is_err());
        assert!(connect(Vec::new()).await.is_err());
    }
}
