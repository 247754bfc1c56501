//! Secrets of accounts: passwords (scrypt, RFC 7914), and random ones (sessions, tokens, codes), of which only the SHA-256 is kept.
//!
//! Random secrets have 160 bits or more: a plain hash of them cannot be searched. Passwords are chosen by people: scrypt makes a try cost
//! 32 MB and some 80 ms.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use openssl::memcmp;
use openssl::pkcs5::scrypt;
use openssl::rand::rand_bytes;

use crate::error::Broken;

/// Shortest password: the recommendation of the ANSSI for an account with a second factor or a limit on tries.
pub const SHORTEST_PASSWORD: usize = 12;
/// Longest one: nobody types more, and hashing is paid by the octet.
pub const LONGEST_PASSWORD: usize = 256;
const SALT: usize = 16;
const KEY: usize = 32;
/// scrypt's r and p.
const BLOCK: u64 = 8;
const LANES: u64 = 1;

/// How dear a password is to try: scrypt's N as a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(u8);

impl Cost {
    /// For real accounts: 32 MB.
    pub const FULL: Cost = Cost(15);
    /// For accounts whose password is known to everybody (a sandbox) and for tests.
    pub const KNOWN: Cost = Cost(10);
}

/// Random octets.
///
/// # Errors
/// OpenSSL has none.
pub fn random<const N: usize>() -> Result<[u8; N], Broken> {
    let mut octets = [0; N];
    rand_bytes(&mut octets)?;
    Ok(octets)
}

/// A random secret of 256 bits, as text.
///
/// # Errors
/// OpenSSL has no random numbers.
pub fn word() -> Result<String, Broken> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// What is kept of a random secret.
#[must_use]
pub fn digest(word: &str) -> [u8; 32] {
    openssl::sha::sha256(word.as_bytes())
}

/// Whether two texts are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && memcmp::eq(a, b)
}

/// What is kept of a password: `scrypt$<N>$<salt>$<key>`.
///
/// # Errors
/// OpenSSL.
pub fn hash_password(password: &str, cost: Cost) -> Result<String, Broken> {
    let salt = random::<SALT>()?;
    let key = derive(password, &salt, cost)?;
    Ok(format!("scrypt${}${}${}", cost.0, STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key)))
}

/// Whether the password is the one that was hashed. What cannot be read is nobody's password.
#[must_use]
pub fn is_password(password: &str, kept: &str) -> bool {
    let parts: Vec<&str> = kept.split('$').collect();
    let ["scrypt", cost, salt, key] = parts[..] else { return false };
    let (Ok(cost), Ok(salt), Ok(key)) = (cost.parse(), STANDARD_NO_PAD.decode(salt), STANDARD_NO_PAD.decode(key))
    else {
        return false;
    };
    derive(password, &salt, Cost(cost)).is_ok_and(|derived| same(&derived, &key))
}

fn derive(password: &str, salt: &[u8], cost: Cost) -> Result<[u8; KEY], Broken> {
    let mut key = [0; KEY];
    let n = 1u64 << cost.0.min(20);
    // 128·N·r octets, and a little.
    let memory = 128 * n * BLOCK + 1024 * 1024;
    scrypt(password.as_bytes(), salt, n, BLOCK, LANES, memory, &mut key)?;
    Ok(key)
}

/// A code that people copy: four groups of five letters and digits that are not mistaken for one another (100 bits).
///
/// # Errors
/// OpenSSL has no random numbers.
pub fn code() -> Result<String, Broken> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789+";
    let octets = random::<20>()?;
    // 31 letters would not be uniform: the last of the 32 is written as a 'u' twice over, which only costs a fraction of a bit.
    let letters = octets.iter().map(|octet| match LETTERS[usize::from(octet % 32)] {
        b'+' => 'u',
        letter => letter as char,
    });
    let letters: Vec<char> = letters.collect();
    Ok(letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        let kept = hash_password("correct horse battery", Cost::KNOWN).expect("OpenSSL");
        assert!(is_password("correct horse battery", &kept) && !is_password("correct horse batterz", &kept));
        assert_ne!(kept, hash_password("correct horse battery", Cost::KNOWN).expect("OpenSSL"));
        for damaged in ["", "scrypt$10$x", "plain$1$a$b", "scrypt$99$AAAA$AAAA"] {
            assert!(!is_password("", damaged), "{damaged}");
        }
        assert!(hash_password("x", Cost::FULL).is_ok());
    }

    #[test]
    fn codes_differ() {
        let (a, b) = (code().expect("random"), code().expect("random"));
        assert!(a != b && a.len() == 23 && !a.contains(['+', 'i', 'l', 'o', '0', '1']), "{a}");
        assert_ne!(word().expect("random"), word().expect("random"));
    }
}
