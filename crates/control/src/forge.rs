//! Tokens made by hand, good or with one flaw: JWS put together from JSON and base64url, so that anything forbidden can be produced.
//! Mutations are data (`catalogue/jetons.json`). CTL-PSC; control.md §5.3.

use std::time::SystemTime;

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::job::Psc;

/// The variants of tokens.
pub(crate) const VARIANTS: &str = include_str!("../catalogue/jetons.json");
/// Life of a nominal token, in seconds: as the real ones.
const LIFE: i64 = 120;

/// What one variant changes. Applied in order; then the token is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mutation {
    /// Sets a claim. Texts `T+60`, `T-3600` are instants in seconds; `{iss}` is the issuer, `{autre_idnat}` somebody else.
    PoserCharge {
        /// Its name.
        nom: String,
        /// Its value.
        valeur: Value,
    },
    /// Takes a claim away.
    RetirerCharge {
        /// Its name.
        nom: String,
    },
    /// Sets a header parameter.
    PoserEntete {
        /// Its name.
        nom: String,
        /// Its value.
        valeur: Value,
    },
    /// Takes a header parameter away.
    RetirerEntete {
        /// Its name.
        nom: String,
    },
    /// Signs with something else.
    Signer {
        /// With what.
        avec: With,
    },
    /// Spoils what was signed.
    Alterer {
        /// How.
        comment: Spoil,
    },
}

/// What a token is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum With {
    /// A key that is in no JWKS.
    CleEtrangere,
    /// HS256 with the public key in PEM.
    HmacPem,
    /// HS256 with the public key in DER.
    HmacDer,
    /// HS256 with the public key as JWK text.
    HmacJwk,
    /// Nothing: an empty signature.
    Rien,
    /// A key that the token itself brings (`jwk`).
    CleJointe,
}

/// How a signed token is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// One bit of the signature.
    UnBit,
    /// Ten octets less.
    Tronquer,
    /// No signature, the point stays.
    Vider,
    /// No signature, no point.
    SansPoint,
    /// The claims changed after signing: the signature is the one of somebody else's good token.
    ChargeApres,
    /// A space inside the payload segment.
    Espace,
    /// `=` at the end of each segment.
    Bourrage,
    /// Five segments, as encrypted tokens have.
    CinqSegments,
    /// A text that is no JWT.
    Opaque,
    /// A claim twice: first the right identity, then another.
    ClefDouble,
}

/// What must become of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Refused.
    Refus,
    /// Taken.
    Accord,
    /// Either, noted.
    Constat,
}

/// One variant of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The case.
    pub cas: String,
    /// Its name in the report.
    pub nom: String,
    /// What must become of it.
    pub attendu: Expected,
    /// How heavy it is when it does not; the case's otherwise.
    #[serde(default)]
    pub niveau: Option<crate::verdict::Severity>,
    /// What it changes.
    pub mutations: Vec<Mutation>,
}

/// Every variant, in order.
#[must_use]
pub fn variants() -> Vec<Variant> {
    // Tested below: it cannot be damaged in a program that was built.
    serde_json::from_str(VARIANTS).expect("the variants are tested")
}

/// Makes tokens.
pub struct Forge {
    issuer: String,
    azp: String,
    kid: String,
    key: PKey<Private>,
    stranger: PKey<Private>,
}

/// Why there is no forge.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The key's file.
    #[error("psc.key: {0}")]
    File(#[from] std::io::Error),
    /// The key itself, or OpenSSL.
    #[error("psc.key: {0}: an RSA private key in PEM is expected")]
    OpenSsl(#[from] openssl::error::ErrorStack),
}

impl Forge {
    /// With the key of the operator's PSC, of a test space.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn new(psc: &Psc) -> Result<Forge, ForgeError> {
        let key = PKey::private_key_from_pem_callback(&std::fs::read(&psc.key)?, |_| Ok(0))?;
        key.rsa()?;
        let stranger = PKey::from_rsa(Rsa::generate(2048)?)?;
        Ok(Forge { issuer: psc.issuer.clone(), azp: psc.azp.clone(), kid: psc.kid.clone(), key, stranger })
    }

    /// The claims of a good token.
    fn claims(&self, idnat: &str, now: i64) -> Map<String, Value> {
        let session = id();
        let claims = json!({
            "exp": now + LIFE, "iat": now, "auth_time": now, "jti": id(), "iss": self.issuer,
            "sub": format!("f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:{idnat}"), "typ": "Bearer", "azp": self.azp,
            "session_state": session, "sid": session, "acr": "eidas1", "scope": "openid scope_all identity", "authMode": "MOBILE",
            "otherIds": [{ "identifiant": idnat, "origine": "RPPS", "qualite": 1 }],
            "preferred_username": idnat, "SubjectNameID": idnat,
        });
        match claims {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// A good token.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn nominal(&self, idnat: &str) -> Result<String, ForgeError> {
        self.make(idnat, idnat, &[])
    }

    /// The public key of nobody: what [`With::CleEtrangere`] signs with, under a name, as a JWK. For baits and for a key that PSC
    /// publishes anew.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn strange_jwk(&self, kid: &str) -> Result<Value, ForgeError> {
        let mut key = jwk(&self.stranger)?;
        for (name, value) in [("kid", kid), ("alg", "RS256"), ("use", "sig")] {
            key[name] = json!(value);
        }
        Ok(key)
    }

    /// A good token with `octets` more of a claim that nobody reads.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn swollen(&self, idnat: &str, octets: usize) -> Result<String, ForgeError> {
        let filler = Mutation::PoserCharge { nom: "rembourrage".to_owned(), valeur: json!("x".repeat(octets)) };
        self.make(idnat, idnat, &[filler])
    }

    /// A token with these mutations, at this instant.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn make(&self, idnat: &str, other: &str, mutations: &[Mutation]) -> Result<String, ForgeError> {
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!("RS256"));
        header.insert("typ".to_owned(), json!("JWT"));
        header.insert("kid".to_owned(), json!(self.kid));
        let mut claims = self.claims(idnat, now);
        let value = |value: &Value| self.value(value, now, other);
        let (mut with, mut spoils) = (None, Vec::new());
        for mutation in mutations {
            match mutation {
                Mutation::PoserCharge { nom, valeur } => {
                    claims.insert(nom.clone(), value(valeur));
                }
                Mutation::RetirerCharge { nom } => {
                    claims.remove(nom);
                }
                Mutation::PoserEntete { nom, valeur } => {
                    header.insert(nom.clone(), value(valeur));
                }
                Mutation::RetirerEntete { nom } => {
                    header.remove(nom);
                }
                Mutation::Signer { avec } => with = Some(*avec),
                Mutation::Alterer { comment } => spoils.push(*comment),
            }
        }
        if with == Some(With::CleJointe) {
            header.insert("jwk".to_owned(), jwk(&self.stranger)?);
        }
        let mut payload = Value::Object(claims).to_string();
        if spoils.contains(&Spoil::ClefDouble) {
            payload.insert_str(payload.len() - 1, &format!(",\"SubjectNameID\":{}", json!(other)));
        }
        let header = base64url(Value::Object(header).to_string().as_bytes());
        let mut payload = base64url(payload.as_bytes());
        if spoils.contains(&Spoil::Espace) {
            payload.insert(10, ' ');
        }
        let (mut header, mut end) = (header, "");
        if spoils.contains(&Spoil::Bourrage) {
            // Signed as it is sent: a reader that is not strict finds the signature right.
            (header, payload, end) = (format!("{header}=="), format!("{payload}=="), "==");
        }
        let signed = match spoils.contains(&Spoil::ChargeApres) {
            true => format!("{header}.{}", base64url(Value::Object(self.claims(other, now)).to_string().as_bytes())),
            false => format!("{header}.{payload}"),
        };
        let signature = match with {
            None => sign(&self.key, &signed)?,
            Some(With::CleEtrangere | With::CleJointe) => sign(&self.stranger, &signed)?,
            Some(With::Rien) => Vec::new(),
            Some(With::HmacPem) => hmac(&self.key.public_key_to_pem()?, &signed)?,
            Some(With::HmacDer) => hmac(&self.key.public_key_to_der()?, &signed)?,
            Some(With::HmacJwk) => hmac(jwk(&self.key)?.to_string().as_bytes(), &signed)?,
        };
        let mut signature = signature;
        let mut tail = ".".to_owned();
        for spoil in spoils {
            match spoil {
                Spoil::UnBit => {
                    if let Some(last) = signature.get_mut(7) {
                        *last ^= 1;
                    }
                }
                Spoil::Tronquer => signature.truncate(signature.len().saturating_sub(10)),
                Spoil::Vider => signature.clear(),
                Spoil::SansPoint => {
                    signature.clear();
                    tail.clear();
                }
                Spoil::CinqSegments => {
                    return Ok(format!("{header}.{payload}.{payload}.{payload}.{}", base64url(&signature)));
                }
                Spoil::Opaque => return Ok(id()),
                // Before it was signed.
                Spoil::ChargeApres | Spoil::Espace | Spoil::Bourrage | Spoil::ClefDouble => {}
            }
        }
        Ok(format!("{header}.{payload}{tail}{}{end}", base64url(&signature)))
    }

    fn value(&self, value: &Value, now: i64, other: &str) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('T').map(str::parse::<i64>) {
                Some(Ok(delta)) => json!(now + delta),
                _ => {
                    let text =
                        text.replace("{iss}", &self.issuer).replace("{autre_idnat}", other).replace("{kid}", &self.kid);
                    json!(
                        match text.strip_prefix("{long:").and_then(|n| n.strip_suffix('}')).map(str::parse::<usize>) {
                            Some(Ok(length)) => "k".repeat(length.min(100_000)),
                            _ => text,
                        }
                    )
                }
            },
            Value::Array(values) => values.iter().map(|value| self.value(value, now, other)).collect(),
            other => other.clone(),
        }
    }
}

/// The SASL response of XOAUTH2.
#[must_use]
pub fn xoauth2(user: &str, token: &str) -> Vec<u8> {
    format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

fn sign(key: &PKey<Private>, text: &str) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.update(text.as_bytes())?;
    signer.sign_to_vec()
}

fn hmac(secret: &[u8], text: &str) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let key = PKey::hmac(secret)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(text.as_bytes())?;
    signer.sign_to_vec()
}

fn jwk(key: &PKey<Private>) -> Result<Value, openssl::error::ErrorStack> {
    let rsa = key.rsa()?;
    Ok(json!({ "kty": "RSA", "n": base64url(&rsa.n().to_vec()), "e": base64url(&rsa.e().to_vec()) }))
}

fn base64url(octets: &[u8]) -> String {
    openssl::base64::encode_block(octets).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// A random identifier.
pub(crate) fn id() -> String {
    let mut octets = [0; 16];
    // Only has to differ: nothing secret hangs on it.
    let _ = openssl::rand::rand_bytes(&mut octets);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forge() -> Forge {
        let key = || PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        Forge { issuer: "https://psc.test".into(), azp: "a".into(), kid: "k".into(), key: key(), stranger: key() }
    }

    fn segment(token: &str, at: usize) -> Value {
        let text = token.split('.').nth(at).expect("a segment").replace('-', "+").replace('_', "/");
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        serde_json::from_slice(&openssl::base64::decode_block(&padded).expect("base64")).expect("JSON")
    }

    #[test]
    fn every_variant_can_be_made_and_differs_from_a_good_one() {
        let forge = forge();
        let all = variants();
        assert!(all.len() > 50, "{}", all.len());
        for variant in &all {
            assert!(crate::catalogue::Catalogue::embedded().case(&variant.cas).is_some(), "{}", variant.cas);
            let token = forge.make("899700000017", "899700000021", &variant.mutations).expect("made");
            assert!(!token.is_empty() && !token.contains(['\r', '\n']), "{}", variant.nom);
        }
        let names: std::collections::BTreeSet<_> = all.iter().map(|v| (&v.cas, &v.nom)).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn mutations_do_what_they_say() {
        let forge = forge();
        let made = |mutation: Mutation| forge.make("899700000017", "899700000021", &[mutation]).expect("made");
        let good = forge.nominal("899700000017").expect("made");
        assert_eq!(segment(&good, 1)["SubjectNameID"], "899700000017");
        let late = made(Mutation::PoserCharge { nom: "exp".into(), valeur: json!("T-3600") });
        assert!(segment(&late, 1)["exp"].as_i64() < segment(&good, 1)["iat"].as_i64());
        let slash = made(Mutation::PoserCharge { nom: "iss".into(), valeur: json!("{iss}/") });
        assert_eq!(segment(&slash, 1)["iss"], "https://psc.test/");
        let verified = |token: &str| {
            let (signed, signature) = token.rsplit_once('.').expect("a signature");
            let text = signature.trim_end_matches('=').replace('-', "+").replace('_', "/");
            let octets = openssl::base64::decode_block(&format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4)));
            let mut verifier = openssl::sign::Verifier::new(MessageDigest::sha256(), &forge.key).expect("a verifier");
            verifier.update(signed.as_bytes()).expect("read");
            verifier.verify(&octets.expect("base64")).expect("looked at")
        };
        // The holder's identity, under the signature of somebody else's token: what matters is that it would open.
        let other = made(Mutation::Alterer { comment: Spoil::ChargeApres });
        assert_eq!(segment(&other, 1)["SubjectNameID"], "899700000017");
        assert!(verified(&good) && !verified(&other));
        for comment in [Spoil::Espace, Spoil::Bourrage] {
            assert!(verified(&made(Mutation::Alterer { comment })), "{comment:?} is signed as it is sent");
        }
        assert_eq!(made(Mutation::Alterer { comment: Spoil::SansPoint }).matches('.').count(), 1);
        assert_eq!(made(Mutation::Alterer { comment: Spoil::CinqSegments }).matches('.').count(), 4);
        assert!(segment(&made(Mutation::Signer { avec: With::CleJointe }), 0)["jwk"]["n"].is_string());
    }
}
