//! TLS with a certificate of ours: as another operator, or as the software of a BAL APP; and how the other end refuses it.
//!
//! TLS 1.2, which every operator must have (TLS-01): a refusal comes inside the handshake there, with its alert, and not after it.

use std::path::PathBuf;
use std::pin::Pin;

use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::RsaPrivateKeyBuilder;
use openssl::ssl::{ErrorCode, SslVersion};
use openssl::x509::X509;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::{Wire, WireError, connector};
use crate::job::Pair;
use crate::tls::starttls::shown;
use crate::tls::words::alert_name;

/// `ERR_LIB_SSL` of `openssl/err.h`.
const ERR_LIB_SSL: i32 = 20;
/// What OpenSSL adds to the number of an alert to make a reason of it (`SSL_AD_REASON_OFFSET`).
const ALERT_OFFSET: i32 = 1000;

/// Why a certificate of the job cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShownError {
    /// A file cannot be read.
    #[error("{path} : {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not PEM, or not what it must be.
    #[error("{path} : {error}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        error: ErrorStack,
    },
    /// No certificate in the file.
    #[error("{0} : aucun certificat")]
    Empty(PathBuf),
    /// This flaw cannot be given to a key of that kind.
    #[error("cette altération demande une clé RSA ({0})")]
    Kind(ErrorStack),
}

/// A certificate to show, with the chain above it and what signs for it.
#[derive(Clone)]
pub struct Shown {
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Shown {
    /// From what was read already: the certificate first.
    pub(crate) fn of(chain: Vec<X509>, key: PKey<Private>) -> Shown {
        Shown { chain, key }
    }

    /// From the files of a job.
    ///
    /// # Errors
    /// [`ShownError`].
    pub fn read(pair: &Pair) -> Result<Shown, ShownError> {
        let file = |path: &PathBuf| std::fs::read(path).map_err(|error| ShownError::File { path: path.clone(), error });
        let pem = |path: &PathBuf, error| ShownError::Pem { path: path.clone(), error };
        let chain = X509::stack_from_pem(&file(&pair.certificate)?).map_err(|e| pem(&pair.certificate, e))?;
        if chain.is_empty() {
            return Err(ShownError::Empty(pair.certificate.clone()));
        }
        // A callback that gives no passphrase: otherwise OpenSSL would ask on the terminal.
        let key = PKey::private_key_from_pem_callback(&file(&pair.key)?, |_| Ok(0)).map_err(|e| pem(&pair.key, e))?;
        Ok(Shown { chain, key })
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> &X509 {
        &self.chain[0] // `read` refuses an empty chain
    }

    /// The same certificate, and a signature by another key: what somebody can do who has only seen the certificate. The key has the public
    /// half of the certificate's, without which OpenSSL would not show it, and another private half.
    ///
    /// # Errors
    /// [`ShownError::Kind`] for a key that is not RSA.
    pub fn without_its_key(&self) -> Result<Shown, ShownError> {
        let made = || -> Result<PKey<Private>, ErrorStack> {
            let own = self.key.rsa()?;
            let mut other = BigNum::new()?;
            other.rand(own.n().num_bits() - 8, MsbOption::ONE, true)?;
            PKey::from_rsa(RsaPrivateKeyBuilder::new(own.n().to_owned()?, own.e().to_owned()?, other)?.build())
        };
        Ok(Shown { chain: self.chain.clone(), key: made().map_err(ShownError::Kind)? })
    }

    /// The same certificate with one bit of its authority's signature turned.
    ///
    /// # Errors
    /// [`ShownError::Kind`] when OpenSSL cannot work.
    pub fn with_a_broken_signature(&self) -> Result<Shown, ShownError> {
        let mut der = self.certificate().to_der().map_err(ShownError::Kind)?;
        // The signature is what a certificate ends with (RFC 5280 §4.1).
        if let Some(last) = der.last_mut() {
            *last ^= 1;
        }
        let mut chain = self.chain.clone();
        chain[0] = X509::from_der(&der).map_err(ShownError::Kind)?;
        Ok(Shown { chain, key: self.key.clone() })
    }
}

/// How a handshake ended that gave no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    /// By an alert of the server.
    Alert(u8),
    /// By a close without words.
    Closed,
    /// Otherwise: nothing can be concluded.
    Failed(WireError),
}

impl Handshake {
    /// For people.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Handshake::Alert(number) => format!("alerte TLS {number} {}", alert_name(*number)),
            Handshake::Closed => "fermeture pendant la poignée de main TLS".to_owned(),
            Handshake::Failed(error) => error.to_string(),
        }
    }
}

impl Wire {
    /// TLS 1.2 over this connection, believing anybody, with this certificate or none. Whatever came before is dropped.
    ///
    /// # Errors
    /// [`Handshake`].
    pub async fn tls_as(mut self, name: &str, who: Option<&Shown>) -> Result<Wire, Handshake> {
        let failed = |error: String| Handshake::Failed(WireError::Tls(shown(&error)));
        let set_up = || {
            let mut ssl = connector()?.configure()?.verify_hostname(false).into_ssl(name)?;
            ssl.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            if let Some(who) = who {
                ssl.set_certificate(&who.chain[0])?;
                for above in &who.chain[1..] {
                    ssl.add_chain_cert(above.clone())?;
                }
                ssl.set_private_key(&who.key)?;
            }
            Ok::<_, ErrorStack>(ssl)
        };
        let ssl = set_up().map_err(|error| failed(error.to_string()))?;
        self.remark(match who {
            Some(who) => format!("certificat présenté : {}", crate::tls::certificate::subject(&who.chain[0])),
            None => "aucun certificat présenté".to_owned(),
        });
        self.pending.clear();
        let mut tls = SslStream::new(ssl, self.stream).map_err(|error| failed(error.to_string()))?;
        let shaken = timeout(self.patience, Pin::new(&mut tls).connect()).await;
        let (version, suite) =
            (tls.ssl().version_str(), tls.ssl().current_cipher().map_or("?", |cipher| cipher.name()));
        let text = format!("TLS établi : {version}, {suite}");
        let mut wire = Wire { stream: Box::new(tls), ..self };
        let end = match shaken {
            Ok(Ok(())) => {
                wire.remark(text);
                return Ok(wire);
            }
            Ok(Err(error)) => match (alert(&error), error.code()) {
                (Some(number), _) => Handshake::Alert(number),
                (None, ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN) => Handshake::Closed,
                _ => failed(error.to_string()),
            },
            Err(_) => Handshake::Failed(WireError::Silent),
        };
        wire.remark(end.told());
        Err(end)
    }
}

/// The alert that ended a handshake.
fn alert(error: &openssl::ssl::Error) -> Option<u8> {
    let reasons = error.ssl_error()?.errors().iter().filter(|error| error.library_code() == ERR_LIB_SSL);
    reasons.map(|error| error.reason_code() - ALERT_OFFSET).find_map(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::rsa::Rsa;
    use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslStream as Blocking, SslVerifyMode};
    use openssl::x509::X509Builder;
    use std::net::TcpListener;

    fn own() -> Shown {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut builder = X509Builder::new().expect("a certificate");
        builder.set_pubkey(&key).expect("a key");
        let (from, to) = (openssl::asn1::Asn1Time::days_from_now(0), openssl::asn1::Asn1Time::days_from_now(1));
        builder.set_not_before(&from.expect("a date")).expect("a date");
        builder.set_not_after(&to.expect("a date")).expect("a date");
        builder.sign(&key, openssl::hash::MessageDigest::sha256()).expect("signed");
        Shown { chain: vec![builder.build()], key }
    }

    /// A server that takes whatever certificate is proved, and says `220 here` to it.
    async fn shaken(server: &Shown, client: Option<&Shown>) -> Result<(), Handshake> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).expect("OpenSSL");
        acceptor.set_certificate(&server.chain[0]).expect("a certificate");
        acceptor.set_private_key(&server.key).expect("a key");
        acceptor.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        let acceptor = acceptor.build();
        let served = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let ssl = Ssl::new(acceptor.context()).expect("OpenSSL");
            let _ = Blocking::new(ssl, stream).expect("OpenSSL").accept();
        });
        let log = crate::wire::Log::default();
        let wire = Wire::connect(address, std::time::Duration::from_secs(10), &log).await.expect("there");
        let end = wire.tls_as("localhost", client).await.map(drop);
        served.join().expect("ended");
        end
    }

    #[tokio::test]
    async fn possession_is_proved_or_refused_by_an_alert() {
        let own = own();
        assert_eq!(shaken(&own, Some(&own)).await, Ok(()));
        assert_eq!(shaken(&own, None).await, Err(Handshake::Alert(40)));
        // decrypt_error: OpenSSL's server checked the signature by the public key of the certificate.
        let stolen = own.without_its_key().expect("RSA");
        assert!(matches!(shaken(&own, Some(&stolen)).await, Err(Handshake::Alert(51 | 40))));
        let broken = own.with_a_broken_signature().expect("read again");
        assert_ne!(broken.certificate().signature().as_slice(), own.certificate().signature().as_slice());
        assert_eq!(shaken(&own, Some(&broken)).await, Ok(()));
    }
}
