//! The name service, asked by ourselves: addresses of a host, mail servers of a domain. What it does not answer is not known, never absent.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

/// Most servers of a domain, and addresses of a host, looked at.
const MAX_FOUND: usize = 16;

/// Most texts of a name looked at: a domain has a handful, and each of them may be 64 KB.
const MAX_TEXTS: usize = 50;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// For sure there is none.
    #[error("{0} : absent du DNS")]
    Absent(String),
    /// The name service does not tell.
    #[error("{0} : le DNS ne répond pas")]
    Unknown(String),
    /// The name stands for another one, which was not asked for.
    #[error("{0} : renvoie à un autre nom (CNAME)")]
    Alias(String),
    /// No name service is configured here.
    #[error("pas de DNS sur cette machine : {0}")]
    NoService(String),
}

/// The name service.
pub struct Names(TokioResolver);

impl Names {
    /// Asks this server, or the machine's.
    ///
    /// # Errors
    /// [`NameError::NoService`].
    pub fn new(server: Option<SocketAddr>) -> Result<Names, NameError> {
        let none = |error: &dyn std::fmt::Display| NameError::NoService(error.to_string());
        let builder = match server {
            None => TokioResolver::builder_tokio().map_err(|error| none(&error))?,
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
        // A campaign wants what is there now.
        options.cache_size = 0;
        options.edns0 = true;
        let resolver = builder.with_options(options).build().map_err(|error| none(&error))?;
        Ok(Names(resolver))
    }

    /// The addresses of a host, A and AAAA.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NameError> {
        match self.0.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await {
            Ok(found) => Ok(found.iter().take(MAX_FOUND).collect()),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                Err(NameError::Absent(host.to_owned()))
            }
            Err(_) => Err(NameError::Unknown(host.to_owned())),
        }
    }

    /// The mail servers of a domain, best first, in lower case and without the final point.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn mail_servers(&self, domain: &str) -> Result<Vec<String>, NameError> {
        let name = format!("{}.", domain.trim_end_matches('.'));
        let found = match self.0.lookup(name.as_str(), RecordType::MX).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                return Err(NameError::Absent(domain.to_owned()));
            }
            Err(_) => return Err(NameError::Unknown(domain.to_owned())),
        };
        let mut servers: Vec<(u16, String)> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
                _ => None,
            })
            .take(MAX_FOUND)
            .collect();
        servers.sort();
        if servers.is_empty() {
            return Err(NameError::Absent(domain.to_owned()));
        }
        Ok(servers.into_iter().map(|(_, name)| name.trim_end_matches('.').to_ascii_lowercase()).collect())
    }

    /// The texts (TXT) of a name itself: an alias of it is told, not followed.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, NameError> {
        let absent = || NameError::Absent(name.to_owned());
        let asked = format!("{}.", name.trim_end_matches('.'));
        let found = match self.0.lookup(asked.as_str(), RecordType::TXT).await {
            Ok(found) => found,
            // An alias of something without texts: whatever it stands for, it is no text of this name.
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => return Err(absent()),
            Err(_) => return Err(NameError::Unknown(name.to_owned())),
        };
        let mut texts = Vec::new();
        for record in found.answers().iter().take(MAX_TEXTS) {
            let is_asked = record.name.to_ascii().eq_ignore_ascii_case(&asked);
            match &record.data {
                RData::TXT(text) if is_asked => {
                    let parts = text.txt_data.iter().map(|part| String::from_utf8_lossy(part));
                    texts.push(parts.collect::<String>());
                }
                _ => return Err(NameError::Alias(name.to_owned())),
            }
        }
        if texts.is_empty() { Err(absent()) } else { Ok(texts) }
    }
}
