//! The connection test: both servers of an entry point are greeted, brought to TLS, asked what they can do, and left. Nobody logs
//! in.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use trust::Dn;
use trust::tls::{Connector, HandshakeError, Identity, Suite, TlsError, TlsVersion};

use super::dialogue::{Dialogue, Protocol};
use crate::account::{Endpoint, EntryPoints};
use crate::explain::{Explain, Fault, Remedy, Told};
use crate::space::{ConnectError, Space};

/// A server looked at.
#[derive(Debug, Clone)]
pub struct ServerReport {
    /// Which.
    pub endpoint: Endpoint,
    /// The address that answered.
    pub address: Option<SocketAddr>,
    /// Its greeting.
    pub greeting: String,
    /// What it can do in clear.
    pub before: Vec<String>,
    /// What it can do under TLS, before a login.
    pub after: Vec<String>,
    /// Version of TLS.
    pub version: TlsVersion,
    /// Suite.
    pub suite: Suite,
    /// Whose its certificate is.
    pub subject: Dn,
    /// Who issued it.
    pub issuer: Dn,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// The host names in it.
    pub names: Vec<String>,
    /// Beginning of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
    /// From the first packet to the end of the handshake.
    pub took: Duration,
}

/// Both servers of an entry point.
#[derive(Debug)]
pub struct ProbeReport {
    /// Reading.
    pub imap: Result<ServerReport, ProbeError>,
    /// Sending.
    pub smtp: Result<ServerReport, ProbeError>,
}

/// A server that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS could not be set up on our side.
    #[error(transparent)]
    Setup(#[from] TlsError),
    /// Its certificate, or its TLS.
    #[error(transparent)]
    Tls(#[from] HandshakeError),
    /// It does not offer STARTTLS.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// Something was said between STARTTLS and the handshake: somebody on the way may want it to be taken for the server's.
    #[error("data were injected before TLS")]
    EarlyData,
    /// It says no.
    #[error("the server refuses: {answer}")]
    Refused {
        /// Its words, cut.
        answer: String,
    },
    /// It is connected and does not answer.
    #[error("the server does not answer")]
    Silent,
    /// It closed, or the network broke.
    #[error("connection lost: {0}")]
    Lost(#[source] std::io::Error),
    /// It does not speak the protocol.
    #[error("the server does not speak the protocol")]
    Nonsense,
}

/// Looks at both servers, at the same time. `identity` is the certificate of a BAL APP.
pub async fn probe(space: &Space, entry: &EntryPoints, identity: Option<&Identity>) -> ProbeReport {
    let (imap, smtp) = tokio::join!(
        server(space, &entry.imap, Protocol::Imap, identity),
        server(space, &entry.smtp, Protocol::Smtp, identity),
    );
    ProbeReport { imap, smtp }
}

async fn server(
    space: &Space,
    endpoint: &Endpoint,
    protocol: Protocol,
    identity: Option<&Identity>,
) -> Result<ServerReport, ProbeError> {
    let connector: Connector = space.connector(identity)?;
    let begin = Instant::now();
    let tcp = space.dial(endpoint).await?;
    let address = tcp.peer_addr().ok();
    // RFC 5321 §4.1.3: a client without a name of its own says its address.
    let name = match tcp.local_addr().map(|local| local.ip()) {
        Ok(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Ok(IpAddr::V4(ip)) => format!("[{ip}]"),
        Err(_) => "[127.0.0.1]".to_owned(),
    };
    let mut clear = Dialogue::new(tcp, protocol);
    let greeting = clear.greeting().await?;
    let before = clear.capabilities(&name).await?;
    if !before.iter().any(|word| word.eq_ignore_ascii_case("STARTTLS")) {
        return Err(ProbeError::NoStartTls);
    }
    let tls = connector.connect(&endpoint.host, clear.starttls().await?).await?;
    let took = begin.elapsed();
    let info = tls.shared_info();
    let peer = info.client().map_err(HandshakeError::from)?;
    let mut inside = Dialogue::new(tls, protocol);
    let after = inside.capabilities(&name).await?;
    inside.leave().await;
    Ok(ServerReport {
        endpoint: endpoint.clone(),
        address,
        greeting,
        before,
        after,
        version: info.version,
        suite: info.suite,
        subject: peer.subject.clone(),
        issuer: peer.issuer.clone(),
        serial: peer.serial.clone(),
        names: peer.dns_names.clone(),
        not_before: peer.not_before,
        not_after: peer.not_after,
        took,
    })
}

impl Explain for ProbeError {
    fn told(&self) -> Told {
        const SOON: Remedy = ("Réessayez dans un instant.", "Try again in a moment.");
        match self {
            ProbeError::Connect(error) => error.told(),
            ProbeError::Setup(error) => Told::new(
                "probe.certificates",
                Fault::Host,
                format!("certificats : {error}"),
                (
                    "Vérifiez les certificats donnés dans trust.anchors et celui de ce logiciel.",
                    "Check the certificates given in trust.anchors and that of this software.",
                ),
            ),
            ProbeError::Tls(error) => error.told(),
            ProbeError::NoStartTls => Told::new(
                "probe.no-starttls",
                Fault::Operator,
                "le serveur n'offre pas STARTTLS",
                (
                    "Ne vous connectez pas : un équipement du réseau retire STARTTLS, ou l'opérateur ne l'offre pas ; prévenez-le.",
                    "Do not connect: something on the network strips STARTTLS, or the operator does not offer it; tell the operator.",
                ),
            ),
            ProbeError::EarlyData => Told::new(
                "probe.early-data",
                Fault::Network,
                "des données ont été injectées avant TLS",
                (
                    "Ne vous connectez pas depuis ce réseau : un équipement entre ce poste et l'opérateur s'immisce dans la connexion.",
                    "Do not connect from this network: something between this machine and the operator meddles with the connection.",
                ),
            ),
            ProbeError::Refused { answer } => {
                Told::new("probe.refused", Fault::Operator, format!("le serveur refuse : {answer}"), SOON).passing()
            }
            ProbeError::Silent => Told::new("probe.silent", Fault::Network, "le serveur ne répond pas", SOON).passing(),
            ProbeError::Lost(error) => {
                Told::new("probe.lost", Fault::Network, format!("connexion perdue : {error}"), SOON).passing()
            }
            ProbeError::Nonsense => Told::new(
                "probe.nonsense",
                Fault::Operator,
                "le serveur ne parle pas le protocole",
                ("Vérifiez le nom et le port du serveur.", "Check the name and the port of the server."),
            ),
        }
    }
}
