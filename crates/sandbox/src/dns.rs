//! The name server of the test domains, UDP and TCP, on loopback. It answers for its own zones only; for anything else it
//! says REFUSED and asks nobody.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ::control::trap::Door;
use hickory_server::Server;
use hickory_server::proto::rr::rdata::{A, MX, NS, SOA, SRV};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

use crate::cast::{OPERATORS, OUTSIDER_DOMAIN, SOFTWARE_DOMAIN};
use crate::{Ports, SandboxError, node, traps};

/// Life of every record, in seconds: short, since the ports of the SRV records change between starts.
const TTL: u32 = 60;
/// A TCP connection without question is closed after this long.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers waiting on one TCP connection.
const TCP_ANSWERS: usize = 32;

/// A name server running.
pub struct NameServer {
    server: Server<Catalog>,
}

impl NameServer {
    /// Starts on sockets already bound.
    ///
    /// # Errors
    /// None for the zones of the cast.
    pub fn start(socket: UdpSocket, listener: TcpListener, ports: &Ports) -> Result<NameServer, SandboxError> {
        let mut server = Server::new(catalog(ports)?);
        server.register_socket(socket);
        server.register_listener(listener, TCP_IDLE, TCP_ANSWERS);
        Ok(NameServer { server })
    }

    /// Stops.
    pub async fn stop(mut self) {
        if let Err(error) = self.server.shutdown_gracefully().await {
            tracing::debug!("the name server: {error}");
        }
    }
}

/// One zone being written.
struct Zone {
    origin: Name,
    handler: InMemoryZoneHandler,
}

impl Zone {
    fn new(domain: &str) -> Result<Zone, SandboxError> {
        let origin = name(domain)?;
        let mut zone = Zone {
            handler: InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny),
            origin: origin.clone(),
        };
        let server = zone.host("ns")?;
        let master = zone.host("hostmaster")?;
        zone.put(origin.clone(), RData::SOA(SOA::new(server.clone(), master, 1, 3600, 600, 86_400, TTL)));
        zone.put(origin, RData::NS(NS(server.clone())));
        zone.address(server, Ipv4Addr::LOCALHOST.into());
        Ok(zone)
    }

    fn host(&self, label: &str) -> Result<Name, SandboxError> {
        name(&format!("{label}.{}", self.origin))
    }

    fn put(&mut self, owner: Name, data: RData) {
        self.handler.upsert_mut(Record::from_rdata(owner, TTL, data), 1);
    }

    fn address(&mut self, owner: Name, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.put(owner, RData::A(A(ip))),
            // Only IPv4 loopback addresses are used.
            IpAddr::V6(_) => {}
        }
    }

    fn mail(&mut self, ip: IpAddr) -> Result<(), SandboxError> {
        let exchange = self.host("mx")?;
        self.put(self.origin.clone(), RData::MX(MX::new(10, exchange.clone())));
        self.address(exchange, ip);
        Ok(())
    }

    /// RFC 6186.
    fn service(&mut self, label: &str, port: u16, host: &str) -> Result<(), SandboxError> {
        let (owner, target) = (self.host(label)?, self.host(host)?);
        self.put(owner, RData::SRV(SRV::new(0, 1, port, target)));
        Ok(())
    }
}

fn name(text: &str) -> Result<Name, SandboxError> {
    let mut name = Name::from_ascii(text).map_err(SandboxError::setup("DNS"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn catalog(ports: &Ports) -> Result<Catalog, SandboxError> {
    let mut zones = Vec::new();
    for (index, operator) in OPERATORS.iter().enumerate() {
        let mut zone = Zone::new(operator.domain)?;
        zone.mail(ports.mx(index as u8 + 1))?;
        for host in ["lps", "app", "autoconfig"] {
            let owner = zone.host(host)?;
            zone.address(owner, Ipv4Addr::LOCALHOST.into());
        }
        if faults::ARMED && index == 0 {
            let owner = zone.host("lps")?;
            zone.address(owner, ports.mx(node::NUMBER));
        }
        zone.service("_imap._tcp", ports.operators[index].imap, "lps")?;
        zone.service("_submission._tcp", ports.operators[index].submission, "lps")?;
        zones.push(zone);
    }
    for (domain, number) in [(mssante::PATIENT_DOMAIN, 3), (OUTSIDER_DOMAIN, 4)] {
        let mut zone = Zone::new(domain)?;
        zone.mail(ports.mx(number))?;
        zones.push(zone);
    }
    zones.push(trap_zone(ports)?);
    let mut software = Zone::new(SOFTWARE_DOMAIN)?;
    for host in ["lps", "autoconfig"] {
        let owner = software.host(host)?;
        software.address(owner, Ipv4Addr::LOCALHOST.into());
    }
    zones.push(software);
    let mut catalog = Catalog::new();
    for zone in zones {
        catalog.upsert(LowerName::new(&zone.origin), vec![Arc::new(zone.handler)]);
    }
    Ok(catalog)
}

/// One zone for all doors of the traps; the first server of one of them does not listen.
fn trap_zone(ports: &Ports) -> Result<Zone, SandboxError> {
    let mut zone = Zone::new(traps::DOMAIN)?;
    for door in Door::ALL {
        let (domain, host) = (name(&door.domain(traps::DOMAIN))?, name(&traps::host(door))?);
        let mut preference = 10;
        if door == Door::Mx2 {
            let first = name(&format!("mx1.{}", door.domain(traps::DOMAIN)))?;
            zone.put(domain.clone(), RData::MX(MX::new(preference, first.clone())));
            zone.address(first, ports.mx(traps::closed()));
            preference = 20;
        }
        zone.put(domain, RData::MX(MX::new(preference, host.clone())));
        zone.address(host, ports.mx(traps::number(door)));
    }
    Ok(zone)
}
