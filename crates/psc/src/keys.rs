//! The issuer's public keys (RFC 7517) and the one signature check of this crate (JWT-09, 11, 12).
//!
//! A key set is read leniently (a key of an unknown kind does not spoil the others, JWT-22) but a key is used strictly: its
//! type, curve, size, `use` and `alg` must fit the algorithm the token names. `oct` keys do not exist here.

use crate::jws::Jws;
use crate::{Algorithm, Refusal};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use std::collections::HashMap;

/// Largest JWKS read, in octets: PSC's holds a handful of keys of 1 to 3 kB each.
pub(crate) const MAX_JWKS: usize = 256 * 1024;

/// Most keys kept from one set.
const MAX_KEYS: usize = 64;

/// Smallest RSA modulus (RGS B1, RFC 7518 §3.3), in bits.
const MIN_RSA_BITS: usize = 2048;

/// Largest RSA modulus, in bits: bounds the cost of one check.
const MAX_RSA_BITS: usize = 8192;

/// The keys of one issuer, by `kid`.
#[derive(Default)]
pub(crate) struct KeySet {
    keys: HashMap<String, Vec<PublicKey>>,
}

struct PublicKey {
    family: Family,
    /// The only algorithm the issuer allows for this key, when it says so.
    only: Option<Algorithm>,
    key: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWKS document; `None` when it is not one. An empty set is a set.
    pub fn parse(document: &[u8]) -> Option<Self> {
        if document.len() > MAX_JWKS {
            return None;
        }
        let raw: RawSet = serde_json::from_slice(document).ok()?;
        let mut set = Self::default();
        for value in raw.keys.into_iter().take(MAX_KEYS) {
            let Ok(raw) = serde_json::from_value::<RawKey>(value) else {
                continue;
            };
            if let Some(key) = PublicKey::read(&raw) {
                set.keys.entry(raw.kid).or_default().push(key);
            }
        }
        Some(set)
    }

    /// Whether no usable key was found.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the issuer publishes a key of this name.
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// Verifies the signature with the key the token names.
    pub fn verify(&self, jws: &Jws<'_>) -> Result<(), Refusal> {
        if jws.is_believed {
            return Ok(());
        }
        let named = self.keys.get(&jws.key_id).ok_or(Refusal::UnknownKey)?;
        let mut fitting = named.iter().filter(|key| key.fits(jws.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        let verified = fitting.any(|key| {
            let (input, algorithm) = (jws.signing_input.as_bytes(), jws.algorithm.library());
            matches!(jsonwebtoken::crypto::verify(jws.signature, input, &key.key, algorithm), Ok(true))
        });
        if verified { Ok(()) } else { Err(Refusal::BadSignature) }
    }
}

impl PublicKey {
    fn read(raw: &RawKey) -> Option<Self> {
        if raw.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        if raw.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return None;
        }
        let only = match raw.alg.as_deref() {
            None => None,
            Some(name) => Some(Algorithm::from_name(name)?),
        };
        let (family, key) = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => (Family::Rsa, rsa(raw.n.as_deref()?, raw.e.as_deref()?)?),
            ("EC", Some("P-256")) => (Family::P256, ec(raw, 32)?),
            ("EC", Some("P-384")) => (Family::P384, ec(raw, 48)?),
            _ => return None,
        };
        Some(Self { family, only, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        let family = match algorithm {
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => Family::Rsa,
            Es256 => Family::P256,
            Es384 => Family::P384,
        };
        self.family == family && self.only.is_none_or(|only| only == algorithm)
    }
}

fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let octets = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let e = URL_SAFE_NO_PAD.decode(exponent).ok()?;
    let significant: &[u8] = &octets[octets.iter().position(|&b| b != 0)?..];
    let bits = significant.len() * 8 - significant[0].leading_zeros() as usize;
    // An exponent of 1 would make every signature valid; even exponents are not RSA. Usual values have 1 to 3 octets.
    let exponent_ok = (1..=8).contains(&e.len()) && e.last().is_some_and(|low| low & 1 == 1) && e.as_slice() != [1];
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) || !exponent_ok {
        return None;
    }
    Some(DecodingKey::from_rsa_raw_components(significant, &e))
}

fn ec(raw: &RawKey, size: usize) -> Option<DecodingKey> {
    let (x, y) = (raw.x.as_deref()?, raw.y.as_deref()?);
    for coordinate in [x, y] {
        if URL_SAFE_NO_PAD.decode(coordinate).ok()?.len() != size {
            return None;
        }
    }
    DecodingKey::from_ec_components(x, y).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_foreign_keys_are_left_out() {
        let modulus = |octets: usize| URL_SAFE_NO_PAD.encode(vec![0xc1; octets]);
        let set = format!(
            r#"{{"keys":[
                {{"kty":"RSA","kid":"good","use":"sig","alg":"RS256","n":"{good}","e":"AQAB"}},
                {{"kty":"RSA","kid":"short","n":"{short}","e":"AQAB"}},
                {{"kty":"RSA","kid":"one","n":"{good}","e":"AQ"}},
                {{"kty":"RSA","kid":"enc","use":"enc","n":"{good}","e":"AQAB"}},
                {{"kty":"RSA","kid":"hs","alg":"HS256","n":"{good}","e":"AQAB"}},
                {{"kty":"oct","kid":"oct","k":"c2VjcmV0"}},
                {{"kty":"OKP","kid":"okp","crv":"Ed25519","x":"AA"}},
                {{"kty":"RSA","n":"{good}","e":"AQAB"}},
                42
            ]}}"#,
            good = modulus(256),
            short = modulus(128),
        );
        let set = KeySet::parse(set.as_bytes()).expect("a JWKS");
        assert!(set.contains("good"));
        for kid in ["short", "one", "enc", "hs", "oct", "okp", ""] {
            assert!(!set.contains(kid), "{kid}");
        }
        assert!(KeySet::parse(b"{\"keys\":[]}").is_some());
        assert!(KeySet::parse(b"<html>").is_none());
        assert!(KeySet::parse(&vec![b' '; MAX_JWKS + 1]).is_none());
    }
}
