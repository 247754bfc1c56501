//! The signature algorithms a token may use: asymmetric ones only.
//!
//! `none` and the HS* family are not values of this type, so no configuration can allow them (JWT-10, JWT-11;
//! RFC 8725 §2.1, §3.1).

use serde::{Deserialize, Serialize};

/// A JWS signature algorithm (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256; what PSC uses.
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    Rs512,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// RSA-PSS with SHA-384.
    Ps384,
    /// RSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl Algorithm {
    /// Every algorithm known.
    pub const ALL: [Self; 8] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384];

    /// The registered name, as it stands in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    /// The algorithm of this exact name; names are case-sensitive (RFC 7515 §4.1.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) fn library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as L;
        match self {
            Self::Rs256 => L::RS256,
            Self::Rs384 => L::RS384,
            Self::Rs512 => L::RS512,
            Self::Ps256 => L::PS256,
            Self::Ps384 => L::PS384,
            Self::Ps512 => L::PS512,
            Self::Es256 => L::ES256,
            Self::Es384 => L::ES384,
        }
    }
}
