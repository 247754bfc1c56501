//! What each kind of port accepts, and the OpenSSL settings that make it so.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::Params;
use openssl::ssl::{
    ClientHelloResponse, SslCipherRef, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVersion,
};

use super::{Anchors, Identity, TlsError, defects};
use crate::clock::{SharedClock, SystemClock};
use crate::revocation::Revocation;

/// The six suites of ECO.1.1.3, in order of preference (DHE last: 3.4 times the cost of ECDHE with OpenSSL 3.0). // LPS-TLS
pub(super) const SIX: &str = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:\
                   DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256";
/// The codes of [`SIX`].
const SIX_CODES: [u16; 6] = [0xC030, 0xC02F, 0xC028, 0xC027, 0x009F, 0x009E];
/// TLS 1.2 suites of the HTTPS services: authenticated encryption only; any recent HTTP client has one.
const HTTPS: &str = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:\
                     ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/// What TLS 1.0 and 1.1 have with forward secrecy, for peers tolerated until a date (OPE-TLSVER).
const TOLERATED: &str = "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA";
/// TLS 1.3 suites, all authenticated encryption.
const TLS13: &str = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
/// Groups of at least 256 bits (elliptic) or 2048 bits (finite field; TLS 1.3 only, TLS 1.2 takes [`ffdhe2048`]).
pub(super) const GROUPS: &str = "X25519:P-256:P-384:P-521:ffdhe2048:ffdhe3072:ffdhe4096";
/// Signatures of the key exchange: never SHA-1, whatever the security level (TLS-12).
pub(super) const SIGNATURES: &str = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:\
                          RSA+SHA256:RSA+SHA384:RSA+SHA512";
/// OpenSSL security level of 112 bits: RSA and DH of 2048 bits, no SHA-1 signature.
const LEVEL: u32 = 2;
/// Level at which OpenSSL 3 still speaks TLS 1.0. Key sizes and digests are then checked by [`super::verify`].
const TOLERATED_LEVEL: u32 = 0;
/// Longest chain: IGC-Santé has leaf, intermediate and root; one more is left for a change of hierarchy.
pub(super) const MAX_CHAIN: u32 = 4;

/// The prime of ffdhe2048 (RFC 7919, appendix A.1). The generator is 2. // LPS-TLS, TLS-06
const FFDHE2048: &str = "FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF9\
                         7D2FE363630C75D8F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935\
                         984F0C70E0E68B77E2A689DAF3EFE8721DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FB\
                         B96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB190B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F61\
                         9172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005C58EF1837D1683B2C6F34A26C1B2EFFA\
                         886B423861285C97FFFFFFFFFFFFFFFF";

/// The kind of port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// IMAP and submission: TLS 1.2 with exactly the six suites of Référentiel #2.
    ApiLps,
    /// The interface between operators: the same six suites, mutual certificates; TLS 1.0 may be tolerated until a date.
    Operator,
    /// HTTPS services (autoconfiguration, white list, sandbox): TLS ≥ 1.2, authenticated encryption only.
    Https,
}

/// Whether TLS 1.3 is negotiated. Référentiel #2 dates from before it and names only TLS 1.2 suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls13 {
    /// Its authenticated-encryption suites are allowed.
    #[default]
    Allowed,
    /// TLS 1.2 only, for a strict test.
    Refused,
}

/// What is asked of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// Nothing.
    #[default]
    NotAsked,
    /// A good one: otherwise the handshake fails with the alert that says why.
    Required,
    /// One is asked for and judged, but the handshake completes whatever it is, so that the protocol above can answer properly
    /// (an enhanced status code): **whoever uses this must read** [`super::TlsInfo::client`].
    Recorded,
}

/// The settings of one port.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Our certificate, chain and key.
    pub identity: Identity,
    /// The kind of port.
    pub profile: Profile,
    /// TLS 1.3 or not.
    pub tls13: Tls13,
    /// Until when TLS 1.0 and 1.1 are tolerated ([`Profile::Operator`] only). None: never. // OPE-TLSVER
    pub tls10_until: Option<SystemTime>,
    /// What is asked of the client.
    pub client_certificates: ClientCertificates,
    /// The authorities of client certificates.
    pub anchors: Anchors,
    /// Their revocation lists.
    pub revocation: Arc<Revocation>,
    /// Dates of certificates and of the tolerance.
    pub clock: SharedClock,
    /// Where handshakes and octets are counted.
    pub entrance: Arc<meter::Entrance>,
}

impl ServerTls {
    /// Settings of a port that asks for no client certificate; change the fields for others.
    pub fn new(identity: Identity, profile: Profile) -> ServerTls {
        ServerTls {
            identity,
            profile,
            tls13: Tls13::Allowed,
            tls10_until: None,
            client_certificates: ClientCertificates::NotAsked,
            anchors: Anchors::none(),
            revocation: Arc::new(Revocation::none()),
            clock: SystemClock::shared(),
            entrance: meter::Entrance::unwatched(),
        }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// From OpenSSL; anything older than TLS 1.0 is never negotiated and counts as the oldest.
    pub(super) fn of(version: SslVersion) -> TlsVersion {
        match version {
            SslVersion::TLS1_3 => TlsVersion::Tls13,
            SslVersion::TLS1_2 => TlsVersion::Tls12,
            SslVersion::TLS1_1 => TlsVersion::Tls11,
            _ => TlsVersion::Tls10,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls10 => "TLSv1.0",
            TlsVersion::Tls11 => "TLSv1.1",
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        })
    }
}

/// A cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Suite {
    /// IANA code, such as 0xC030.
    pub code: u16,
    /// IANA name, such as `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`.
    pub name: &'static str,
}

impl Suite {
    pub(super) fn of(cipher: &SslCipherRef) -> Suite {
        Suite { code: u16::from_be_bytes(cipher.protocol_id()), name: cipher.standard_name().unwrap_or(cipher.name()) }
    }

    /// Whether it is one of the six of Référentiel #2.
    pub fn is_one_of_the_six(self) -> bool {
        SIX_CODES.contains(&self.code)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:04X})", self.name, self.code)
    }
}

/// RFC 7919's 2048-bit group, as every DHE suite of TLS 1.2 will use it whatever the client announces.
fn ffdhe2048() -> Result<Dh<Params>, ErrorStack> {
    Dh::from_pqg(BigNum::from_hex_str(FFDHE2048)?, None, BigNum::from_u32(2)?)
}

/// What both sides share: versions, suites, groups, options.
fn common(method: SslMethod, profile: Profile, tls13: Tls13) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(method)?;
    context.set_security_level(LEVEL);
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_max_proto_version(Some(match tls13 {
        Tls13::Allowed => SslVersion::TLS1_3,
        Tls13::Refused => SslVersion::TLS1_2,
    }))?;
    context.set_cipher_list(match profile {
        Profile::ApiLps | Profile::Operator => SIX,
        Profile::Https => HTTPS,
    })?;
    context.set_ciphersuites(TLS13)?;
    context.set_groups_list(GROUPS)?;
    context.set_sigalgs_list(SIGNATURES)?;
    context.set_options(
        SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::SINGLE_DH_USE
            | SslOptions::SINGLE_ECDH_USE,
    );
    context.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS);
    // Head and text of a record in one read of the socket, not two.
    context.set_read_ahead(true);
    context.set_verify_depth(MAX_CHAIN);
    Ok(context)
}

/// The context of a server port.
pub(super) fn server(settings: &ServerTls) -> Result<SslContext, TlsError> {
    let mut context = common(SslMethod::tls_server(), settings.profile, settings.tls13)?;
    context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    let dh = ffdhe2048()?;
    context.set_tmp_dh(&dh)?;
    if faults::ARMED && settings.profile == Profile::ApiLps {
        defects::spoil(&mut context, settings)?;
    }
    match defects::identity(settings) {
        None => settings.identity.install(&mut context, &settings.anchors)?,
        Some(wrong) => wrong.install(&mut context, &settings.anchors)?,
    }
    if settings.client_certificates == ClientCertificates::NotAsked {
        context.set_session_id_context(b"vaguemestre")?;
        // One, not two: each is encrypted, sent and waited for apart, and each connection that is resumed is given another.
        context.set_num_tickets(1)?;
    } else {
        if settings.anchors.is_empty() {
            return Err(TlsError::NoAnchor);
        }
        context.set_cert_store(settings.anchors.store()?);
        if !faults::is_on(faults::Fault::NoAuthorityNames) {
            context.set_client_ca_list(settings.anchors.names()?);
        }
        // no resumption: a resumed session has no chain to check again
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_options(SslOptions::NO_TICKET);
        context.set_num_tickets(0)?;
    }
    if let (Profile::Operator, Some(until)) = (settings.profile, settings.tls10_until) {
        tolerate_until(&mut context, until, settings.clock.clone());
    }
    Ok(context.build())
}

/// Lets a client that knows nothing above TLS 1.1 in, until the date; any other client sees the strict profile. // OPE-TLSVER
pub(super) fn tolerate_until(context: &mut SslContextBuilder, until: SystemTime, clock: SharedClock) {
    context.set_client_hello_callback(move |ssl, _alert| {
        let old = matches!(ssl.client_hello_legacy_version(), Some(SslVersion::TLS1 | SslVersion::TLS1_1));
        if old && clock.now() < until {
            ssl.set_security_level(TOLERATED_LEVEL);
            ssl.set_min_proto_version(Some(SslVersion::TLS1))?;
            ssl.set_max_proto_version(Some(SslVersion::TLS1_1))?;
            ssl.set_cipher_list(TOLERATED)?;
        }
        Ok(ClientHelloResponse::SUCCESS)
    });
}

/// The context of our own connections; `tolerant` while TLS 1.0 is still tolerated.
pub(super) fn client(
    profile: Profile,
    tls13: Tls13,
    tolerant: bool,
    identity: Option<&Identity>,
    anchors: &Anchors,
) -> Result<SslContext, TlsError> {
    let mut context = common(SslMethod::tls_client(), profile, tls13)?;
    if tolerant && profile == Profile::Operator {
        context.set_security_level(TOLERATED_LEVEL);
        context.set_min_proto_version(Some(SslVersion::TLS1))?;
        context.set_cipher_list(&format!("{SIX}:{TOLERATED}"))?;
    }
    if faults::ARMED {
        defects::spoil_client(&mut context, profile)?;
    }
    if let Some(identity) = identity.filter(|_| !defects::is_nameless(profile)) {
        identity.install(&mut context, anchors)?;
    }
    context.set_cert_store(anchors.store()?);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(context.build())
}
