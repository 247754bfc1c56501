//! The SASL XOAUTH2 initial response and failure challenge (MSS-7.2, MSS-7.4; operator.md §3.3–3.4).
//!
//! `user=` {BAL} `^A` `auth=Bearer ` {token} `^A` `^A`, where `^A` is 0x01. The IMAP and SMTP crates decode the base64
//! and hand the octets over; the same parser serves both, so both refuse the same things. The grammar is exact:
//! nothing before, between or after, no NUL, no control character, no space inside the token.

use crate::Secret;
use thiserror::Error;

/// Largest decoded response accepted: the token limit plus an address (RFC 5321: 254) and the fixed text.
/// RFC 4954 §4 lets an AUTH line be 12 288 octets long, hence less than this once decoded.
pub const MAX_RESPONSE: usize = crate::MAX_TOKEN + 512;

/// Longest `user=` value (RFC 5321 §4.5.3.1: a path of 256 octets, brackets included).
pub const MAX_USER: usize = 254;

/// The challenge sent (base64-encoded) after `334 ` or `+ ` when the token is refused. The client answers with an
/// empty line, then receives `535` or `NO`.
pub const FAILURE_CHALLENGE: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// What the client sent: the BAL it wants to open and the token that says who it is.
#[derive(Debug)]
pub struct XOAuth2 {
    /// The BAL named by the client. Not validated as an address here and never proof of anything.
    pub user: String,
    /// The PSC access token.
    pub token: Secret,
}

/// Why a response is not XOAUTH2. None of them carries the client's octets.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum XOAuth2Error {
    /// Longer than [`MAX_RESPONSE`], or a field longer than its own limit.
    #[error("the XOAUTH2 response is too long")]
    TooLong,
    /// The frame is not `user=…^Aauth=Bearer …^A^A`.
    #[error("the XOAUTH2 response is malformed")]
    Malformed,
    /// Not UTF-8, or a NUL, control character or space where none may stand.
    #[error("the XOAUTH2 response holds a forbidden character")]
    BadCharacter,
    /// The user or the token is empty.
    #[error("the XOAUTH2 response has an empty field")]
    Empty,
}

/// Parses a decoded (not base64) XOAUTH2 response.
///
/// # Errors
/// [`XOAuth2Error`]; the mapping to `501`/`535` and `BAD`/`NO` belongs to the caller.
pub fn parse(response: &[u8]) -> Result<XOAuth2, XOAuth2Error> {
    if response.len() > MAX_RESPONSE {
        return Err(XOAuth2Error::TooLong);
    }
    let text = std::str::from_utf8(response).map_err(|_| XOAuth2Error::BadCharacter)?;
    let body = text.strip_suffix("\x01\x01");
    let body = body.or(faults::is_on(faults::Fault::LooseXOAuth2).then_some(text)).ok_or(XOAuth2Error::Malformed)?;
    let (user, auth) = body.split_once('\x01').ok_or(XOAuth2Error::Malformed)?;
    let user = user.strip_prefix("user=").ok_or(XOAuth2Error::Malformed)?;
    let auth = auth.strip_prefix("auth=").ok_or(XOAuth2Error::Malformed)?;
    let (scheme, token) = auth.split_once(' ').ok_or(XOAuth2Error::Malformed)?;
    // RFC 9110 §11.1: the scheme name is case-insensitive.
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(XOAuth2Error::Malformed);
    }
    if user.is_empty() || token.is_empty() {
        return Err(XOAuth2Error::Empty);
    }
    if user.len() > MAX_USER || token.len() > crate::MAX_TOKEN {
        return Err(XOAuth2Error::TooLong);
    }
    if user.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(XOAuth2Error::BadCharacter);
    }
    // RFC 6750 §2.1 b64token is printable ASCII; a JWS is narrower still, and is checked as such later.
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(XOAuth2Error::BadCharacter);
    }
    Ok(XOAuth2 { user: user.to_owned(), token: Secret::new(token) })
}

/// Builds the response a client sends (not base64-encoded).
pub fn response(user: &str, token: &str) -> Secret {
    Secret::new(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    /// The example of client.md §1.2.2.
    const EXAMPLE: &str =
        "dXNlcj1qZWFuLmR1cG9udEBtZWRlY2luLm1zc2FudGUuZnIBYXV0aD1CZWFyZXIgZXlKaGJHY2lPaUpTVXpJMU5pSjkuZTMwLnNpZwEB";

    #[test]
    fn reads_the_reference_example() {
        let parsed = parse(&STANDARD.decode(EXAMPLE).expect("the example is base64")).expect("valid");
        assert_eq!(parsed.user, "jean.dupont@medecin.mssante.fr");
        assert_eq!(parsed.token.expose(), "eyJhbGciOiJSUzI1NiJ9.e30.sig");
        assert!(!format!("{parsed:?}").contains("eyJ"), "a token reached a Debug output");
    }

    #[test]
    fn scheme_is_case_insensitive() {
        for scheme in ["bearer", "BEARER", "Bearer"] {
            assert!(parse(format!("user=a@b\x01auth={scheme} t\x01\x01").as_bytes()).is_ok());
        }
    }

    #[test]
    fn refuses_every_other_frame() {
        use XOAuth2Error::*;
        for (text, error) in [
            ("", Malformed),
            ("\x01\x01", Malformed),
            ("user=a@b\x01auth=Bearer t\x01", Malformed),
            ("user=a@b\x01auth=Bearer t", Malformed),
            ("user=a@b\x01auth=Basic t\x01\x01", Malformed),
            ("user=a@b\x01auth=Bearer\x01\x01", Malformed),
            ("User=a@b\x01auth=Bearer t\x01\x01", Malformed),
            ("auth=Bearer t\x01user=a@b\x01\x01", Malformed),
            ("n,a=a@b,\x01auth=Bearer t\x01\x01", Malformed),
            (" user=a@b\x01auth=Bearer t\x01\x01", Malformed),
            ("user=\x01auth=Bearer t\x01\x01", Empty),
            ("user=a@b\x01auth=Bearer \x01\x01", Empty),
            ("user=a@b\x01auth=Bearer  t\x01\x01", BadCharacter),
            ("user=a@b\x01auth=Bearer t\x01x=y\x01\x01", BadCharacter),
            ("user=a@b\x01auth=Bearer t\x01\x01\x01", BadCharacter),
            ("user=a@b\x01auth=Bearer t\x00\x01\x01", BadCharacter),
            ("user=a\x00@b\x01auth=Bearer t\x01\x01", BadCharacter),
            ("user=a b\x01auth=Bearer t\x01\x01", BadCharacter),
            ("user=a@b\r\n\x01auth=Bearer t\x01\x01", BadCharacter),
            ("user=a@b\x01auth=Bearer té\x01\x01", BadCharacter),
        ] {
            assert_eq!(parse(text.as_bytes()).err(), Some(error), "{text:?}");
        }
        assert_eq!(parse(b"user=\xff\x01auth=Bearer t\x01\x01").err(), Some(BadCharacter));
        let long = format!("user=a@b\x01auth=Bearer {}\x01\x01", "t".repeat(crate::MAX_TOKEN + 1));
        assert_eq!(parse(long.as_bytes()).err(), Some(TooLong));
        assert_eq!(parse(&vec![b'a'; MAX_RESPONSE + 1]).err(), Some(TooLong));
    }

    proptest! {
        #[test]
        fn round_trip(user in "[!-~&&[^\x01]]{1,60}", token in "[A-Za-z0-9_.-]{1,200}") {
            let parsed = parse(response(&user, &token).expose().as_bytes()).unwrap();
            prop_assert_eq!(parsed.user, user);
            prop_assert_eq!(parsed.token.expose(), token);
        }

        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&octets);
        }
    }
}
