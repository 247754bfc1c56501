//! A name server of ours, on loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_server::Server;
use hickory_server::proto::rr::rdata::{A, CNAME, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::UdpSocket;

/// One zone, `test`, whose records may change.
pub struct Names {
    pub address: SocketAddr,
    zone: Arc<InMemoryZoneHandler>,
    _server: Server<Catalog>,
    serial: std::sync::atomic::AtomicU32,
}

pub fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

impl Names {
    pub async fn start() -> Names {
        let origin = name("test");
        let mut zone: InMemoryZoneHandler =
            InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let start = SOA::new(name("ns.test"), name("host.test"), 1, 60, 60, 60, 60);
        zone.upsert_mut(Record::from_rdata(origin.clone(), 60, RData::SOA(start)), 1);
        let zone = Arc::new(zone);
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::new(&origin), vec![zone.clone()]);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let mut server = Server::new(catalog);
        server.register_socket(socket);
        Names { address, zone, _server: server, serial: 1.into() }
    }

    async fn put(&self, owner: &str, data: RData) {
        let serial = self.serial.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.zone.upsert(Record::from_rdata(name(owner), 60, data), serial).await;
    }

    pub async fn text(&self, owner: &str, value: &str) {
        self.put(owner, RData::TXT(TXT::new(vec![value.to_owned()]))).await;
    }

    pub async fn alias(&self, owner: &str, of: &str) {
        self.put(owner, RData::CNAME(CNAME(name(of)))).await;
    }

    pub async fn address(&self, owner: &str, ip: &str) {
        if let IpAddr::V4(ip) = ip.parse().expect("an address") {
            self.put(owner, RData::A(A(ip))).await;
        }
    }

    /// Nothing of that name any more.
    pub async fn remove(&self, owner: &str) {
        let owner = LowerName::new(&name(owner));
        self.zone.records_mut().await.retain(|key, _| key.name != owner);
    }
}
