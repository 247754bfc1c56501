//! Random words of a login, and comparing them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::LoginError;
use crate::Secret;

/// Octets of randomness in `state`, `nonce` and the PKCE verifier: the 43 characters that RFC 7636 §4.1 recommends.
const OCTETS: usize = 32;

/// A word nobody can guess.
pub(super) fn word() -> Result<Secret, LoginError> {
    let mut octets = Zeroizing::new([0; OCTETS]);
    openssl::rand::rand_bytes(&mut *octets).map_err(|_| LoginError::Random)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(*octets)))
}

/// A number below 100, each as likely as the others.
pub(super) fn below_hundred() -> Result<u8, LoginError> {
    loop {
        let mut octet = [0];
        openssl::rand::rand_bytes(&mut octet).map_err(|_| LoginError::Random)?;
        if octet[0] < 200 {
            return Ok(octet[0] % 100);
        }
    }
}

/// Whether two texts are the same, in a time that tells only their lengths.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && openssl::memcmp::eq(a.as_bytes(), b.as_bytes())
}

/// The PKCE challenge of a verifier (RFC 7636 §4.2, S256).
pub(super) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_and_have_the_right_length() {
        let (a, b) = (word().expect("random"), word().expect("random"));
        assert_eq!(a.expose().len(), 43);
        assert!(!same(a.expose(), b.expose()) && same(a.expose(), a.clone().expose()));
        assert!(!same("a", "ab") && same("", ""));
        assert!((0..500).all(|_| below_hundred().expect("random") < 100));
    }

    #[test]
    fn the_example_of_rfc_7636() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
