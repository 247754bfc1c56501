//! A name server for tests: one A record per host, one MX `mx.DOMAIN` per domain, nothing is kept by the asker (TTL 0).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

const A: u16 = 1;
const MX: u16 = 15;
/// Response, authoritative, recursion asked and available.
const FLAGS: u16 = 0x8580;
const NXDOMAIN: u16 = 3;
const SERVFAIL: u16 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    At(IpAddr),
    /// The name server has trouble with it.
    Broken,
}

/// The server.
pub struct Server {
    address: SocketAddr,
    zones: Arc<RwLock<HashMap<String, Zone>>>,
}

impl Server {
    pub async fn start(shutdown: CancellationToken) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let server = Server { address: socket.local_addr().expect("bound"), zones: Arc::default() };
        let zones = server.zones.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let received = tokio::select! {
                    () = shutdown.cancelled() => return,
                    received = socket.recv_from(&mut packet) => received,
                };
                let Ok((size, from)) = received else { continue };
                let answer = answer(&packet[..size], &zones.read().unwrap_or_else(PoisonError::into_inner));
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The domain's server is there.
    pub fn point(&self, domain: &str, to: IpAddr) {
        self.set(domain, Some(Zone::At(to)));
    }

    /// The domain is not in the DNS.
    pub fn forget(&self, domain: &str) {
        self.set(domain, None);
    }

    /// The DNS cannot tell of the domain.
    pub fn break_down(&self, domain: &str) {
        self.set(domain, Some(Zone::Broken));
    }

    fn set(&self, domain: &str, zone: Option<Zone>) {
        let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        match zone {
            Some(zone) => zones.insert(domain.to_owned(), zone),
            None => zones.remove(domain),
        };
    }
}

/// The name and type asked, and where the question ends.
fn question(packet: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4))
}

fn answer(packet: &[u8], zones: &HashMap<String, Zone>) -> Option<Vec<u8>> {
    let (name, kind, end) = question(packet)?;
    let (domain, is_host) = match name.strip_prefix("mx.") {
        Some(domain) => (domain, true),
        None => (name.as_str(), false),
    };
    let mut data = Vec::new();
    let code = match zones.get(domain) {
        None => NXDOMAIN,
        Some(Zone::Broken) => SERVFAIL,
        Some(Zone::At(IpAddr::V4(ip))) if is_host && kind == A => {
            data.extend_from_slice(&ip.octets());
            0
        }
        Some(Zone::At(_)) if !is_host && kind == MX => {
            // Preference 10, the label "mx" and a pointer to the name asked.
            data.extend_from_slice(&[0, 10, 2, b'm', b'x', 0xc0, 12]);
            0
        }
        Some(Zone::At(_)) => 0,
    };
    let mut out = Vec::new();
    out.extend_from_slice(packet.get(..2)?);
    for number in [FLAGS | code, 1, u16::from(!data.is_empty()), 0, 0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(packet.get(12..end)?);
    if !data.is_empty() {
        out.extend_from_slice(&[0xc0, 12]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
        out.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&data);
    }
    Some(out)
}
