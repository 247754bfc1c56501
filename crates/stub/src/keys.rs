//! Keys and secrets of a realm, in a folder of its own: made once, readable by their owner only.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::sign::{Signer, Verifier};
use serde_json::{Value, json};

use crate::StubError;

/// The client every program of the sandbox uses.
pub const CLIENT_ID: &str = "vaguemestre-bac-a-sable";
/// The issuer of foreign tokens: a name that can exist nowhere (RFC 2606). // JWT-01
pub const FOREIGN_ISSUER: &str = "https://auth.autre-emetteur.invalid/auth/realms/esante-wallet";

/// An RSA key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    key: PKey<Private>,
    kid: String,
}

impl SigningKey {
    fn new(key: PKey<Private>) -> Result<Self, openssl::error::ErrorStack> {
        let digest = openssl::sha::sha256(&key.public_key_to_der()?);
        Ok(SigningKey { key, kid: URL_SAFE_NO_PAD.encode(digest) })
    }

    /// Its name in the JWKS.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A signed compact JWS (RS256) of these claims.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn sign(&self, claims: &Value) -> Result<String, openssl::error::ErrorStack> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        let input = format!("{}.{}", encode(&header), encode(claims));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
        signer.update(input.as_bytes())?;
        let signature = signer.sign_to_vec()?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this key signed; `None` for any other text.
    pub fn open(&self, token: &str) -> Option<Value> {
        open(token, &self.kid, &self.key)
    }

    /// The public key for a JWKS.
    pub fn jwk(&self) -> Value {
        // The key is made by `generate`: always RSA.
        let rsa = self.key.rsa().expect("an RSA key");
        let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
        json!({ "kid": self.kid, "kty": "RSA", "alg": "RS256", "use": "sig", "n": number(rsa.n()), "e": number(rsa.e()) })
    }
}

/// A key published beside ours for a while (JWT-22).
pub(crate) struct PublicKey {
    kid: String,
    key: PKey<Public>,
}

/// Moduli taken, in octets: RSA of 2048 to 4096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

impl PublicKey {
    /// From a JWK: RSA, with a `kid`.
    pub fn read(jwk: &Value) -> Result<PublicKey, StubError> {
        let refused =
            || StubError::Scenario("keys: RSA keys of 2048 to 4096 bits as JWK, with kid, n and e".to_owned());
        let number = |name: &str| {
            let octets = URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok()?;
            BigNum::from_slice(&octets).ok().map(|number| (octets.len(), number))
        };
        let (Some(kid), Some((size, n)), Some((_, e))) = (jwk["kid"].as_str(), number("n"), number("e")) else {
            return Err(refused());
        };
        if jwk["kty"] != "RSA" || kid.is_empty() || kid.len() > crate::tokens::MAX_NAME || !MODULUS.contains(&size) {
            return Err(refused());
        }
        let key = PKey::from_rsa(Rsa::from_public_components(n, e)?)?;
        Ok(PublicKey { kid: kid.to_owned(), key })
    }

    /// As [`SigningKey::open`].
    pub fn open(&self, token: &str) -> Option<Value> {
        open(token, &self.kid, &self.key)
    }
}

/// The claims of a token, when this key of that name signed it.
fn open<T: HasPublic>(token: &str, kid: &str, key: &PKey<T>) -> Option<Value> {
    let (input, signature) = token.rsplit_once('.')?;
    let (header, claims) = input.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    // Whoever does not know an extension that is critical must refuse (RFC 7515 §4.1.11), and we know none.
    if header["alg"] != "RS256" || header["kid"] != kid || header.get("crit").is_some() {
        return None;
    }
    let mut verifier = Verifier::new(MessageDigest::sha256(), key).ok()?;
    verifier.update(input.as_bytes()).ok()?;
    if !verifier.verify(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()? {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Everything in a realm's folder.
pub struct Keys {
    /// The exact issuer.
    pub issuer: String,
    /// The key of the JWKS.
    pub signing: SigningKey,
    /// The key of [`FOREIGN_ISSUER`].
    pub foreign: SigningKey,
    /// The secret of [`CLIENT_ID`].
    pub client_secret: String,
}

impl Keys {
    /// Reads the folder, makes what is missing, and notes the issuer. Blocking.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn open(folder: &Path, issuer: &str) -> Result<Keys, StubError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StubError::file(folder))?;
        let files = [folder.join("signing.key"), folder.join("foreign.key")];
        let missing: Vec<&PathBuf> = files.iter().filter(|file| !file.exists()).collect();
        for (file, key) in missing.iter().zip(generate(missing.len())?) {
            write_secret(file, &key.private_key_to_pem_pkcs8()?)?;
        }
        let secret = folder.join("client-secret");
        if !secret.exists() {
            write_secret(&secret, random_word(24).as_bytes())?;
        }
        let note = folder.join("issuer");
        std::fs::write(&note, issuer).map_err(StubError::file(&note))?;
        Keys::read(folder)
    }

    /// Reads a folder that was opened before, whether its realm is served or not.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub fn read(folder: &Path) -> Result<Keys, StubError> {
        let key = |name: &str| {
            let path = folder.join(name);
            let pem = std::fs::read(&path).map_err(StubError::file(&path))?;
            let read = PKey::private_key_from_pem(&pem).and_then(SigningKey::new);
            read.map_err(|why| StubError::Damaged { path, why })
        };
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(StubError::file(&path))
        };
        Ok(Keys {
            issuer: text("issuer")?,
            signing: key("signing.key")?,
            foreign: key("foreign.key")?,
            client_secret: text("client-secret")?,
        })
    }
}

/// Size of the keys, as in the real certificates.
const KEY_BITS: u32 = 2048;

/// Keys made side by side: that takes nearly all the time of opening a realm.
fn generate(count: usize) -> Result<Vec<PKey<Private>>, StubError> {
    std::thread::scope(|scope| {
        let one = || Rsa::generate(KEY_BITS).and_then(PKey::from_rsa);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        // A panic inside OpenSSL's binding would be a defect of it, not a state to go on from.
        workers.into_iter().map(|worker| Ok(worker.join().expect("making a key does not panic")?)).collect()
    })
}

fn write_secret(path: &Path, octets: &[u8]) -> Result<(), StubError> {
    let draft = path.with_extension("part");
    let written = (|| {
        let _ = std::fs::remove_file(&draft);
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?.write_all(octets)?;
        std::fs::rename(&draft, path)
    })();
    written.map_err(StubError::file(path))
}

/// `octets` random octets as text that needs no quoting anywhere.
pub fn random_word(octets: usize) -> String {
    let mut random = vec![0; octets];
    openssl::rand::rand_bytes(&mut random).expect("OpenSSL gives random numbers or nothing here could run");
    URL_SAFE_NO_PAD.encode(random)
}

/// A random identifier in the form of a version 4 UUID, as Keycloak's.
pub(crate) fn random_uuid() -> String {
    let mut octets = [0u8; 16];
    openssl::rand::rand_bytes(&mut octets).expect("OpenSSL gives random numbers or nothing here could run");
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
