//! The second factor: time-based codes, RFC 6238 (six digits, SHA-1, 30 seconds: what every telephone has).
//!
//! Invariant: a code is taken once: the step it belongs to must be after the last one taken.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::secret::{random, same};
use crate::error::Broken;

/// Octets of a secret: RFC 4226 §4 recommends 160 bits.
pub const SECRET: usize = 20;
/// Seconds of a step.
const STEP: i64 = 30;
/// Steps before and after the present one that are taken: clocks of telephones differ.
const TOLERANCE: i64 = 1;
/// Recovery codes given.
pub const RECOVERY_CODES: usize = 8;

/// A new secret.
///
/// # Errors
/// OpenSSL has no random numbers.
pub fn secret() -> Result<[u8; SECRET], Broken> {
    random()
}

/// The code of a step.
fn code(secret: &[u8], step: i64) -> Result<String, Broken> {
    let key = PKey::hmac(secret)?;
    let mut signer = Signer::new(MessageDigest::sha1(), &key)?;
    let mac = signer.sign_oneshot_to_vec(&step.to_be_bytes())?;
    // RFC 4226 §5.3; a SHA-1 has 20 octets, the offset is 15 at most.
    let offset = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes([mac[offset] & 0x7F, mac[offset + 1], mac[offset + 2], mac[offset + 3]]);
    Ok(format!("{:06}", number % 1_000_000))
}

/// The step of the code when it is right now and after `last`.
///
/// # Errors
/// OpenSSL.
pub fn check(secret: &[u8], typed: &str, now: i64, last: i64) -> Result<Option<i64>, Broken> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.div_euclid(STEP);
    for step in present - TOLERANCE..=present + TOLERANCE {
        if step > last && same(code(secret, step)?.as_bytes(), typed.as_bytes()) {
            return Ok(Some(step));
        }
    }
    Ok(None)
}

/// A secret as people type it into a telephone: base32 in groups of four (RFC 4648 §6).
#[must_use]
pub fn base32(secret: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut out) = (0u32, 0, String::new());
    for octet in secret {
        bits = bits << 8 | u32::from(*octet);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(LETTERS[(bits >> held & 31) as usize] as char);
        }
    }
    if held > 0 {
        out.push(LETTERS[(bits << (5 - held) & 31) as usize] as char);
    }
    out
}

/// The `otpauth:` address that a telephone opens.
#[must_use]
pub fn address(issuer: &str, login: &str, secret: &[u8]) -> String {
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    parameters.append_pair("secret", &base32(secret)).append_pair("issuer", issuer);
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    format!("otpauth://totp/{}:{}?{}", encode(issuer), encode(login), parameters.finish().replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6238() {
        let secret = b"12345678901234567890";
        for (now, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code(secret, now / STEP).expect("OpenSSL"), expected);
            assert!(check(secret, expected, now + STEP, 0).expect("OpenSSL").is_some());
            assert!(check(secret, expected, now + 2 * STEP, 0).expect("OpenSSL").is_none());
            // Once.
            assert!(check(secret, expected, now, now / STEP).expect("OpenSSL").is_none());
        }
    }

    #[test]
    fn for_telephones() {
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
        assert_eq!(base32(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(address("A B", "x@y", b"foobar"), "otpauth://totp/A%20B:x%40y?secret=MZXW6YTBOI&issuer=A%20B");
    }
}
