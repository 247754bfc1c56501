//! The server side of a handshake.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use faults::Fault;
use openssl::ssl::{Ssl, SslContext, SslVerifyMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::gather::Gather;
use super::peer::unix;
use super::profile::{self, ClientCertificates, Profile, ServerTls, TlsVersion};
use super::stream::{TlsInfo, TlsStream};
use super::verify::{Examination, Usage};
use super::{CertificateFault, HANDSHAKE_TIMEOUT, HandshakeError, TlsError, defects};

/// How long a refused peer may take to read the alert…
const ALERT_TIMEOUT: Duration = Duration::from_secs(1);
/// …and how much of what it had already sent is thrown away meanwhile (a client's whole second flight is about 6 KB).
const ALERT_DRAIN: usize = 64 * 1024;

/// Accepts TLS connections on one port. Clones share the settings, and [`Acceptor::reload`] changes them for all.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<RwLock<Arc<Current>>>);

#[derive(Debug)]
struct Current {
    context: SslContext,
    settings: ServerTls,
}

impl Current {
    fn of(settings: ServerTls) -> Result<Arc<Current>, TlsError> {
        Ok(Arc::new(Current { context: profile::server(&settings)?, settings }))
    }
}

impl Acceptor {
    /// An acceptor with these settings.
    ///
    /// # Errors
    /// A wrong certificate, key or set of authorities.
    pub fn new(settings: ServerTls) -> Result<Acceptor, TlsError> {
        Ok(Acceptor(Arc::new(RwLock::new(Current::of(settings)?))))
    }

    /// Takes new settings (a renewed certificate) for the connections to come; those under way keep theirs.
    ///
    /// # Errors
    /// The same as [`Acceptor::new`]; the old settings then stay.
    pub fn reload(&self, settings: ServerTls) -> Result<(), TlsError> {
        let current = Current::of(settings)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// Makes the handshake, within [`HANDSHAKE_TIMEOUT`].
    ///
    /// With [`ClientCertificates::Recorded`] the stream may belong to a client whose certificate is missing or bad: read
    /// [`TlsInfo::client`].
    ///
    /// # Errors
    /// See [`HandshakeError`]; the peer has then been sent the proper alert.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_within(stream, HANDSHAKE_TIMEOUT).await
    }

    pub(super) async fn accept_within<S>(&self, stream: S, limit: Duration) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let current = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let shaken = Self::shake(&current, stream, limit).await;
        current.settings.entrance.handshake(shaken.is_ok());
        shaken.map(|tls| tls.counted(Arc::clone(&current.settings.entrance)))
    }

    async fn shake<S>(current: &Current, stream: S, limit: Duration) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let settings = &current.settings;
        // Switches change from one connection to the next.
        let defective = if faults::ARMED { profile::server(settings).ok() } else { None };
        let mut ssl = Ssl::new(defective.as_ref().unwrap_or(&current.context))?;
        let is_open = faults::is_on(Fault::OpenApp) && settings.client_certificates == ClientCertificates::Required;
        let client_certificates = if is_open { ClientCertificates::Recorded } else { settings.client_certificates };
        let examination = match client_certificates {
            ClientCertificates::NotAsked => None,
            ClientCertificates::Required | ClientCertificates::Recorded => {
                let now = settings.clock.now();
                let tolerate = client_certificates == ClientCertificates::Recorded;
                let examination = Examination::new(Usage::ClientAuth, now, Arc::clone(&settings.revocation), tolerate);
                let mode = if tolerate {
                    SslVerifyMode::PEER
                } else {
                    SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
                };
                let examiner = examination.clone();
                ssl.set_verify_callback(mode, move |passed, context| examiner.callback(passed, context));
                ssl.param_mut().set_time(unix(now));
                Some(examination)
            }
        };
        let mut tls = SslStream::new(ssl, Gather::new(stream))?;
        match timeout(limit, Pin::new(&mut tls).accept()).await {
            Err(_) => return Err(HandshakeError::TimedOut),
            Ok(Err(error)) => {
                let error = examination
                    .and_then(|e| e.fault())
                    .map_or_else(|| HandshakeError::from_ssl(error), HandshakeError::Certificate);
                let _ = timeout(ALERT_TIMEOUT, let_alert_through(tls.get_mut())).await;
                return Err(error);
            }
            Ok(Ok(())) => {}
        }
        if let Some(examination) = &examination {
            // clients staple nothing
            examination.settle(None).await;
        }
        let info = TlsInfo::of(&tls, examination.as_ref())?;
        if client_certificates == ClientCertificates::Required {
            // OpenSSL has refused them already, but for what had to be asked over the network
            info.client().map_err(HandshakeError::Certificate)?;
        }
        let strict = settings.profile != Profile::Https && info.version == TlsVersion::Tls12 && !defects::is_lax();
        if strict && !info.suite.is_one_of_the_six() {
            return Err(HandshakeError::BelowProfile(info.suite));
        }
        Ok(TlsStream::new(tls, info))
    }
}

/// After a refusal: closes our side and reads what the peer had already sent. Closing with unread bytes would make the kernel
/// answer with a reset, which destroys the alert before the peer reads it.
async fn let_alert_through<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut scratch = [0; 4096];
    let mut drained = 0;
    while drained < ALERT_DRAIN {
        match stream.read(&mut scratch).await {
            Ok(0) | Err(_) => return,
            Ok(n) => drained += n,
        }
    }
}

impl From<CertificateFault> for HandshakeError {
    fn from(fault: CertificateFault) -> Self {
        HandshakeError::Certificate(fault)
    }
}
