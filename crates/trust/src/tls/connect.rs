//! The client side of a handshake: the relay towards another operator, and any other connection of ours to the trust space.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use openssl::pkey::Id;
use openssl::ssl::{Ssl, SslContext, SslVerifyMode, StatusType};
use openssl::x509::verify::X509CheckFlags;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::gather::Gather;
use super::peer::unix;
use super::profile::{self, Profile, Tls13, TlsVersion};
use super::stream::{TlsInfo, TlsStream};
use super::verify::{Examination, Usage};
use super::{Anchors, HANDSHAKE_TIMEOUT, HandshakeError, Identity, TlsError, defects};
use crate::clock::{SharedClock, SystemClock};
use crate::revocation::Revocation;

/// Smallest group of a DHE exchange: 2048 bits, or an elliptic curve of 256 (X25519 counts 253).
const MIN_DH_BITS: u32 = 2048;
const MIN_ECDH_BITS: u32 = 253;

/// The settings of outgoing connections.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// What we show when asked.
    pub identity: Option<Identity>,
    /// Suites: [`Profile::Operator`] for the relay, [`Profile::ApiLps`] for a client of the API LPS.
    pub profile: Profile,
    /// TLS 1.3 or not.
    pub tls13: Tls13,
    /// Until when servers that know nothing above TLS 1.0 or 1.1 are tolerated ([`Profile::Operator`] only). // OPE-TLSVER
    pub tls10_until: Option<SystemTime>,
    /// The authorities of servers.
    pub anchors: Anchors,
    /// Their revocation lists.
    pub revocation: Arc<Revocation>,
    /// Dates.
    pub clock: SharedClock,
}

impl ClientTls {
    /// Settings of the relay between operators: our certificate is shown, the server's is checked.
    pub fn operator(identity: Identity, anchors: Anchors, revocation: Arc<Revocation>) -> ClientTls {
        ClientTls {
            identity: Some(identity),
            profile: Profile::Operator,
            tls13: Tls13::Allowed,
            tls10_until: None,
            anchors,
            revocation,
            clock: SystemClock::shared(),
        }
    }
}

/// Opens TLS on outgoing connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    strict: SslContext,
    /// While old versions are tolerated.
    tolerant: Option<(SslContext, SystemTime)>,
    settings: ClientTls,
}

impl Connector {
    /// A connector with these settings.
    ///
    /// # Errors
    /// A wrong certificate or key; no authority.
    pub fn new(settings: ClientTls) -> Result<Connector, TlsError> {
        if settings.anchors.is_empty() {
            return Err(TlsError::NoAnchor);
        }
        let strict = context_of(&settings, false)?;
        let tolerant = match (settings.profile, settings.tls10_until) {
            (Profile::Operator, Some(until)) => Some((context_of(&settings, true)?, until)),
            _ => None,
        };
        Ok(Connector(Arc::new(Inner { strict, tolerant, settings })))
    }

    /// Makes the handshake with the server `host` (a DNS name, sent as SNI, or an IP address), within [`HANDSHAKE_TIMEOUT`]. Its
    /// certificate must chain to our authorities, be valid today, be for servers, name `host` in its subjectAltName and not be
    /// revoked.
    ///
    /// # Errors
    /// See [`HandshakeError`]; [`HandshakeError::Certificate`] tells what is wrong with the server's certificate,
    /// [`HandshakeError::PeerAlert`] that it refuses ours (with TLS 1.3 such a refusal comes at the first read instead).
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let settings = &self.0.settings;
        let now = settings.clock.now();
        let context = match &self.0.tolerant {
            Some((tolerant, until)) if now < *until => tolerant,
            _ => &self.0.strict,
        };
        // Switches change from one connection to the next.
        let defective = if faults::ARMED { context_of(settings, false).ok() } else { None };
        let mut ssl = Ssl::new(defective.as_ref().unwrap_or(context))?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let param = ssl.param_mut();
        param.set_time(unix(now));
        // the name must be in the subjectAltName (RFC 9525); the CN is not looked at
        param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
        if let Ok(ip) = host.parse::<IpAddr>() {
            param.set_ip(ip)?;
        } else {
            if host.is_empty() || host.contains('\0') {
                return Err(HandshakeError::BadHostName); // OpenSSL would check no name at all
            }
            param.set_host(host)?;
            ssl.set_hostname(host).map_err(|_| HandshakeError::BadHostName)?;
        }
        let examination = Examination::new(Usage::ServerAuth, now, Arc::clone(&settings.revocation), false);
        let examiner = examination.clone();
        ssl.set_verify_callback(SslVerifyMode::PEER, move |passed, context| examiner.callback(passed, context));
        if settings.revocation.is_online() {
            ssl.set_status_type(StatusType::OCSP)?; // whoever has an answer about itself gives it
        }
        let mut tls = SslStream::new(ssl, Gather::new(stream))?;
        match timeout(HANDSHAKE_TIMEOUT, Pin::new(&mut tls).connect()).await {
            Err(_) => return Err(HandshakeError::TimedOut),
            Ok(Err(error)) => {
                return Err(examination
                    .fault()
                    .map_or_else(|| HandshakeError::from_ssl(error), HandshakeError::Certificate));
            }
            Ok(Ok(())) => {}
        }
        examination.settle(tls.ssl().ocsp_status().map(<[u8]>::to_vec)).await;
        let info = TlsInfo::of(&tls, Some(&examination))?;
        info.client().map_err(HandshakeError::Certificate)?;
        let strict = settings.profile != Profile::Https && info.version == TlsVersion::Tls12;
        let is_below = (strict && !info.suite.is_one_of_the_six()) || weak_exchange(&tls);
        if is_below && !defects::is_careless(settings.profile) {
            return Err(HandshakeError::BelowProfile(info.suite));
        }
        Ok(TlsStream::new(tls, info))
    }
}

fn context_of(settings: &ClientTls, tolerant: bool) -> Result<SslContext, TlsError> {
    profile::client(settings.profile, settings.tls13, tolerant, settings.identity.as_ref(), &settings.anchors)
}

/// Whether the server chose a group too small. OpenSSL's security level refuses it, except while old versions are tolerated.
fn weak_exchange<S>(tls: &SslStream<S>) -> bool {
    match tls.ssl().peer_tmp_key() {
        Ok(key) => match key.id() {
            Id::DH | Id::DHX => key.bits() < MIN_DH_BITS,
            _ => key.bits() < MIN_ECDH_BITS,
        },
        Err(_) => true, // every suite we offer has an ephemeral key
    }
}
