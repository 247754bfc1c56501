//! What a chain of certificates says, and what is wrong with it. TLS-08, TLS-09, TLS-11 of the catalogue.

use std::time::{Duration, SystemTime};

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::Id;
use openssl::x509::{X509, X509ExtendedKeyUsage, X509Ref, X509VerifyResult};
use serde::Serialize;
use trust::Dn;
use trust::revocation::Revocation;
use trust::tls::{Anchors, CertificateFault, Usage, system_time, verify_chain};

/// Most names kept of a certificate.
const MAX_NAMES: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sheet {
    /// Whom it names.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last one.
    pub not_after: i64,
    /// DNS names and addresses of its subjectAltName.
    pub names: Vec<String>,
    /// `RSA 2048`, `EC prime256v1 256`…
    pub key: String,
    /// Size of the key in bits.
    pub key_bits: u32,
    /// How it is signed, e.g. `sha256WithRSAEncryption`.
    pub signature: String,
    /// Extended key usages: `server`, `client`, `email`, `ocsp`, `any`.
    pub usages: Vec<&'static str>,
    /// Where its revocation list is.
    pub crl: Vec<String>,
    /// Where its status may be asked.
    pub ocsp: Vec<String>,
    /// SHA-256 of its DER, hexadecimal.
    pub sha256: String,
    /// Whether it is signed by itself.
    pub is_self_signed: bool,
}

/// A chain as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The server's certificate, then those above it, as sent.
    pub certificates: Vec<Sheet>,
    /// Certificates that could not be read, from 0.
    pub unreadable: Vec<usize>,
    /// Whether each certificate is issued by the next.
    pub is_ordered: bool,
    /// Whether the name asked for is among its names; none when none was asked for.
    pub name_matches: Option<bool>,
    /// Whole days left, negative when over.
    pub days_left: i64,
    /// The verdict against the authorities given; none without authorities.
    pub verdict: Option<Verdict>,
}

/// What verification says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the chain is good.
    pub is_good: bool,
    /// What is wrong otherwise.
    pub fault: Option<String>,
}

/// Reads a chain.
///
/// `anchors`: the authorities believed, if any are to be; `now`: the instant of the verdict.
#[must_use]
pub fn read(chain: &[Vec<u8>], host: Option<&str>, anchors: Option<&Anchors>, now: SystemTime) -> Chain {
    let mut unreadable = Vec::new();
    let mut parsed = Vec::new();
    for (at, der) in chain.iter().enumerate() {
        match X509::from_der(der) {
            Ok(certificate) => parsed.push(certificate),
            Err(_) => unreadable.push(at),
        }
    }
    let certificates: Vec<Sheet> = parsed.iter().map(|certificate| sheet(certificate)).collect();
    let is_ordered = parsed.windows(2).all(|pair| pair[1].issued(&pair[0]) == X509VerifyResult::OK);
    let name_matches = host.and_then(|host| certificates.first().map(|leaf| leaf.names.iter().any(|n| fits(n, host))));
    let now_seconds = seconds(now);
    let days_left =
        certificates.first().map_or(0, |leaf| (leaf.not_after - now_seconds).div_euclid(DAY.as_secs().cast_signed()));
    let verdict =
        anchors.and_then(|anchors| parsed.split_first().map(|leaf| (anchors, leaf))).map(|(anchors, (leaf, above))| {
            let fault = match verify_chain(leaf, above, anchors, Usage::ServerAuth, now, &Revocation::none()) {
                Ok(Ok(())) => None,
                Ok(Err(fault)) => Some(fault.to_string()),
                Err(_) => Some(CertificateFault::Other(0).to_string()),
            };
            Verdict { is_good: fault.is_none(), fault }
        });
    Chain { certificates, unreadable, is_ordered, name_matches, days_left, verdict }
}

/// Whom a certificate names, safe to show.
#[must_use]
pub fn subject(certificate: &X509Ref) -> String {
    name(certificate.subject_name())
}

fn sheet(certificate: &X509Ref) -> Sheet {
    let key = certificate.public_key().ok();
    let key_bits = key.as_ref().map_or(0, |key| key.bits());
    let key = key.map_or_else(
        || "unreadable".to_owned(),
        |key| match key.id() {
            Id::RSA | Id::RSA_PSS => format!("RSA {key_bits}"),
            Id::EC => {
                let curve =
                    key.ec_key().ok().and_then(|ec| ec.group().curve_name()).and_then(|nid| nid.short_name().ok());
                format!("EC {} {key_bits}", curve.unwrap_or("unnamed curve"))
            }
            Id::ED25519 => "Ed25519".to_owned(),
            Id::ED448 => "Ed448".to_owned(),
            Id::DSA => format!("DSA {key_bits}"),
            _ => format!("other {key_bits}"),
        },
    );
    let mut names = Vec::new();
    for name in certificate.subject_alt_names().iter().flatten().take(MAX_NAMES) {
        if let Some(dns) = name.dnsname() {
            names.push(super::starttls::shown(dns));
        } else if let Some(octets) = name.ipaddress() {
            names.extend(match octets.len() {
                4 => <[u8; 4]>::try_from(octets).ok().map(|o| std::net::Ipv4Addr::from(o).to_string()),
                16 => <[u8; 16]>::try_from(octets).ok().map(|o| std::net::Ipv6Addr::from(o).to_string()),
                _ => None,
            });
        }
    }
    let usage = certificate.extended_key_usage();
    let usages = [
        (X509ExtendedKeyUsage::SSL_SERVER, "server"),
        (X509ExtendedKeyUsage::SSL_CLIENT, "client"),
        (X509ExtendedKeyUsage::SMIME, "email"),
        (X509ExtendedKeyUsage::OCSP_SIGN, "ocsp"),
        (X509ExtendedKeyUsage::ANYEKU, "any"),
    ];
    let crl = certificate.crl_distribution_points().into_iter().flatten();
    let crl = crl.filter_map(|point| {
        let name = point.distpoint()?;
        let uris: Vec<String> = name.fullname()?.iter().filter_map(|n| n.uri().map(super::starttls::shown)).collect();
        Some(uris)
    });
    let instant = |date| system_time(date).map_or(0, seconds);
    Sheet {
        subject: name(certificate.subject_name()),
        issuer: name(certificate.issuer_name()),
        serial: certificate
            .serial_number()
            .to_bn()
            .and_then(|number| number.to_hex_str().map(|text| text.to_string()))
            .unwrap_or_default(),
        not_before: instant(certificate.not_before()),
        not_after: instant(certificate.not_after()),
        names,
        key,
        key_bits,
        signature: signature(certificate),
        usages: usages
            .into_iter()
            .filter(|(bit, _)| usage.is_some_and(|usage| usage.contains(*bit)))
            .map(|(_, word)| word)
            .collect(),
        crl: crl.flatten().collect(),
        ocsp: certificate
            .ocsp_responders()
            .map(|urls| urls.iter().map(|url| super::starttls::shown(url)).collect())
            .unwrap_or_default(),
        sha256: certificate
            .digest(MessageDigest::sha256())
            .map(|digest| digest.iter().map(|octet| format!("{octet:02x}")).collect())
            .unwrap_or_default(),
        is_self_signed: certificate.issued(certificate) == X509VerifyResult::OK,
    }
}

/// A name as this project writes them; what is not a proper one, entry by entry.
fn name(name: &openssl::x509::X509NameRef) -> String {
    let text = Dn::from_x509(name).map_or_else(
        |_| {
            let part = |entry: &openssl::x509::X509NameEntryRef| {
                let key = entry.object().nid().short_name().unwrap_or("?").to_owned();
                let value = entry.data().to_string().unwrap_or_default();
                format!("{key}={value}")
            };
            name.entries().map(part).collect::<Vec<_>>().join(", ")
        },
        |dn| dn.to_string(),
    );
    super::starttls::shown(&text)
}

fn signature(certificate: &X509Ref) -> String {
    let nid = certificate.signature_algorithm().object().nid();
    if nid == Nid::UNDEF {
        return super::starttls::shown(&certificate.signature_algorithm().object().to_string());
    }
    nid.long_name().unwrap_or("unknown").to_owned()
}

/// RFC 9525: the whole leftmost label may be a star.
fn fits(name: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Some(rest) = name.strip_prefix("*.") {
        return host
            .split_once('.')
            .is_some_and(|(first, other)| !first.is_empty() && other.eq_ignore_ascii_case(rest));
    }
    name.eq_ignore_ascii_case(host)
}

/// Unix time.
fn seconds(instant: SystemTime) -> i64 {
    match instant.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs().try_into().unwrap_or(i64::MAX),
        Err(before) => -before.duration().as_secs().try_into().unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert!(fits("lps.alpha.test", "LPS.alpha.test.") && fits("*.alpha.test", "lps.alpha.test"));
        assert!(!fits("*.alpha.test", "a.b.alpha.test") && !fits("*.alpha.test", "alpha.test"));
        assert!(!fits("l*.alpha.test", "lps.alpha.test") && fits("127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn rubbish_is_told() {
        let chain = read(&[b"rubbish".to_vec()], Some("x"), None, SystemTime::UNIX_EPOCH);
        assert_eq!(chain.unreadable, vec![0]);
        assert_eq!(chain.name_matches, None);
    }
}
