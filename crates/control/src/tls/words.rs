//! The words of TLS: versions, suites, groups, signature schemes, alerts. Names are IANA's.

use std::fmt;

use serde::{Serialize, Serializer};

use super::suites::SUITES;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Version {
    /// SSL 2 (1995).
    #[serde(rename = "SSL 2")]
    Ssl2,
    /// SSL 3.
    #[serde(rename = "SSL 3")]
    Ssl3,
    /// TLS 1.0.
    #[serde(rename = "TLS 1.0")]
    Tls10,
    /// TLS 1.1.
    #[serde(rename = "TLS 1.1")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "TLS 1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS 1.3")]
    Tls13,
}

impl Version {
    /// All, oldest first.
    pub const ALL: [Version; 6] =
        [Version::Ssl2, Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12, Version::Tls13];

    /// On the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Version::Ssl2 => 0x0002,
            Version::Ssl3 => 0x0300,
            Version::Tls10 => 0x0301,
            Version::Tls11 => 0x0302,
            Version::Tls12 => 0x0303,
            Version::Tls13 => 0x0304,
        }
    }

    /// From the wire.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.code() == code)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Ssl2 => "SSL 2",
            Version::Ssl3 => "SSL 3",
            Version::Tls10 => "TLS 1.0",
            Version::Tls11 => "TLS 1.1",
            Version::Tls12 => "TLS 1.2",
            Version::Tls13 => "TLS 1.3",
        })
    }
}

/// How the keys of a suite are agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Ephemeral Diffie-Hellman.
    Dhe,
    /// Ephemeral Diffie-Hellman on an elliptic curve.
    Ecdhe,
    /// TLS 1.3: by the key share.
    Share,
    /// Anonymous Diffie-Hellman.
    DhAnon,
    /// Anonymous Diffie-Hellman on an elliptic curve.
    EcdhAnon,
    /// Anything whose keys outlive the session: RSA, static Diffie-Hellman, PSK, SRP, Kerberos, GOST.
    Other,
}

/// A cipher suite of SSL 3 to TLS 1.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suite(pub u16);

impl Suite {
    /// The six of the API LPS (LPS-TLS), in the order of the requirement.
    pub const SIX: [Suite; 6] =
        [Suite(0xC030), Suite(0xC02F), Suite(0xC028), Suite(0xC027), Suite(0x009F), Suite(0x009E)];

    /// Every suite known that goes with the version; of SSL 2 none.
    pub fn known(version: Version) -> impl Iterator<Item = Suite> {
        SUITES.iter().map(|(code, _)| Suite(*code)).filter(move |suite| match version {
            Version::Ssl2 => false,
            Version::Tls13 => suite.is_tls13(),
            _ => !suite.is_tls13(),
        })
    }

    /// IANA's name, or the code.
    #[must_use]
    pub fn name(self) -> String {
        match SUITES.binary_search_by_key(&self.0, |(code, _)| *code) {
            Ok(at) => SUITES[at].1.to_owned(),
            Err(_) => format!("unknown 0x{:04X}", self.0),
        }
    }

    /// Whether it belongs to TLS 1.3.
    #[must_use]
    pub fn is_tls13(self) -> bool {
        matches!(self.0, 0x1301..=0x1305 | 0x00C6 | 0x00C7)
    }

    /// Whether the name holds the word, between underscores.
    fn says(self, word: &str) -> bool {
        self.name().split('_').any(|part| part == word)
    }

    /// How its keys are agreed.
    #[must_use]
    pub fn exchange(self) -> Exchange {
        let name = self.name();
        if self.is_tls13() {
            Exchange::Share
        } else if name.starts_with("TLS_ECDH_anon") {
            Exchange::EcdhAnon
        } else if name.starts_with("TLS_DH_anon") {
            Exchange::DhAnon
        } else if name.starts_with("TLS_ECDHE_") {
            Exchange::Ecdhe
        } else if name.starts_with("TLS_DHE_") || name.starts_with("TLS_PSK_DHE_") {
            Exchange::Dhe
        } else {
            Exchange::Other
        }
    }

    /// Whether somebody who learns the server's key later cannot read what was recorded before.
    #[must_use]
    pub fn is_forward_secret(self) -> bool {
        matches!(self.exchange(), Exchange::Dhe | Exchange::Ecdhe | Exchange::Share)
    }

    /// Whether nobody proves who they are.
    #[must_use]
    pub fn is_anonymous(self) -> bool {
        matches!(self.exchange(), Exchange::DhAnon | Exchange::EcdhAnon)
    }

    /// Whether nothing is encrypted.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.says("NULL")
    }

    /// Whether its keys were weakened for export.
    #[must_use]
    pub fn is_export(self) -> bool {
        self.says("EXPORT") || self.says("EXPORT1024")
    }

    /// Whether it uses RC4.
    #[must_use]
    pub fn is_rc4(self) -> bool {
        self.says("RC4")
    }

    /// Whether it uses triple DES (blocks of 64 bits).
    #[must_use]
    pub fn is_3des(self) -> bool {
        self.says("3DES")
    }

    /// Whether it uses another cipher broken or forgotten: DES, RC2, IDEA, SEED, GOST, or a MAC of MD5.
    #[must_use]
    pub fn is_old(self) -> bool {
        ["DES", "DES40", "RC2", "IDEA", "SEED", "28147", "MD5"].into_iter().any(|word| self.says(word))
    }

    /// Whether it works by chained blocks.
    #[must_use]
    pub fn is_cbc(self) -> bool {
        self.says("CBC")
    }

    /// Whether it encrypts and authenticates at once.
    #[must_use]
    pub fn is_aead(self) -> bool {
        ["GCM", "CCM", "POLY1305", "OMAC"].into_iter().any(|word| self.says(word))
    }

    /// Whether it is one of the six of the API LPS. LPS-TLS
    #[must_use]
    pub fn is_one_of_the_six(self) -> bool {
        Suite::SIX.contains(&self)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X} {}", self.0, self.name())
    }
}

impl Serialize for Suite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named {
            code: String,
            name: String,
        }
        Named { code: format!("0x{:04X}", self.0), name: self.name() }.serialize(serializer)
    }
}

/// A cipher of SSL 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssl2Cipher(pub u32);

/// Code and name of the ciphers of SSL 2.
const SSL2: [(u32, &str); 7] = [
    (0x01_0080, "SSL_CK_RC4_128_WITH_MD5"),
    (0x02_0080, "SSL_CK_RC4_128_EXPORT40_WITH_MD5"),
    (0x03_0080, "SSL_CK_RC2_128_CBC_WITH_MD5"),
    (0x04_0080, "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5"),
    (0x05_0080, "SSL_CK_IDEA_128_CBC_WITH_MD5"),
    (0x06_0040, "SSL_CK_DES_64_CBC_WITH_MD5"),
    (0x07_00C0, "SSL_CK_DES_192_EDE3_CBC_WITH_MD5"),
];

impl Ssl2Cipher {
    /// Every one.
    pub fn known() -> impl Iterator<Item = Ssl2Cipher> {
        SSL2.iter().map(|(code, _)| Ssl2Cipher(*code))
    }

    /// Its name, or its code.
    #[must_use]
    pub fn name(self) -> String {
        SSL2.iter()
            .find(|(code, _)| *code == self.0)
            .map_or_else(|| format!("unknown 0x{:06X}", self.0), |(_, name)| (*name).to_owned())
    }
}

/// A named group of a key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u16);

/// Code, IANA name and strength: the size of the curve or of the prime, in bits.
const GROUPS: &[(u16, &str, u32)] = &[
    (1, "sect163k1", 163),
    (2, "sect163r1", 163),
    (3, "sect163r2", 163),
    (4, "sect193r1", 193),
    (5, "sect193r2", 193),
    (6, "sect233k1", 233),
    (7, "sect233r1", 233),
    (8, "sect239k1", 239),
    (9, "sect283k1", 283),
    (10, "sect283r1", 283),
    (11, "sect409k1", 409),
    (12, "sect409r1", 409),
    (13, "sect571k1", 571),
    (14, "sect571r1", 571),
    (15, "secp160k1", 160),
    (16, "secp160r1", 160),
    (17, "secp160r2", 160),
    (18, "secp192k1", 192),
    (19, "secp192r1", 192),
    (20, "secp224k1", 224),
    (21, "secp224r1", 224),
    (22, "secp256k1", 256),
    (23, "secp256r1", 256),
    (24, "secp384r1", 384),
    (25, "secp521r1", 521),
    (26, "brainpoolP256r1", 256),
    (27, "brainpoolP384r1", 384),
    (28, "brainpoolP512r1", 512),
    (29, "x25519", 255),
    (30, "x448", 448),
    (31, "brainpoolP256r1tls13", 256),
    (32, "brainpoolP384r1tls13", 384),
    (33, "brainpoolP512r1tls13", 512),
    (41, "curveSM2", 256),
    (0x0100, "ffdhe2048", 2048),
    (0x0101, "ffdhe3072", 3072),
    (0x0102, "ffdhe4096", 4096),
    (0x0103, "ffdhe6144", 6144),
    (0x0104, "ffdhe8192", 8192),
    (0x0200, "MLKEM512", 512),
    (0x0201, "MLKEM768", 768),
    (0x0202, "MLKEM1024", 1024),
    (0x11EB, "SecP256r1MLKEM768", 256),
    (0x11EC, "X25519MLKEM768", 255),
    (0x11ED, "SecP384r1MLKEM1024", 384),
];

impl Group {
    /// X25519: counts 255 bits, admitted by name (control.md §8.1).
    pub const X25519: Group = Group(29);

    /// Every group known.
    pub fn known() -> impl Iterator<Item = Group> {
        GROUPS.iter().map(|(code, ..)| Group(*code))
    }

    /// Elliptic curves of TLS 1.2 and before.
    pub fn curves() -> impl Iterator<Item = Group> {
        Group::known().filter(|group| group.0 <= 30 || group.0 == 41)
    }

    /// What TLS 1.3 may agree on.
    pub fn shares() -> impl Iterator<Item = Group> {
        Group::known().filter(|group| group.0 >= 23 && !matches!(group.0, 26..=28))
    }

    /// Finite-field groups of RFC 7919.
    pub fn finite() -> impl Iterator<Item = Group> {
        Group::known().filter(|group| group.is_finite())
    }

    /// Whether it is a finite field.
    #[must_use]
    pub fn is_finite(self) -> bool {
        (0x0100..0x0200).contains(&self.0)
    }

    /// IANA's name, or the code.
    #[must_use]
    pub fn name(self) -> String {
        self.entry().map_or_else(|| format!("unknown 0x{:04X}", self.0), |(_, name, _)| (*name).to_owned())
    }

    /// Size of the curve or prime, in bits; 0 when unknown.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.entry().map_or(0, |(.., bits)| *bits)
    }

    /// Whether it is strong enough: 256 bits for a curve (X25519 admitted), 2048 for a prime.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self == Group::X25519 || self.0 == 0x11EC || self.bits() >= if self.is_finite() { 2048 } else { 256 }
    }

    fn entry(self) -> Option<&'static (u16, &'static str, u32)> {
        GROUPS.iter().find(|(code, ..)| *code == self.0)
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Code and IANA name of signature schemes, those of TLS 1.2 by hash and algorithm included.
pub(crate) const SCHEMES: &[(u16, &str)] = &[
    (0x0403, "ecdsa_secp256r1_sha256"),
    (0x0503, "ecdsa_secp384r1_sha384"),
    (0x0603, "ecdsa_secp521r1_sha512"),
    (0x0807, "ed25519"),
    (0x0808, "ed448"),
    (0x0804, "rsa_pss_rsae_sha256"),
    (0x0805, "rsa_pss_rsae_sha384"),
    (0x0806, "rsa_pss_rsae_sha512"),
    (0x0809, "rsa_pss_pss_sha256"),
    (0x080a, "rsa_pss_pss_sha384"),
    (0x080b, "rsa_pss_pss_sha512"),
    (0x0401, "rsa_pkcs1_sha256"),
    (0x0501, "rsa_pkcs1_sha384"),
    (0x0601, "rsa_pkcs1_sha512"),
    (0x0303, "ecdsa_sha224"),
    (0x0301, "rsa_pkcs1_sha224"),
    (0x0402, "dsa_sha256"),
    (0x0203, "ecdsa_sha1"),
    (0x0201, "rsa_pkcs1_sha1"),
    (0x0202, "dsa_sha1"),
    (0x0101, "rsa_pkcs1_md5"),
];

/// Name of a signature scheme, or its code.
#[must_use]
pub fn scheme_name(code: u16) -> String {
    SCHEMES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or_else(|| format!("unknown 0x{code:04X}"), |(_, name)| (*name).to_owned())
}

/// Whether a signature scheme hashes with MD5 or SHA-1.
#[must_use]
pub fn is_weak_scheme(code: u16) -> bool {
    matches!(code >> 8, 1 | 2)
}

/// Name of an alert (RFC 8446 §6 and before).
#[must_use]
pub fn alert_name(code: u8) -> &'static str {
    match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "unknown alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_sorted_and_told_apart() {
        assert!(SUITES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(Suite(0xC02F).name(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert!(Suite::SIX.iter().all(|suite| suite.is_forward_secret() && !suite.is_old() && !suite.is_null()));
        assert!(Suite(0x0034).is_anonymous() && !Suite(0x0034).is_forward_secret());
        assert!(Suite(0x0003).is_export() && Suite(0x0003).is_rc4());
        assert!(Suite(0x000A).is_3des() && !Suite(0x000A).is_old());
        assert!(Suite(0x0009).is_old() && Suite(0x003B).is_null());
        assert!(!Suite(0x009C).is_forward_secret() && Suite(0x009C).is_aead());
        assert!(Suite(0x1301).is_tls13() && Suite(0x1301).is_forward_secret());
        assert_eq!(Suite(0x0A0A).name(), "unknown 0x0A0A");
    }

    #[test]
    fn groups_are_weighed() {
        assert!(Group::X25519.is_enough() && Group(23).is_enough() && Group(0x0100).is_enough());
        assert!(!Group(21).is_enough() && !Group(19).is_enough() && !Group(0xFFFF).is_enough());
        assert!(Group::shares().all(|group| group.0 >= 23));
        assert!(Group::finite().all(|group| group.bits() >= 2048));
    }
}
