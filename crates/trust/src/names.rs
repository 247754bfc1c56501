//! The name service, asked by ourselves: addresses of a host, mail servers of a domain. What it does not answer is not known,
//! never absent.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// For sure there is none.
    #[error("the DNS has no such name")]
    Absent,
    /// The name service does not tell now.
    #[error("the DNS does not answer")]
    Unknown,
}

impl From<NetError> for Unanswered {
    fn from(error: NetError) -> Self {
        if error.is_no_records_found() || error.is_nx_domain() { Unanswered::Absent } else { Unanswered::Unknown }
    }
}

/// No name service is configured on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoService(String);

/// The name service. Cheap to clone.
#[derive(Clone)]
pub struct Names(TokioResolver);

impl Names {
    /// Asks this server, or the machine's; keeps `kept` answers for as long as they say, or none.
    ///
    /// # Errors
    /// [`NoService`] when the machine's configuration cannot be read.
    pub fn new(server: Option<SocketAddr>, kept: u64) -> Result<Names, NoService> {
        let none = |error: NetError| NoService(error.to_string());
        let builder = match server {
            None => TokioResolver::builder_tokio().map_err(none)?,
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
        options.cache_size = kept;
        options.edns0 = true;
        builder.with_options(options).build().map(Names).map_err(none)
    }

    /// The addresses of a host, A and AAAA; at least one. Never looked for under the machine's own domains.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unanswered> {
        let found: Vec<IpAddr> = self.0.lookup_ip(whole(host)).await?.iter().collect();
        if found.is_empty() { Err(Unanswered::Absent) } else { Ok(found) }
    }

    /// The mail servers of a domain with their preferences, best first; at least one. In lower case and without the final point, so that
    /// an empty name is RFC 7505's "no mail".
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn mail_servers(&self, domain: &str) -> Result<Vec<(u16, String)>, Unanswered> {
        let found = self.0.lookup(whole(domain), RecordType::MX).await?;
        let exchange = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase())),
            _ => None,
        };
        let mut servers: Vec<(u16, String)> =
            found.answers().iter().filter_map(|record| exchange(&record.data)).collect();
        servers.sort();
        if servers.is_empty() { Err(Unanswered::Absent) } else { Ok(servers) }
    }

    /// The texts (TXT) of a name itself; `None` when it is an alias, which is not followed.
    ///
    /// # Errors
    /// [`Unanswered`]; an alias of something without texts is no name with texts either.
    pub async fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Unanswered> {
        let asked = whole(name);
        let found = self.0.lookup(asked.as_str(), RecordType::TXT).await?;
        let text = |record: &Record| match &record.data {
            RData::TXT(text) if record.name.to_ascii().eq_ignore_ascii_case(&asked) => {
                Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>())
            }
            _ => None,
        };
        let texts: Option<Vec<String>> = found.answers().iter().map(text).collect();
        if texts.as_ref().is_some_and(Vec::is_empty) { Err(Unanswered::Absent) } else { Ok(texts) }
    }
}

/// A name with its final point.
fn whole(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}
