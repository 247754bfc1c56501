//! Connections to the servers of a domain, each checked against the white list before a word is said inside TLS (OPE-LIST).

use faults::Fault;
use mssante::Domain;
use smtp::client::{Client, ClientError};
use trust::white_list::WhiteList;

use super::QueueConfig;
use super::route::RouteError;

/// Why no server of a domain can be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The DNS.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// The last server tried, by name.
    #[error("{host}: {error}")]
    Server {
        /// Its name.
        host: String,
        /// What happened.
        #[source]
        error: ClientError,
    },
}

impl Unreachable {
    /// Whether the server was there and could not be trusted, rather than not there.
    pub fn is_distrust(&self) -> bool {
        matches!(self, Unreachable::Server { error, .. } if error.is_trust())
    }
}

/// A connection to a server of a domain.
pub struct Connected {
    /// The server's name.
    pub host: String,
    /// The connection.
    pub client: Client,
    /// Kept from the message before: the server may have closed it meanwhile.
    pub held: bool,
}

/// The connection a worker holds, if any.
#[derive(Default)]
pub struct Connections(Option<(String, Client)>);

impl Connections {
    /// A connection to a server of `domain`: the one held, or the first server that lets us in and may answer for the domain.
    ///
    /// # Errors
    /// [`Unreachable`], of the server that came nearest.
    pub async fn get(
        &mut self,
        config: &QueueConfig,
        domain: &Domain,
        list: &WhiteList,
    ) -> Result<Connected, Unreachable> {
        if let Some((host, client)) = self.0.take() {
            // The list may have changed since the connection was opened.
            let still = client.tls().peer.as_ref().is_some_and(|p| list.allows(domain.as_str(), &p.subject));
            if still {
                return Ok(Connected { host, client, held: true });
            }
            client.quit().await;
        }
        let check = |tls: &trust::tls::TlsInfo| match tls.client() {
            Ok(peer) if list.allows(domain.as_str(), &peer.subject) => Ok(()),
            Ok(_) if faults::is_on(Fault::OutsideDelivery) && !list.is_listed(domain.as_str()) => Ok(()),
            Ok(peer) => Err(format!("its certificate ({}) is not listed for {domain}", peer.subject)),
            Err(fault) => Err(fault.to_string()),
        };
        let mut nearest: Option<Unreachable> = None;
        for host in config.router.servers(domain).await? {
            for address in &host.addresses {
                match Client::connect(*address, &host.name, &config.settings, &check).await {
                    Ok(client) => return Ok(Connected { host: host.name, client, held: false }),
                    Err(error) => {
                        tracing::info!(%domain, host = host.name, "no connection: {error}");
                        let failed = Unreachable::Server { host: host.name.clone(), error };
                        // A server that is there but cannot be trusted tells the sender more than one that is down.
                        if nearest.as_ref().is_none_or(|n| !n.is_distrust() || failed.is_distrust()) {
                            nearest = Some(failed);
                        }
                    }
                }
            }
        }
        Err(nearest.unwrap_or_else(|| RouteError::None(domain.to_string()).into()))
    }

    /// Gives a connection back for the next message.
    pub fn keep(&mut self, host: String, client: Client) {
        // Made while other switches were on, or before TLS.
        if faults::ARMED {
            return;
        }
        self.0 = Some((host, client));
    }

    /// Ends what is held.
    pub async fn quit(self) {
        if let Some((_, client)) = self.0 {
            client.quit().await;
        }
    }
}
