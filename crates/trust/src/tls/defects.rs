//! The defects of `faults` that concern TLS: what a port of the API LPS must not do. Called by the program with switches only.

use std::time::{Duration, SystemTime};

use faults::Fault;
use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::ssl::{SslContextBuilder, SslVersion};

use super::profile::{GROUPS, SIGNATURES, SIX, tolerate_until};
use super::{CertificateFault, Identity, Profile, ServerTls, TlsError, Usage};

/// Suites that none of the six is: with forward secrecy, and without.
const ANOTHER: &str = "ECDHE-RSA-CHACHA20-POLY1305";
const NOT_SECRET: &str = "AES256-GCM-SHA384";
/// How long the tolerance of old versions lasts: longer than any test.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether suites beside the six are let through.
pub(super) fn is_lax() -> bool {
    [Fault::NoneOfTheSix, Fault::OneMoreSuite, Fault::NoForwardSecrecy].into_iter().any(faults::is_on)
}

/// Makes the context as bad as the switches say.
pub(super) fn spoil(context: &mut SslContextBuilder, settings: &ServerTls) -> Result<(), TlsError> {
    if faults::is_on(Fault::Tls13Only) {
        context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    }
    if faults::is_on(Fault::Tls10) {
        tolerate_until(context, SystemTime::now() + DAY, settings.clock.clone());
    }
    if faults::is_on(Fault::NoneOfTheSix) {
        context.set_cipher_list(ANOTHER)?;
    }
    if faults::is_on(Fault::OneMoreSuite) {
        context.set_cipher_list(&format!("{SIX}:{ANOTHER}"))?;
    }
    if faults::is_on(Fault::NoForwardSecrecy) {
        context.set_cipher_list(&format!("{SIX}:{NOT_SECRET}"))?;
    }
    if faults::is_on(Fault::SmallPrime) {
        context.set_security_level(0);
        let dh = Dh::from_pqg(BigNum::get_rfc2409_prime_1024()?, None, BigNum::from_u32(2)?)?;
        context.set_tmp_dh(&dh)?;
    }
    if faults::is_on(Fault::SmallCurve) {
        context.set_security_level(0);
        context.set_groups_list(&format!("P-224:{GROUPS}"))?;
    }
    if faults::is_on(Fault::Sha1) {
        context.set_security_level(0);
        context.set_sigalgs_list(&format!("{SIGNATURES}:RSA+SHA1"))?;
    }
    Ok(())
}

/// Whether our own connections take what no peer may have: TLS 1.0, small groups, any suite.
pub(super) fn is_careless(profile: Profile) -> bool {
    profile == Profile::Operator && faults::is_on(Fault::WeakSending)
}

/// Makes the context of our own connections as bad as the switches say.
pub(super) fn spoil_client(context: &mut SslContextBuilder, profile: Profile) -> Result<(), TlsError> {
    if is_careless(profile) {
        context.set_security_level(0);
        context.set_min_proto_version(Some(SslVersion::TLS1))?;
        context.set_cipher_list("ALL:!aNULL:@SECLEVEL=0")?;
        context.set_sigalgs_list(&format!("{SIGNATURES}:RSA+SHA1"))?;
    }
    Ok(())
}

/// Whether our certificate is kept to ourselves.
pub(super) fn is_nameless(profile: Profile) -> bool {
    profile == Profile::Operator && faults::is_on(Fault::NoOwnCertificate)
}

/// The certificate shown instead of ours: one of those a sandbox makes for refusals.
pub(super) fn identity(settings: &ServerTls) -> Option<Identity> {
    let is_lps = settings.profile == Profile::ApiLps;
    let is_autoconfig = settings.entrance.name() == "autoconfig";
    let name = match () {
        () if is_lps && faults::is_on(Fault::OtherAuthority) => "other-authority",
        () if is_lps && faults::is_on(Fault::ExpiredCertificate) => "expired",
        () if is_lps && faults::is_on(Fault::OtherName) => "unlisted",
        () if is_lps && faults::is_on(Fault::RevokedCertificate) => "revoked",
        () if is_lps && faults::is_on(Fault::NoUsage) => "no-usage",
        () if is_autoconfig && faults::is_on(Fault::AutoconfigCertificate) => "unlisted",
        () => return None,
    };
    let file = |kind: &str| faults::beside(&format!("pki/negative/{name}.{kind}"));
    Identity::from_files(&file("pem")?, &file("key")?).ok()
}

/// Whether a fault of a certificate is let pass.
pub(super) fn is_tolerated(usage: Usage, fault: CertificateFault) -> bool {
    if usage != Usage::ClientAuth {
        return usage == Usage::ServerAuth && fault == CertificateFault::Expired && faults::is_on(Fault::AnyServerDate);
    }
    match fault {
        CertificateFault::Expired | CertificateFault::NotYetValid => faults::is_on(Fault::AnyDate),
        CertificateFault::Revoked => faults::is_on(Fault::RevokedTaken),
        CertificateFault::UnknownAuthority => faults::is_on(Fault::AnyAuthority),
        // An impostor of the same name is found by its signature.
        CertificateFault::BadSignature => faults::is_on(Fault::AnyAuthority) || faults::is_on(Fault::BrokenSignature),
        CertificateFault::WrongUsage => faults::is_on(Fault::AnyUsage),
        CertificateFault::CrlUnavailable => faults::is_on(Fault::AnyAuthority),
        _ => false,
    }
}
