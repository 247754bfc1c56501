//! The two authorities.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef};

use super::crl::Revoked;
use super::{PkiError, der};
use crate::clock::SharedClock;
use crate::tls::{Anchors, unix};

const KEY_BITS: u32 = 2048;
/// The real authorities live 20 years.
const CA_VALIDITY: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Certificates begin a little before they are made, for machines whose clock is late.
pub(super) const BACKDATE: Duration = Duration::from_secs(3600);

/// One of the two authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ca {
    /// `TEST AC RACINE IGC-SANTE ELEMENTAIRE`.
    Root,
    /// `TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS`.
    Organizations,
}

impl Ca {
    fn common_name(self) -> &'static str {
        match self {
            Ca::Root => "TEST AC RACINE IGC-SANTE ELEMENTAIRE",
            Ca::Organizations => "TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
        }
    }

    /// `C, O, OU, OU, CN` in this order.
    fn name(self) -> Result<X509Name, ErrorStack> {
        Ca::named(self.common_name())
    }

    fn named(common_name: &str) -> Result<X509Name, ErrorStack> {
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COUNTRYNAME, "FR")?;
        name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "ASIP-SANTE")?;
        name.append_entry_by_nid(Nid::ORGANIZATIONALUNITNAME, "0002 187512751")?;
        name.append_entry_by_nid(Nid::ORGANIZATIONALUNITNAME, "IGC-SANTE TEST")?;
        name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
        Ok(name.build())
    }
}

/// Certificate and key of an authority.
pub(super) struct CaPair {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) revoked: Vec<Revoked>,
    pub(super) crl_number: u32,
}

/// The test hierarchy. Made for threads: share it in an `Arc`.
pub struct TestAuthority {
    pub(super) root: CaPair,
    pub(super) organizations: CaPair,
    pub(super) base_url: String,
    pub(super) clock: SharedClock,
    pub(super) state: Mutex<State>,
}

impl TestAuthority {
    /// Makes a new hierarchy, with new keys. `base_url` (such as `http://127.0.0.1:8080`, without a final slash) begins the
    /// pointers to revocation lists, OCSP and authorities' certificates.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn generate(base_url: &str, clock: SharedClock) -> Result<TestAuthority, PkiError> {
        let mut keys = generate_keys(2)?.into_iter();
        // two were asked for
        let (Some(root_key), Some(key)) = (keys.next(), keys.next()) else { return Err(PkiError::Thread) };
        let now = clock.now();
        let root = make_ca(Ca::Root, &root_key, None, base_url, now)?;
        let root = CaPair { certificate: root, key: root_key };
        let certificate = make_ca(Ca::Organizations, &key, Some(&root), base_url, now)?;
        let organizations = CaPair { certificate, key };
        Ok(TestAuthority { root, organizations, base_url: base_url.to_owned(), clock, state: Mutex::default() })
    }

    /// The root's certificate.
    pub fn root(&self) -> &X509 {
        &self.root.certificate
    }

    /// The certificate of the authority of organisations.
    pub fn intermediate(&self) -> &X509 {
        &self.organizations.certificate
    }

    /// Root and intermediate, as a server or a client is configured with them.
    pub fn anchors(&self) -> Anchors {
        Anchors::from(vec![self.root().clone(), self.intermediate().clone()])
    }

    /// Root then intermediate, PEM.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn ca_pem(&self) -> Result<Vec<u8>, PkiError> {
        Ok([self.root().to_pem()?, self.intermediate().to_pem()?].concat())
    }

    /// An authority that is none of the space's: under the root (another kind of certificates than those of organisations) or on its own.
    ///
    /// # Errors
    /// A name that X.520 does not allow.
    pub fn foreign_authority(
        &self,
        common_name: &str,
        key: &PKey<Private>,
        under_root: bool,
    ) -> Result<X509, PkiError> {
        let name = Ca::named(common_name)?;
        make_authority(&name, key, under_root.then_some(&self.root), &self.base_url, self.clock.now(), true)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pair(&self, ca: Ca) -> &CaPair {
        match ca {
            Ca::Root => &self.root,
            Ca::Organizations => &self.organizations,
        }
    }
}

impl fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAuthority").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

fn make_ca(
    ca: Ca,
    key: &PKey<Private>,
    parent: Option<&CaPair>,
    base_url: &str,
    now: SystemTime,
) -> Result<X509, PkiError> {
    make_authority(&*ca.name()?, key, parent, base_url, now, ca == Ca::Organizations)
}

fn make_authority(
    name: &X509NameRef,
    key: &PKey<Private>,
    parent: Option<&CaPair>,
    base_url: &str,
    now: SystemTime,
    is_last: bool,
) -> Result<X509, PkiError> {
    let mut certificate = begin(now - BACKDATE, now + CA_VALIDITY)?;
    certificate.set_subject_name(name)?;
    certificate.set_issuer_name(parent.map_or(name, |parent| parent.certificate.subject_name()))?;
    certificate.set_pubkey(key)?;
    let mut constraints = BasicConstraints::new();
    constraints.critical().ca();
    if is_last {
        constraints.pathlen(0);
    }
    certificate.append_extension(constraints.build()?)?;
    certificate.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    certificate.append_extension(der::subject_key_id(&key_id(key)?)?)?;
    certificate.append_extension(der::authority_key_id(&key_id(parent.map_or(key, |parent| &parent.key))?)?)?;
    if let Some(parent) = parent {
        super::leaf::pointers(&mut certificate, base_url, Ca::Root)?;
        certificate.sign(&parent.key, MessageDigest::sha256())?;
    } else {
        certificate.sign(key, MessageDigest::sha256())?;
    }
    Ok(certificate.build())
}

/// A version 3 certificate with a random serial number and these dates.
pub(super) fn begin(not_before: SystemTime, not_after: SystemTime) -> Result<X509Builder, ErrorStack> {
    let mut certificate = X509Builder::new()?;
    certificate.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?; // 16 bytes, positive
    let serial = serial.to_asn1_integer()?;
    certificate.set_serial_number(&serial)?;
    let (from, to) = (Asn1Time::from_unix(unix(not_before))?, Asn1Time::from_unix(unix(not_after))?);
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&to)?;
    Ok(certificate)
}

/// Identifier of a key: SHA-1 of it, as RFC 5280 suggests (a name, not a protection).
pub(super) fn key_id(key: &PKey<Private>) -> Result<Vec<u8>, ErrorStack> {
    Ok(hash(MessageDigest::sha1(), &key.rsa()?.public_key_to_der_pkcs1()?)?.to_vec())
}

/// Makes RSA keys, on as many threads as there are cores: each takes a good part of a second of one.
pub(super) fn generate_keys(count: usize) -> Result<Vec<PKey<Private>>, PkiError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let share = |thread: usize| count / threads + usize::from(thread < count % threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    (0..share(thread))
                        .map(|_| Rsa::generate(KEY_BITS).and_then(PKey::from_rsa))
                        .collect::<Result<Vec<_>, ErrorStack>>()
                })
            })
            .collect();
        let mut keys = Vec::with_capacity(count);
        for worker in workers {
            keys.extend(worker.join().map_err(|_| PkiError::Thread)??);
        }
        Ok(keys)
    })
}
