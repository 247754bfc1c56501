//! Judging a certificate: inside a handshake (OpenSSL's verification, completed by a callback) and outside of one.
//!
//! OpenSSL checks the chain, signatures, dates (at the clock's time), basic constraints and purpose. We add: the extended key
//! usage must be there and say what we need (OpenSSL accepts a certificate without any), key sizes and digests whatever the
//! security level, a subject that is a proper name, and revocation of every certificate of the chain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use openssl::pkey::Id;
use openssl::stack::{Stack, StackRef};
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509PurposeId, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};

use super::peer::{unix, usages};
use super::{Anchors, CertificateFault, TlsError, defects};
use crate::dn::Dn;
use crate::revocation::{Judgement, Pending, Revocation, strong_digest};

/// What a certificate is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A TLS client.
    ClientAuth,
    /// A TLS server.
    ServerAuth,
    /// Signing documents: `ORG SIGN` (white list).
    Signature,
}

/// The judgement of one handshake, filled by the verification callback.
#[derive(Debug, Clone)]
pub(super) struct Examination {
    usage: Usage,
    now: SystemTime,
    revocation: Arc<Revocation>,
    /// Whether the handshake goes on after a fault (`ClientCertificates::Recorded`).
    tolerate: bool,
    verdict: Arc<Mutex<Option<Result<(), CertificateFault>>>>,
    /// What nothing at hand could tell, peer first: for [`Examination::settle`].
    open: Arc<Mutex<Vec<Pending>>>,
}

impl Examination {
    pub(super) fn new(usage: Usage, now: SystemTime, revocation: Arc<Revocation>, tolerate: bool) -> Examination {
        Examination { usage, now, revocation, tolerate, verdict: Arc::default(), open: Arc::default() }
    }

    /// OpenSSL's callback: called for each fault with `passed` false, then for each certificate, from the root down to the leaf.
    /// The first fault is the verdict; the leaf's turn (depth 0) comes last, and only then can the verdict be good.
    pub(super) fn callback(&self, passed: bool, context: &mut X509StoreContextRef) -> bool {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(_)) = *verdict {
            return self.tolerate;
        }
        let fault = if !passed {
            Some(CertificateFault::from_code(context.error().as_raw()))
        } else if context.error_depth() == 0 {
            let own = match context.chain() {
                Some(chain) => self.complete(chain),
                None => Err(CertificateFault::UnknownAuthority),
            };
            *verdict = Some(own);
            own.err()
        } else {
            None
        };
        match fault.filter(|fault| !defects::is_tolerated(self.usage, *fault)) {
            None if faults::ARMED && fault.is_some() && context.error_depth() == 0 => {
                // What OpenSSL noted of a wrong signature would be taken for an error of the next read.
                drop(openssl::error::ErrorStack::get());
                *verdict = Some(Ok(()));
                true
            }
            None => true,
            Some(fault) => {
                *verdict = Some(Err(fault));
                // SAFETY: `to_code` only gives error numbers that OpenSSL knows: its own, or constants of its header.
                context.set_error(unsafe { X509VerifyResult::from_raw(fault.to_code()) });
                self.tolerate
            }
        }
    }

    /// The whole chain; what only the network can tell is left open when it may be asked.
    fn complete(&self, chain: &StackRef<X509>) -> Result<(), CertificateFault> {
        let mut open = Vec::new();
        let result = complete(chain, self.usage, |certificate, issuer| {
            let known = self.revocation.judge(certificate, issuer, self.now);
            // the peer's own certificate comes first
            let asked = open.is_empty() && self.revocation.always_asks() && known == Judgement::Good;
            if self.revocation.is_online() && (asked || known == Judgement::Unknown) {
                open.push(Pending { certificate: certificate.to_owned(), issuer: issuer.to_owned() });
                return Ok(());
            }
            self.revocation.check(certificate, issuer, self.now)
        });
        if result.is_ok() {
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
        }
        result
    }

    /// After the handshake, before anything is said over the connection: finds out what was left open. `stapled` is what the peer
    /// gave about its own certificate.
    pub(super) async fn settle(&self, stapled: Option<Vec<u8>>) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if open.is_empty() {
            return;
        }
        if let Err(fault) = self.revocation.settle(&open, stapled.as_deref()).await {
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(Err(fault));
        }
    }

    /// The verdict, once the handshake is over: good only if the verification went to its end.
    pub(super) fn verdict(&self) -> Result<(), CertificateFault> {
        let verdict = *self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.unwrap_or(Err(CertificateFault::Other(super::peer::code::UNSPECIFIED)))
    }

    /// The fault found, if any.
    pub(super) fn fault(&self) -> Option<CertificateFault> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).and_then(Result::err)
    }
}

/// Our own checks, on a chain that OpenSSL has accepted: leaf first, root last. `revocation` judges a certificate and its issuer.
fn complete(
    chain: &StackRef<X509>,
    usage: Usage,
    mut revocation: impl FnMut(&X509Ref, &X509Ref) -> Result<(), CertificateFault>,
) -> Result<(), CertificateFault> {
    let leaf = chain.get(0).ok_or(CertificateFault::UnknownAuthority)?;
    let usages = usages(leaf);
    let meant = match usage {
        Usage::ClientAuth => usages.client_auth,
        Usage::ServerAuth => usages.server_auth,
        Usage::Signature => usages.email_protection,
    };
    if !meant {
        return Err(CertificateFault::WrongUsage);
    }
    if Dn::from_x509(leaf.subject_name()).is_err() {
        return Err(CertificateFault::Other(super::peer::code::UNSPECIFIED));
    }
    let certificates: Vec<&X509Ref> = chain.iter().collect();
    for certificate in &certificates {
        strong_key(certificate)?;
    }
    // the last one is the root, trusted as such: its own signature and revocation mean nothing
    for pair in certificates.windows(2) {
        if !strong_digest(pair[0]) {
            return Err(CertificateFault::Weak);
        }
        revocation(pair[0], pair[1])?;
    }
    Ok(())
}

fn strong_key(certificate: &X509Ref) -> Result<(), CertificateFault> {
    let key = certificate.public_key().map_err(|_| CertificateFault::Weak)?;
    let needed = match key.id() {
        Id::RSA | Id::RSA_PSS => 2048,
        Id::EC | Id::ED25519 => 253, // Ed25519 counts 253 bits
        Id::ED448 => 448,
        _ => return Err(CertificateFault::Weak),
    };
    if key.bits() < needed { Err(CertificateFault::Weak) } else { Ok(()) }
}

/// Judges a certificate outside of any handshake (the signer of the white list): chain to `anchors` through `untrusted`, dates at
/// `now`, usage, revocation of every certificate of the chain.
///
/// # Errors
/// Outer: OpenSSL could not work. Inner: what is wrong with the certificate.
pub fn verify_chain(
    leaf: &X509,
    untrusted: &[X509],
    anchors: &Anchors,
    usage: Usage,
    now: SystemTime,
    revocation: &Revocation,
) -> Result<Result<(), CertificateFault>, TlsError> {
    let mut store = anchors.store_builder()?;
    let mut param = X509VerifyParam::new()?;
    param.set_time(unix(now));
    param.set_depth(super::profile::MAX_CHAIN.cast_signed());
    param.set_purpose(match usage {
        Usage::ClientAuth => X509PurposeId::SSL_CLIENT,
        Usage::ServerAuth => X509PurposeId::SSL_SERVER,
        Usage::Signature => X509PurposeId::SMIME_SIGN,
    })?;
    store.set_param(&param)?;
    let store = store.build();
    let mut others = Stack::new()?;
    for certificate in untrusted {
        others.push(certificate.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let verdict = context.init(&store, leaf, &others, |context| {
        if !context.verify_cert()? {
            return Ok(Err(CertificateFault::from_code(context.error().as_raw())));
        }
        Ok(match context.chain() {
            Some(chain) => complete(chain, usage, |certificate, issuer| revocation.check(certificate, issuer, now)),
            None => Err(CertificateFault::UnknownAuthority),
        })
    })?;
    Ok(verdict)
}
