//! What a client says to authenticate: read for evidence, never kept.

use openssl::base64::decode_block;

use super::seen::{Phase, Secret};

/// Longest user name kept.
const MAX_USER: usize = 254;

/// Reads a SASL response, in base64. `mechanism` upper case.
#[must_use]
pub fn read(mechanism: &str, response: &[u8], phase: Phase, initial: bool) -> Secret {
    let decoded =
        std::str::from_utf8(response).ok().and_then(|text| decode_block(text.trim()).ok()).unwrap_or_default();
    let (user, secret): (&[u8], &[u8]) = match mechanism {
        "XOAUTH2" => xoauth2(&decoded),
        "PLAIN" => {
            let mut parts = decoded.splitn(3, |octet| *octet == 0);
            let (_, user, password) =
                (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            (user, password)
        }
        _ => (b"", &decoded),
    };
    let secret = if secret.is_empty() { response } else { secret };
    secret_of(mechanism, user, secret, phase, initial)
}

/// What is kept of a secret.
#[must_use]
pub fn secret_of(mechanism: &str, user: &[u8], secret: &[u8], phase: Phase, initial: bool) -> Secret {
    Secret {
        mecanisme: mechanism.chars().filter(|c| c.is_ascii_graphic()).take(20).collect(),
        utilisateur: crate::tls::starttls::shown(&String::from_utf8_lossy(&user[..user.len().min(MAX_USER)])),
        sha256: crate::report::sha256(secret),
        phase,
        initiale: initial,
        accepte: false,
    }
}

/// `user=…^Aauth=Bearer …^A^A`: user and token, empty when it is not that.
fn xoauth2(decoded: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = decoded.split(|octet| *octet == 1);
    let user = parts.next().and_then(|part| part.strip_prefix(b"user="));
    let token = parts.next().and_then(|part| part.strip_prefix(b"auth=Bearer "));
    let is_ended = decoded.ends_with(b"\x01\x01");
    match (user, token) {
        (Some(user), Some(token)) if is_ended && !token.is_empty() => (user, token),
        _ => (b"", b""),
    }
}

#[cfg(test)]
mod tests {
    use openssl::base64::encode_block;

    use super::*;

    #[test]
    fn who_and_what() {
        let of = |mechanism: &str, text: &[u8]| read(mechanism, encode_block(text).as_bytes(), Phase::Tls, true);
        let good = of("XOAUTH2", b"user=a@b.fr\x01auth=Bearer abc\x01\x01");
        assert_eq!((good.utilisateur.as_str(), good.sha256), ("a@b.fr", crate::report::sha256(b"abc")));
        // Not ended as it must be: nobody's.
        assert_eq!(of("XOAUTH2", b"user=a@b.fr\x01auth=Bearer abc\x01").utilisateur, "");
        let plain = of("PLAIN", b"\0moi\0mot");
        assert_eq!((plain.utilisateur.as_str(), plain.sha256), ("moi", crate::report::sha256(b"mot")));
        assert_eq!(read("XOAUTH2", b"\xFF\xFE", Phase::Clair, false).utilisateur, "");
    }
}
