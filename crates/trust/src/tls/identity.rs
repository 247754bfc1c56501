//! What we show (certificate chain and key) and whom we believe (trust anchors).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use openssl::pkey::{Id, PKey, Private};
use openssl::ssl::SslContextBuilder;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509Name, X509VerifyResult};

use super::TlsError;
use crate::dn::Dn;

/// Smallest RSA key (LPS-TLS, TLS-11).
const MIN_RSA_BITS: u32 = 2048;
/// Smallest elliptic curve.
const MIN_EC_BITS: u32 = 256;

/// A certificate, the chain above it and its private key. Never printed.
#[derive(Clone)]
pub struct Identity {
    /// The certificate first, then its issuer…
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Identity {
    /// From the PEM of the chain (our certificate first, then intermediates; a root may end it) and of the key (no passphrase).
    ///
    /// # Errors
    /// Unreadable PEM, a key that does not fit, a weak key, a chain out of order.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        let chain = X509::stack_from_pem(chain).map_err(|_| TlsError::NoCertificate)?;
        // a callback that gives no passphrase: otherwise OpenSSL would ask on the terminal
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(|_| TlsError::NoKey)?;
        Identity::new(chain, key)
    }

    /// From files; see [`Identity::from_pem`].
    ///
    /// # Errors
    /// The same, and unreadable files.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Identity, TlsError> {
        Identity::from_pem(&read(chain)?, &read(key)?)
    }

    /// From certificates and key already read.
    ///
    /// # Errors
    /// No certificate, a key that does not fit, a weak key, a chain out of order.
    pub fn new(chain: Vec<X509>, key: PKey<Private>) -> Result<Identity, TlsError> {
        let leaf = chain.first().ok_or(TlsError::NoCertificate)?;
        if !leaf.public_key()?.public_eq(&key) {
            return Err(TlsError::KeyMismatch);
        }
        let needed = if key.id() == Id::EC { MIN_EC_BITS } else { MIN_RSA_BITS };
        if matches!(key.id(), Id::RSA | Id::RSA_PSS | Id::EC) && key.bits() < needed {
            return Err(TlsError::WeakKey { bits: key.bits() });
        }
        for position in 1..chain.len() {
            if chain[position].issued(&chain[position - 1]) != X509VerifyResult::OK {
                return Err(TlsError::BrokenChain { position });
            }
        }
        Ok(Identity { chain, key })
    }

    /// Our certificate.
    pub fn certificate(&self) -> &X509 {
        &self.chain[0] // `new` refuses an empty chain
    }

    /// Our name, as the white list must cite it.
    ///
    /// # Errors
    /// A subject that is not a proper name.
    pub fn subject(&self) -> Result<Dn, crate::dn::DnError> {
        Dn::from_x509(self.certificate().subject_name())
    }

    /// The intermediates to send after our certificate (LPS-CERT): those given, completed from the anchors; never a root, which
    /// the peer must already have.
    fn intermediates(&self, anchors: &Anchors) -> Vec<X509> {
        let mut sent: Vec<X509> = self.chain[1..].iter().filter(|c| !is_root(c)).cloned().collect();
        let mut top = sent.last().unwrap_or(self.certificate()).clone();
        // the bound only guards against certificates that issue each other
        while !is_root(&top) && sent.len() < super::profile::MAX_CHAIN as usize {
            match anchors.0.iter().find(|c| !is_root(c) && c.issued(&top) == X509VerifyResult::OK) {
                Some(next) => {
                    sent.push(next.clone());
                    top = next.clone();
                }
                None => break,
            }
        }
        sent
    }

    /// Puts certificate, chain and key into a context.
    pub(super) fn install(&self, context: &mut SslContextBuilder, anchors: &Anchors) -> Result<(), TlsError> {
        context.set_certificate(self.certificate())?;
        let is_alone = faults::is_on(faults::Fault::NoIntermediate);
        for certificate in self.intermediates(anchors).into_iter().filter(|_| !is_alone) {
            context.add_extra_chain_cert(certificate)?;
        }
        context.set_private_key(&self.key)?;
        context.check_private_key()?;
        Ok(())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The authorities believed, roots and their intermediates. The system's own authorities are never added.
///
/// A chain must end at a self-signed certificate of this set; an intermediate here helps a peer that forgets to send it, and lets
/// its revocation list be checked as soon as it is fetched.
#[derive(Clone)]
pub struct Anchors(Arc<[X509]>);

impl Anchors {
    /// No authority: every certificate is unknown.
    pub fn none() -> Anchors {
        Anchors(Arc::new([]))
    }

    /// From certificates in PEM form, one after the other.
    ///
    /// # Errors
    /// Unreadable PEM, or no certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Anchors, TlsError> {
        let certificates = X509::stack_from_pem(pem).map_err(|_| TlsError::NoCertificate)?;
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        Ok(Anchors(certificates.into()))
    }

    /// From a PEM file.
    ///
    /// # Errors
    /// The same, and an unreadable file.
    pub fn from_file(path: &Path) -> Result<Anchors, TlsError> {
        Anchors::from_pem(&read(path)?)
    }

    /// The certificates.
    pub fn certificates(&self) -> &[X509] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As an OpenSSL store to set options on.
    pub(super) fn store_builder(&self) -> Result<X509StoreBuilder, TlsError> {
        let mut store = X509StoreBuilder::new()?;
        for certificate in self.0.iter() {
            store.add_cert(certificate.clone())?;
        }
        Ok(store)
    }

    /// As an OpenSSL store.
    pub(super) fn store(&self) -> Result<X509Store, TlsError> {
        Ok(self.store_builder()?.build())
    }

    /// The names announced to a client when its certificate is asked for (CER-01).
    pub(super) fn names(&self) -> Result<Stack<X509Name>, TlsError> {
        let mut names = Stack::new()?;
        for certificate in self.0.iter() {
            names.push(certificate.subject_name().to_owned()?)?;
        }
        Ok(names)
    }
}

impl From<Vec<X509>> for Anchors {
    fn from(certificates: Vec<X509>) -> Self {
        Anchors(certificates.into())
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchors({})", self.0.len())
    }
}

/// Self-issued: a root.
fn is_root(certificate: &X509) -> bool {
    certificate.issued(certificate) == X509VerifyResult::OK
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}
