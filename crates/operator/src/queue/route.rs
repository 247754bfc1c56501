//! Where the servers of a domain are: MX records, else the domain's own address (RFC 5321 §5.1).

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use mssante::Domain;

/// Hosts tried for one message: a domain with more lists its spare ones twice.
const MAX_HOSTS: usize = 10;
/// Addresses tried of one host.
const MAX_ADDRESSES: usize = 4;

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, which its certificate must bear.
    pub name: String,
    /// Its addresses with the port.
    pub addresses: Vec<SocketAddr>,
}

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The DNS says for sure that there is none (RFC 5321 §5.1, RFC 7505).
    #[error("the domain {0} receives no mail: it has no server in the DNS")]
    None(String),
    /// The DNS cannot tell now.
    #[error("the DNS does not answer for {0}")]
    Unknown(String),
}

/// Finds servers.
pub struct Router {
    resolver: TokioResolver,
    port: u16,
}

impl Router {
    /// Asks `nameserver`, or the system's; servers are reached on `port`.
    ///
    /// # Errors
    /// When the system's resolver configuration cannot be read.
    pub fn new(nameserver: Option<SocketAddr>, port: u16) -> Result<Self, String> {
        let builder = match nameserver {
            None => TokioResolver::builder_tokio().map_err(|e| e.to_string())?,
            Some(address) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = address.port();
                }
                let server = NameServerConfig::new(address.ip(), true, connections);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let mut options = ResolverOpts::default();
        options.cache_size = 1024;
        options.edns0 = true;
        let resolver = builder.with_options(options).build().map_err(|e| e.to_string())?;
        Ok(Router { resolver, port })
    }

    /// The servers of a domain, in the order they are to be tried.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn servers(&self, domain: &Domain) -> Result<Vec<Host>, RouteError> {
        let name = format!("{domain}.");
        let mut exchanges: Vec<(u16, String)> = match self.resolver.lookup(name.as_str(), RecordType::MX).await {
            Ok(found) => found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
                    _ => None,
                })
                .collect(),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Vec::new(),
            Err(_) => return Err(RouteError::Unknown(domain.to_string())),
        };
        // RFC 7505: a single MX "." means that no mail is wanted.
        if exchanges.iter().any(|(_, host)| host == ".") {
            return Err(RouteError::None(domain.to_string()));
        }
        if exchanges.is_empty() {
            exchanges.push((0, name));
        }
        exchanges.sort();
        exchanges.truncate(MAX_HOSTS);
        let mut hosts = Vec::new();
        let mut unknown = false;
        for (_, exchange) in exchanges {
            match self.addresses(&exchange).await {
                Ok(addresses) if addresses.is_empty() => {}
                Ok(addresses) => {
                    let name = exchange.trim_end_matches('.').to_ascii_lowercase();
                    hosts.push(Host { name, addresses });
                }
                Err(()) => unknown = true,
            }
        }
        match (hosts.is_empty(), unknown) {
            (false, _) => Ok(hosts),
            (true, true) => Err(RouteError::Unknown(domain.to_string())),
            (true, false) => Err(RouteError::None(domain.to_string())),
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, ()> {
        match self.resolver.lookup_ip(host).await {
            Ok(found) => {
                Ok(found.iter().take(MAX_ADDRESSES).map(|ip: IpAddr| SocketAddr::new(ip, self.port)).collect())
            }
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            Err(_) => Err(()),
        }
    }
}
