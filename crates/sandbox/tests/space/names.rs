//! The name server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use sandbox::Description;

/// Asks over UDP, then over TCP.
pub async fn resolve(description: &Description) {
    let server = SocketAddr::new(description.dns.host.parse().expect("an address"), description.dns.port);
    for connection in [ConnectionConfig::udp(), ConnectionConfig::tcp()] {
        let mut connection = connection;
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.build().expect("a resolver");

        for (domain, mx) in
            description.operators.iter().map(|operator| (operator.domain.clone(), Some(&operator.mx))).chain([
                (description.mes.domain.clone(), Some(&description.mes.mx)),
                ("horsliste.formation.mssante.fr".to_owned(), None),
            ])
        {
            let found = resolver.lookup(format!("{domain}."), RecordType::MX).await.expect("an MX");
            let exchange = found.answers().iter().find_map(|record| match &record.data {
                RData::MX(mx) => Some(mx.exchange.to_ascii()),
                _ => None,
            });
            let exchange = exchange.expect("an MX");
            let addresses: Vec<IpAddr> = resolver.lookup_ip(exchange.as_str()).await.expect("an A").iter().collect();
            match mx {
                Some(mx) => {
                    assert_eq!(exchange, format!("{}.", mx.name));
                    assert_eq!(addresses, [mx.host.parse::<IpAddr>().expect("an address")]);
                }
                None => assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}"),
            }
        }
        for operator in &description.operators {
            // RFC 6186
            for (service, entry) in [("_imap", &operator.imap), ("_submission", &operator.submission)] {
                let name = format!("{service}._tcp.{}.", operator.domain);
                let found = resolver.lookup(name, RecordType::SRV).await.expect("an SRV");
                let srv = found.answers().iter().find_map(|record| match &record.data {
                    RData::SRV(srv) => Some((srv.port, srv.target.to_ascii())),
                    _ => None,
                });
                assert_eq!(srv, Some((entry.port, format!("{}.", entry.name))));
            }
            for host in ["lps", "app", "autoconfig"] {
                let found = resolver.lookup_ip(format!("{host}.{}.", operator.domain)).await.expect("an A");
                assert_eq!(found.iter().collect::<Vec<_>>(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
            }
        }
        for elsewhere in ["example.com.", "mssante.fr.", "nobody.alpha.formation.mssante.fr."] {
            assert!(resolver.lookup(elsewhere, RecordType::A).await.is_err(), "{elsewhere}");
        }
    }
}
