//! Keys and secrets of the stand-in, in `DIR/psc`: made once, readable by their owner only.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::{Signer, Verifier};
use serde_json::{Value, json};

use crate::SandboxError;
use crate::pki::{generate, read_key};

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
        let (input, signature) = token.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header["alg"] != "RS256" || header["kid"] != self.kid.as_str() {
            return None;
        }
        let mut verifier = Verifier::new(MessageDigest::sha256(), &self.key).ok()?;
        verifier.update(input.as_bytes()).ok()?;
        if !verifier.verify(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()? {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// The public key for a JWKS.
    pub fn jwk(&self) -> Value {
        // The key is made by `generate`: always RSA.
        let rsa = self.key.rsa().expect("an RSA key");
        let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
        json!({ "kid": self.kid, "kty": "RSA", "alg": "RS256", "use": "sig", "n": number(rsa.n()), "e": number(rsa.e()) })
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Everything in `DIR/psc`.
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
    pub fn open(folder: &Path, issuer: &str) -> Result<Keys, SandboxError> {
        let files = [folder.join("signing.key"), folder.join("foreign.key")];
        let missing: Vec<&PathBuf> = files.iter().filter(|file| !file.exists()).collect();
        for (file, key) in missing.iter().zip(generate(missing.len())?) {
            let pem = key.private_key_to_pem_pkcs8().map_err(SandboxError::setup("keys of PSC"))?;
            write_secret(file, &pem)?;
        }
        let secret = folder.join("client-secret");
        if !secret.exists() {
            write_secret(&secret, random_word(24).as_bytes())?;
        }
        let note = folder.join("issuer");
        std::fs::write(&note, issuer).map_err(SandboxError::file(&note))?;
        Keys::read(folder)
    }

    /// Reads the folder of a sandbox that was started before, running or not.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub fn read(folder: &Path) -> Result<Keys, SandboxError> {
        let key = |name: &str| {
            let path = folder.join(name);
            SigningKey::new(read_key(&path)?).map_err(|e| SandboxError::damaged(&path, &e))
        };
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(SandboxError::file(&path))
        };
        Ok(Keys {
            issuer: text("issuer")?,
            signing: key("signing.key")?,
            foreign: key("foreign.key")?,
            client_secret: text("client-secret")?,
        })
    }
}

fn write_secret(path: &Path, octets: &[u8]) -> Result<(), SandboxError> {
    let draft = path.with_extension("part");
    let written = (|| {
        let _ = std::fs::remove_file(&draft);
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?.write_all(octets)?;
        std::fs::rename(&draft, path)
    })();
    written.map_err(SandboxError::file(path))
}

/// `octets` random octets as text that needs no quoting anywhere.
pub(crate) fn random_word(octets: usize) -> String {
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
