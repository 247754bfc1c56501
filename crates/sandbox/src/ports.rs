//! The ports of a sandbox: free ones found by binding them, the same again at the next start when still free, or fixed ones
//! above a base.
//!
//! MX records carry no port: the operator interfaces stand on loopback addresses of their own (127.x.y.1, .2, .3, chosen per
//! sandbox so that several run side by side) and share one relay port. Everything else listens on 127.0.0.1.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{SandboxError, traps};

/// How often another free port is tried when one is taken, or is free for one use and not for the other.
const TRIES: usize = 50;
/// Free ports are looked for from here to where those begin that the system gives to outgoing connections: one of these would be given
/// away while the sandbox is down, and not be its own any more at the next start. Above the base of the documentation's example.
const LOWEST: u16 = 20_100;

/// Ports above `--port-base` (docs/sandbox.md has the same table).
pub const BASE_PORTS: u16 = 26;
const DNS: u16 = 0;
const PSC: u16 = 1;
const WHITE_LIST: u16 = 2;
const CRL: u16 = 3;
const RELAY: u16 = 4;
const DIRECTORY: u16 = 5;
const STAND: u16 = 6;
const DESK: u16 = 7;
const OPERATORS: [u16; 2] = [10, 20];

/// Where everything listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// `x` and `y` of the loopback addresses 127.x.y.n of the operator interfaces.
    pub network: [u8; 2],
    /// The name server, UDP and TCP.
    pub dns: u16,
    /// Pro Santé Connect, HTTPS.
    pub psc: u16,
    /// The white list, HTTPS.
    pub white_list: u16,
    /// Revocation lists, HTTP.
    pub crl: u16,
    /// The directory, HTTPS.
    #[serde(default)]
    pub directory: u16,
    /// The stand of the control application, HTTPS.
    #[serde(default)]
    pub stand: u16,
    /// The pages of the control application, HTTPS.
    #[serde(default)]
    pub desk: u16,
    /// The port of all operator interfaces.
    pub relay: u16,
    /// In the order of [`crate::cast::OPERATORS`].
    pub operators: [OperatorPorts; 2],
}

/// The ports of one operator on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPorts {
    /// IMAP for people.
    pub imap: u16,
    /// Submission for people.
    pub submission: u16,
    /// IMAP for software.
    pub imap_app: u16,
    /// Submission for software.
    pub submission_app: u16,
    /// Autoconfiguration, HTTPS.
    pub autoconfig: u16,
    /// Monitoring, HTTP.
    #[serde(default)]
    pub monitoring: u16,
}

impl Ports {
    /// The address of an operator interface: 1 and 2 are the operators', 3 Mon espace santé's, 4 nobody's (the domain that is
    /// not on the white list), from 5 on those of the traps.
    pub fn mx(&self, number: u8) -> IpAddr {
        let [x, y] = self.network;
        IpAddr::V4(Ipv4Addr::new(127, x, y, number))
    }

    fn read(path: &Path) -> Option<Ports> {
        // A damaged file only costs the old port numbers.
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    pub(crate) fn remember(&self, path: &Path) -> Result<(), SandboxError> {
        let text = serde_json::to_vec_pretty(self).map_err(SandboxError::setup("ports"))?;
        std::fs::write(path, text).map_err(SandboxError::file(path))
    }
}

/// Ports chosen, with the sockets of those that serve from the start.
pub(crate) struct Reserved {
    pub ports: Ports,
    pub dns: (UdpSocket, TcpListener),
    pub psc: TcpListener,
    pub white_list: TcpListener,
    pub crl: TcpListener,
    pub directory: TcpListener,
    pub stand: TcpListener,
    pub desk: TcpListener,
    pub mes: TcpListener,
    /// Of the doors of the traps, in their order.
    pub traps: Vec<TcpListener>,
    /// Held so that nobody takes them before the operators do.
    pub operators: Vec<TcpListener>,
}

impl Reserved {
    /// Chooses the ports: above `base`, else those remembered in `file` as far as they are free, else free ones.
    pub fn choose(base: Option<u16>, file: &Path) -> Result<Reserved, SandboxError> {
        let remembered = Ports::read(file);
        let network = match &remembered {
            Some(ports) => ports.network,
            None => random_network()?,
        };
        let wish = match base {
            Some(base) => Some(above(base, network)?),
            None => remembered,
        };
        let strict = base.is_some();
        let wished = |of: fn(&Ports) -> u16| wish.as_ref().map(of);
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let dns = dns_sockets(wished(|p| p.dns), strict)?;
        let psc = claim(home, wished(|p| p.psc), strict, "Pro Santé Connect")?;
        let white_list = claim(home, wished(|p| p.white_list), strict, "white list")?;
        let crl = claim(home, wished(|p| p.crl), strict, "revocation lists")?;
        let directory = claim(home, wished(|p| p.directory), strict, "directory")?;
        let stand = claim(home, wished(|p| p.stand), strict, "stand of the control application")?;
        let desk = claim(home, wished(|p| p.desk), strict, "control application")?;
        let mut ports = Ports {
            network,
            dns: port(&dns.1)?,
            psc: port(&psc)?,
            white_list: port(&white_list)?,
            crl: port(&crl)?,
            directory: port(&directory)?,
            stand: port(&stand)?,
            desk: port(&desk)?,
            relay: 0,
            operators: [OperatorPorts {
                imap: 0,
                submission: 0,
                imap_app: 0,
                submission_app: 0,
                autoconfig: 0,
                monitoring: 0,
            }; 2],
        };
        let ([alpha, beta, mes], traps) = relay_sockets(&ports, wished(|p| p.relay), strict)?;
        ports.relay = port(&mes)?;
        let mut operators = vec![alpha, beta];
        for (index, place) in ports.operators.iter_mut().enumerate() {
            let wish = wish.as_ref().map(|ports| ports.operators[index]);
            let mut one = |of: fn(&OperatorPorts) -> u16, purpose| {
                let listener = claim(home, wish.as_ref().map(of), strict, purpose)?;
                let number = port(&listener)?;
                operators.push(listener);
                Ok::<_, SandboxError>(number)
            };
            *place = OperatorPorts {
                imap: one(|p| p.imap, "IMAP")?,
                submission: one(|p| p.submission, "submission")?,
                imap_app: one(|p| p.imap_app, "IMAP for BAL APP")?,
                submission_app: one(|p| p.submission_app, "submission for BAL APP")?,
                autoconfig: one(|p| p.autoconfig, "autoconfiguration")?,
                monitoring: one(|p| p.monitoring, "monitoring")?,
            };
        }
        Ok(Reserved { ports, dns, psc, white_list, crl, directory, stand, desk, mes, traps, operators })
    }
}

fn above(base: u16, network: [u8; 2]) -> Result<Ports, SandboxError> {
    if base == 0 || base.checked_add(BASE_PORTS).is_none() {
        return Err(SandboxError::PortBase { base, needed: BASE_PORTS });
    }
    let operator = |first: u16| OperatorPorts {
        imap: base + first,
        submission: base + first + 1,
        imap_app: base + first + 2,
        submission_app: base + first + 3,
        autoconfig: base + first + 4,
        monitoring: base + first + 5,
    };
    Ok(Ports {
        network,
        dns: base + DNS,
        psc: base + PSC,
        white_list: base + WHITE_LIST,
        crl: base + CRL,
        directory: base + DIRECTORY,
        stand: base + STAND,
        desk: base + DESK,
        relay: base + RELAY,
        operators: OPERATORS.map(operator),
    })
}

/// Away from 127.0.x.y, where systems put resolvers (127.0.0.53) and people their own things.
fn random_network() -> Result<[u8; 2], SandboxError> {
    let mut network = [0; 2];
    openssl::rand::rand_bytes(&mut network).map_err(SandboxError::setup("random numbers"))?;
    Ok([64 + network[0] % 128, network[1]])
}

fn port(listener: &TcpListener) -> Result<u16, SandboxError> {
    Ok(listener.local_addr().map_err(SandboxError::setup("ports"))?.port())
}

/// The wished port, or (unless `strict`) any free one.
fn claim(ip: IpAddr, wish: Option<u16>, strict: bool, purpose: &'static str) -> Result<TcpListener, SandboxError> {
    match wish.map(|port| (SocketAddr::new(ip, port), TcpListener::bind((ip, port)))) {
        Some((_, Ok(listener))) => Ok(listener),
        Some((address, Err(error))) if strict => Err(SandboxError::Port { address, purpose, error }),
        Some(_) | None => any(ip, purpose),
    }
}

/// A free port that outgoing connections do not take.
fn any(ip: IpAddr, purpose: &'static str) -> Result<TcpListener, SandboxError> {
    let places = LOWEST..outgoing();
    for _ in 0..TRIES {
        let mut random = [0; 2];
        openssl::rand::rand_bytes(&mut random).map_err(SandboxError::setup("random numbers"))?;
        let port = places.start + u16::from_ne_bytes(random) % places.len().clamp(1, usize::from(u16::MAX)) as u16;
        if places.contains(&port)
            && let Ok(listener) = TcpListener::bind((ip, port))
        {
            return Ok(listener);
        }
    }
    let address = SocketAddr::new(ip, 0);
    TcpListener::bind(address).map_err(|error| SandboxError::Port { address, purpose, error })
}

/// The first port of outgoing connections: as Linux says, or its default.
fn outgoing() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768)
}

/// One port for UDP and TCP.
fn dns_sockets(wish: Option<u16>, strict: bool) -> Result<(UdpSocket, TcpListener), SandboxError> {
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut wish = wish;
    for _ in 0..TRIES {
        let listener = claim(home, wish.take(), strict, "DNS")?;
        let address = SocketAddr::new(home, port(&listener)?);
        match UdpSocket::bind(address) {
            Ok(socket) => return Ok((socket, listener)),
            Err(error) if strict => return Err(SandboxError::Port { address, purpose: "DNS over UDP", error }),
            Err(_) => {}
        }
    }
    Err(SandboxError::NoFreePort)
}

/// One port on the three addresses of the operator interfaces, and on those of the traps.
fn relay_sockets(
    ports: &Ports,
    wish: Option<u16>,
    strict: bool,
) -> Result<([TcpListener; 3], Vec<TcpListener>), SandboxError> {
    let mut wish = wish;
    for _ in 0..TRIES {
        let first = claim(ports.mx(1), wish.take(), strict, "operator interface")?;
        let number = port(&first)?;
        let other = |n: u8| claim(ports.mx(n), Some(number), true, "operator interface");
        let traps: Result<Vec<_>, _> = traps::numbers().map(other).collect();
        match (other(2), other(3), traps) {
            (Ok(second), Ok(third), Ok(traps)) => return Ok(([first, second, third], traps)),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) if strict => return Err(error),
            _ => {}
        }
    }
    Err(SandboxError::NoFreePort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ports.json");
        let first = Reserved::choose(None, &file).expect("free ports");
        first.ports.remember(&file).expect("writable");
        // Taken: others are found, on the same loopback addresses.
        let beside = Reserved::choose(None, &file).expect("free ports");
        assert_ne!(beside.ports.dns, first.ports.dns);
        assert_ne!(beside.ports.relay, first.ports.relay);
        assert_eq!(beside.ports.network, first.ports.network);
        let ports = first.ports.clone();
        let all = [ports.dns, ports.psc, ports.desk, ports.relay, ports.operators[1].monitoring];
        assert!(all.iter().all(|port| (LOWEST..outgoing()).contains(port)), "{ports:?}");
        drop((first, beside));
        assert_eq!(Reserved::choose(None, &file).expect("free ports").ports, ports);
    }

    #[test]
    fn a_base_gives_the_documented_ports_or_says_which_is_taken() {
        let ports = above(20_000, [80, 1]).expect("room");
        assert_eq!(
            (ports.dns, ports.relay, ports.operators[0].imap, ports.operators[1].autoconfig),
            (20_000, 20_004, 20_010, 20_024)
        );
        assert!(matches!(above(65_520, [80, 1]), Err(SandboxError::PortBase { .. })));
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        let error = claim(address.ip(), Some(address.port()), true, "test").expect_err("taken");
        assert!(error.to_string().contains(&address.port().to_string()), "{error}");
    }
}
