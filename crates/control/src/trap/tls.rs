//! TLS of the doors: good, or with the one defect of the door. OpenSSL with its own settings, since [`trust::tls`] makes nothing weak.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ClientHelloResponse, NameType, Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use openssl::stack::Stack;
use openssl::x509::{X509, X509Name};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use trust::dn::Dn;
use trust::revocation::Revocation;
use trust::tls::{Anchors, CertificateFault, Usage, verify_chain};

use super::boxes::Door;
use super::record::{Certificate, Sheet};
use crate::tls::starttls::shown;
use crate::tls::words::Suite;
use crate::wire::Shown;

/// The six suites of Référentiel #2, as a good server of the trust space has them.
const SIX: &str = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:\
                   DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256";
/// None of the six: without forward secrecy, without authenticated encryption, or simply not listed.
const OTHERS: &str = "ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305:AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:\
                      ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA256:AES256-SHA:AES128-SHA";
/// What TLS 1.0 has.
const OLD: &str =
    "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA";
/// Finite fields only.
const FINITE: &str = "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256";
/// Level at which OpenSSL 3 speaks TLS 1.0 and takes a prime of 1024 bits.
const WEAK: u32 = 0;
/// Level of 112 bits.
const STRONG: u32 = 2;
/// How long a handshake may take: as [`trust::tls::HANDSHAKE_TIMEOUT`].
const PATIENCE: Duration = trust::tls::HANDSHAKE_TIMEOUT;
/// Suites of a ClientHello that are kept; more than any registry has.
const MAX_OFFERED: usize = 400;
/// Certificates of a chain that are named.
const MAX_CHAIN: usize = 6;

/// What a door shows: a certificate, those above it, and its key. Whether they are any good is not asked.
#[derive(Clone)]
pub struct Presented {
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Presented {
    /// From PEM: the certificate first; a key without passphrase.
    ///
    /// # Errors
    /// Unreadable PEM, or no certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Presented, ErrorStack> {
        let chain = X509::stack_from_pem(chain)?;
        Ok(Presented { chain, key: PKey::private_key_from_pem_callback(key, |_| Ok(0))? })
    }

    /// From what was read already.
    #[must_use]
    pub fn new(chain: Vec<X509>, key: PKey<Private>) -> Presented {
        Presented { chain, key }
    }

    /// The same, to be shown by a client.
    pub(super) fn to_show(&self) -> Shown {
        Shown::of(self.chain.clone(), self.key.clone())
    }

    /// Its name; none when it has no proper one.
    #[must_use]
    pub fn subject(&self) -> Option<Dn> {
        Dn::from_x509(self.chain.first()?.subject_name()).ok()
    }
}

/// What the ClientHello offered, noted by OpenSSL's callback.
type Offered = Arc<Mutex<Vec<u16>>>;

fn offered_index() -> Result<Index<Ssl, Offered>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Offered>> = OnceLock::new();
    match INDEX.get() {
        Some(index) => Ok(*index),
        None => {
            let index = Ssl::new_ex_index()?;
            Ok(*INDEX.get_or_init(|| index))
        }
    }
}

/// The settings of a door.
pub(super) fn context(door: Door, presented: &Presented, anchors: &Anchors) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    let (level, version, suites) = match door {
        Door::Tls10 => (WEAK, SslVersion::TLS1, OLD),
        Door::SuitesHorsListe => (WEAK, SslVersion::TLS1_2, OTHERS),
        Door::Dh1024 => (WEAK, SslVersion::TLS1_2, FINITE),
        _ => (STRONG, SslVersion::TLS1_2, SIX),
    };
    context.set_security_level(level);
    context.set_min_proto_version(Some(version))?;
    context.set_max_proto_version(Some(version))?;
    context.set_cipher_list(suites)?;
    let prime =
        if door == Door::Dh1024 { BigNum::get_rfc2409_prime_1024()? } else { BigNum::get_rfc3526_prime_2048()? };
    let group = Dh::from_pqg(prime, None, BigNum::from_u32(2)?)?;
    context.set_tmp_dh(&group)?;
    context.set_options(
        SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::NO_TICKET
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION,
    );
    // A resumed session shows no certificate.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    let mut chain = presented.chain.iter();
    if let Some(leaf) = chain.next() {
        context.set_certificate(leaf)?;
    }
    for above in chain {
        context.add_extra_chain_cert(above.clone())?;
    }
    context.set_private_key(&presented.key)?;
    let mut names: Stack<X509Name> = Stack::new()?;
    for anchor in anchors.certificates() {
        names.push(anchor.subject_name().to_owned()?)?;
    }
    context.set_client_ca_list(names);
    // Whatever is shown is noted and judged afterwards: a trap observes.
    context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    let index = offered_index()?;
    context.set_client_hello_callback(move |ssl, _alert| {
        let suites = ssl.client_hello_ciphers().unwrap_or_default();
        if let Some(offered) = ssl.ex_data(index) {
            let codes = suites.chunks_exact(2).take(MAX_OFFERED).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            *offered.lock().unwrap_or_else(PoisonError::into_inner) = codes.collect();
        }
        Ok(ClientHelloResponse::SUCCESS)
    });
    Ok(context.build())
}

/// Who judges the certificates of peers.
pub(super) struct Judge {
    pub(super) anchors: Anchors,
    pub(super) revocation: Arc<Revocation>,
    pub(super) listed: super::serve::Listed,
}

/// Makes the handshake. The sheet tells how it went; the stream is there when it went well.
pub(super) async fn shake(
    context: &SslContext,
    stream: TcpStream,
    judge: &Judge,
    now: SystemTime,
) -> (Sheet, Option<SslStream<TcpStream>>) {
    let offered = Offered::default();
    let set_up = || {
        let mut ssl = Ssl::new(context)?;
        ssl.set_ex_data(offered_index()?, offered.clone());
        SslStream::new(ssl, stream)
    };
    let mut tls = match set_up() {
        Ok(tls) => tls,
        Err(error) => return (Sheet { error: Some(shown(&error.to_string())), ..Sheet::default() }, None),
    };
    let error = match tokio::time::timeout(PATIENCE, Pin::new(&mut tls).accept()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(failure(&error)),
        Err(_) => Some("pas finie à temps".to_owned()),
    };
    let ssl = tls.ssl();
    let mut sheet = Sheet {
        server_name: ssl.servername(NameType::HOST_NAME).map(shown),
        offered: std::mem::take(&mut *offered.lock().unwrap_or_else(PoisonError::into_inner)),
        ..Sheet::default()
    };
    if error.is_some() {
        sheet.error = error;
        return (sheet, None);
    }
    sheet.version = Some(match ssl.version2() {
        Some(SslVersion::TLS1) => "TLS 1.0".to_owned(),
        Some(SslVersion::TLS1_2) => "TLS 1.2".to_owned(),
        _ => ssl.version_str().to_owned(),
    });
    if let Some(cipher) = ssl.current_cipher() {
        let code = u16::from_be_bytes(cipher.protocol_id());
        (sheet.suite, sheet.suite_code) = (Some(Suite(code).name()), Some(code));
    }
    if let Some(leaf) = ssl.peer_certificate() {
        let others: Vec<X509> =
            ssl.peer_cert_chain().map(|chain| chain.iter().map(ToOwned::to_owned).collect()).unwrap_or_default();
        sheet.certificate = certificate(&leaf, &others, judge, now).ok();
    }
    (sheet, Some(tls))
}

/// Why a handshake failed, in the words of OpenSSL: an alert of the peer among them.
fn failure(error: &openssl::ssl::Error) -> String {
    let reasons: Vec<&str> =
        error.ssl_error().map(|stack| stack.errors().iter().filter_map(|e| e.reason()).collect()).unwrap_or_default();
    match (reasons.is_empty(), error.io_error()) {
        (false, _) => shown(&reasons.join(", ")),
        (true, Some(io)) => shown(&io.kind().to_string()),
        (true, None) => "connexion fermée".to_owned(),
    }
}

fn certificate(leaf: &X509, others: &[X509], judge: &Judge, now: SystemTime) -> Result<Certificate, ErrorStack> {
    let name =
        |name: &openssl::x509::X509NameRef| Dn::from_x509(name).map(|dn| shown(&dn.to_string())).unwrap_or_default();
    let date = |date| {
        let instant = trust::tls::system_time(date).map(OffsetDateTime::from).ok();
        instant.and_then(|instant| instant.format(&Rfc3339).ok()).unwrap_or_default()
    };
    let verdict = verify_chain(leaf, others, &judge.anchors, Usage::ClientAuth, now, &judge.revocation);
    let (fault, is_unclear) = match verdict {
        Ok(Ok(())) => (None, false),
        Ok(Err(fault)) => (Some(words(fault).to_owned()), fault == CertificateFault::CrlUnavailable),
        Err(error) => (Some(shown(&error.to_string())), true),
    };
    let domains = Dn::from_x509(leaf.subject_name()).ok().and_then(|dn| (judge.listed)(&dn));
    Ok(Certificate {
        subject: name(leaf.subject_name()),
        issuer: name(leaf.issuer_name()),
        serial: leaf.serial_number().to_bn()?.to_hex_str()?.to_string(),
        sha256: crate::report::sha256(&leaf.to_der()?),
        not_before: date(leaf.not_before()),
        not_after: date(leaf.not_after()),
        chain: others
            .iter()
            .map(|above| name(above.subject_name()))
            .filter(|above| *above != name(leaf.subject_name()))
            .take(MAX_CHAIN)
            .collect(),
        fault,
        is_unclear,
        domains,
    })
}

/// A fault, for reports.
fn words(fault: CertificateFault) -> &'static str {
    match fault {
        CertificateFault::Missing => "aucun certificat",
        CertificateFault::Expired => "certificat périmé",
        CertificateFault::NotYetValid => "certificat pas encore valide",
        CertificateFault::UnknownAuthority => "autorité inconnue",
        CertificateFault::BadSignature => "signature fausse dans la chaîne",
        CertificateFault::Revoked => "certificat révoqué",
        CertificateFault::CrlUnavailable => "pas de liste de révocation valide",
        CertificateFault::WrongUsage => "certificat qui n'est pas fait pour un client TLS",
        CertificateFault::WrongName => "certificat d'un autre hôte",
        CertificateFault::Weak => "clé ou empreinte trop faible",
        CertificateFault::Other(_) => "certificat irrecevable",
    }
}
