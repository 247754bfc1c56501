//! Where the servers of a domain are: MX records, else the domain's own address (RFC 5321 §5.1).

use std::net::SocketAddr;

use mssante::Domain;
use trust::names::{Names, Unanswered};

/// Hosts tried for one message: a domain with more lists its spare ones twice.
const MAX_HOSTS: usize = 10;
/// Addresses tried of one host.
const MAX_ADDRESSES: usize = 4;
/// Answers of the DNS kept: those of the domains mail goes to, of which the trust space has some thousands.
const KEPT: u64 = 1024;

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
    names: Names,
    port: u16,
}

impl Router {
    /// Asks `nameserver`, or the system's; servers are reached on `port`.
    ///
    /// # Errors
    /// When the system's resolver configuration cannot be read.
    pub fn new(nameserver: Option<SocketAddr>, port: u16) -> Result<Self, String> {
        Ok(Router { names: Names::new(nameserver, KEPT).map_err(|e| e.to_string())?, port })
    }

    /// The servers of a domain, in the order they are to be tried.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn servers(&self, domain: &Domain) -> Result<Vec<Host>, RouteError> {
        let domain = domain.as_str();
        let mut exchanges = match self.names.mail_servers(domain).await {
            Ok(found) => found,
            Err(Unanswered::Absent) => vec![(0, domain.to_ascii_lowercase())],
            Err(Unanswered::Unknown) => return Err(RouteError::Unknown(domain.to_owned())),
        };
        // RFC 7505: a single MX "." means that no mail is wanted.
        if exchanges.iter().any(|(_, host)| host.is_empty()) {
            return Err(RouteError::None(domain.to_owned()));
        }
        exchanges.truncate(MAX_HOSTS);
        let mut hosts = Vec::new();
        let mut unknown = false;
        for (_, name) in exchanges {
            match self.names.addresses(&name).await {
                Ok(found) => {
                    let addresses = found.into_iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, self.port));
                    hosts.push(Host { name, addresses: addresses.collect() });
                }
                Err(Unanswered::Absent) => {}
                Err(Unanswered::Unknown) => unknown = true,
            }
        }
        match (hosts.is_empty(), unknown) {
            (false, _) => Ok(hosts),
            (true, true) => Err(RouteError::Unknown(domain.to_owned())),
            (true, false) => Err(RouteError::None(domain.to_owned())),
        }
    }
}
