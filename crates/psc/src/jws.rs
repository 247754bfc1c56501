//! The outer form of a token, read strictly before any cryptography (LPS-TOKEN; JWT-10, 13, 14, 15, 17, 21).
//!
//! A JWS in compact form: exactly three segments of canonical unpadded base64url, a header and a payload that are JSON
//! objects without repeated names, an algorithm of the allow-list spelt exactly. `jwk`, `jku`, `x5u`, `x5c` are never
//! read: the only keys are those of the configured JWKS.

use crate::{Algorithm, Refusal, json};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use faults::Fault;
use serde_json::{Map, Value};

/// Largest token accepted, in octets. Real PSC access tokens are 1 to 1.5 kB; an SMTP AUTH line cannot carry more than 9 kB.
pub const MAX_TOKEN: usize = 16 * 1024;

/// Longest `kid` accepted, in octets. Keycloak's are 43 characters.
const MAX_KID: usize = 256;

/// A token whose form is right. Nothing in it is trusted until [`crate::keys`] has verified the signature.
pub(crate) struct Jws<'a> {
    pub algorithm: Algorithm,
    pub key_id: String,
    pub header_type: Option<String>,
    pub payload: Map<String, Value>,
    /// The octets that are signed: header and payload segments with their point.
    pub signing_input: &'a str,
    /// The signature segment, still base64url.
    pub signature: &'a str,
    /// A defect has it believed as it is.
    pub is_believed: bool,
}

/// Reads the form of `token`. `allowed` is the configured algorithm list.
pub(crate) fn parse<'a>(token: &'a str, allowed: &[Algorithm]) -> Result<Jws<'a>, Refusal> {
    parse_answer(token, allowed, MAX_TOKEN)
}

/// The same for a signed answer of PSC, which may be longer than a token.
pub(crate) fn parse_answer<'a>(token: &'a str, allowed: &[Algorithm], limit: usize) -> Result<Jws<'a>, Refusal> {
    if token.len() > limit {
        return Err(Refusal::TooLong);
    }
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Refusal::NotAJws);
    };
    let header_json = decode(header)?;
    let payload_json = decode(payload)?;
    let is_signed = !decode(signature)?.is_empty();
    let header_map = json::object(&header_json).ok_or(Refusal::BadJson)?;
    let payload_map = json::object(&payload_json).ok_or(Refusal::BadJson)?;
    let is_believed = is_believed(&header_map, &payload_map, is_signed);
    if !is_signed && !is_believed {
        return Err(Refusal::Unsigned);
    }
    let header_fields = match read_header(&header_map, allowed) {
        Err(Refusal::BadAlgorithm | Refusal::BadKeyId) if is_believed => (Algorithm::Rs256, String::new(), None),
        read => read?,
    };
    Ok(Jws {
        algorithm: header_fields.0,
        key_id: header_fields.1,
        header_type: header_fields.2,
        payload: payload_map,
        signing_input: &token[..header.len() + 1 + payload.len()],
        signature: if faults::is_on(Fault::LaxBase64) { signature.trim_end_matches('=') } else { signature },
        is_believed,
    })
}

/// Strict decoding: the engine refuses padding, white space, the standard alphabet and non-zero trailing bits.
fn decode(segment: &str) -> Result<Vec<u8>, Refusal> {
    let segment = if faults::is_on(Fault::LaxBase64) { segment.trim_end_matches('=') } else { segment };
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refusal::BadEncoding)
}

/// Whether a defect makes the token believed without a look at its signature: never in the product.
fn is_believed(header: &Map<String, Value>, payload: &Map<String, Value>, is_signed: bool) -> bool {
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let issuer = payload.get("iss").and_then(Value::as_str).unwrap_or_default();
    (faults::is_on(Fault::AlgNone) && text("alg").eq_ignore_ascii_case("none"))
        || (faults::is_on(Fault::Hs256) && text("alg") == "HS256")
        || (faults::is_on(Fault::EmptySignature) && !is_signed && text("alg") == "RS256")
        || (faults::is_on(Fault::SignatureIgnored) && text("alg") == "RS256")
        || (faults::is_on(Fault::KeyFromToken) && header.contains_key("jwk"))
        || (faults::is_on(Fault::KidPath) && text("kid").starts_with("../"))
        || (faults::is_on(Fault::NoKid) && !header.contains_key("kid") && !header.contains_key("jwk"))
        || (faults::is_on(Fault::SecondIssuer) && issuer.contains("autre-emetteur"))
}

fn read_header(
    header: &Map<String, Value>,
    allowed: &[Algorithm],
) -> Result<(Algorithm, String, Option<String>), Refusal> {
    // RFC 7515 §4.1.11 and RFC 7797: no extension is understood, so none may be critical.
    if (header.contains_key("crit") || header.contains_key("b64")) && !faults::is_on(Fault::CritIgnored) {
        return Err(Refusal::CriticalExtension);
    }
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::from_name)
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or(Refusal::BadAlgorithm)?;
    let key_id = match header.get("kid") {
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID => kid.clone(),
        _ => return Err(Refusal::BadKeyId),
    };
    let header_type = match header.get("typ") {
        None => None,
        Some(Value::String(kind)) => Some(kind.clone()),
        Some(_) => return Err(Refusal::BadType),
    };
    Ok((algorithm, key_id, header_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn b64(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn refusal(token: &str) -> Option<Refusal> {
        parse(token, &[Algorithm::Rs256]).err()
    }

    fn with_header(header: &str) -> String {
        format!("{}.{}.{}", b64(header), b64("{}"), b64("signature"))
    }

    #[test]
    fn accepts_the_ordinary_form() {
        let token = with_header(r#"{"alg":"RS256","typ":"JWT","kid":"k"}"#);
        let jws = parse(&token, &[Algorithm::Rs256]).expect("valid form");
        assert_eq!(jws.key_id, "k");
        assert_eq!(format!("{}.{}", jws.signing_input, jws.signature), token);
    }

    // JWT-10, JWT-11
    #[test]
    fn algorithm_names_are_exact_and_asymmetric() {
        for alg in ["none", "None", "NONE", "nOnE", "HS256", "rs256", "RS256 ", "RS384", ""] {
            let token = with_header(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#));
            assert_eq!(refusal(&token), Some(Refusal::BadAlgorithm), "{alg}");
        }
        for header in [
            r#"{"kid":"k"}"#,
            r#"{"alg":null,"kid":"k"}"#,
            r#"{"alg":["RS256"],"kid":"k"}"#,
            r#"{"ALG":"RS256","kid":"k"}"#,
        ] {
            assert_eq!(refusal(&with_header(header)), Some(Refusal::BadAlgorithm), "{header}");
        }
    }

    // JWT-12, JWT-13
    #[test]
    fn key_id_is_a_short_text() {
        for kid in ["", &"k".repeat(MAX_KID + 1)] {
            assert_eq!(refusal(&with_header(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#))), Some(Refusal::BadKeyId));
        }
        assert_eq!(refusal(&with_header(r#"{"alg":"RS256"}"#)), Some(Refusal::BadKeyId));
        assert_eq!(refusal(&with_header(r#"{"alg":"RS256","kid":1}"#)), Some(Refusal::BadKeyId));
    }

    // JWT-15
    #[test]
    fn critical_extensions_are_refused() {
        for header in [
            r#"{"alg":"RS256","kid":"k","crit":["exp"],"exp":1}"#,
            r#"{"alg":"RS256","kid":"k","crit":[]}"#,
            r#"{"alg":"RS256","kid":"k","b64":false}"#,
        ] {
            assert_eq!(refusal(&with_header(header)), Some(Refusal::CriticalExtension));
        }
    }

    // JWT-17, JWT-21
    #[test]
    fn form_is_exact() {
        let good = with_header(r#"{"alg":"RS256","kid":"k"}"#);
        let (head, signature) = good.rsplit_once('.').expect("three segments");
        assert_eq!(refusal(head), Some(Refusal::NotAJws));
        assert_eq!(refusal(&format!("{good}.e.e")), Some(Refusal::NotAJws));
        assert_eq!(refusal(&format!("{good}.")), Some(Refusal::NotAJws));
        assert_eq!(refusal("5f0c2b7e-2c05-4c3d-9f93-72a96b2867a4"), Some(Refusal::NotAJws));
        assert_eq!(refusal(&format!("{head}.")), Some(Refusal::Unsigned));
        for bad in [
            format!("{good}="),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{head}.+/{signature}"),
        ] {
            assert_eq!(refusal(&bad), Some(Refusal::BadEncoding), "{bad}");
        }
        // "e30" is {}; "e31" decodes to the same octets with trailing bits set.
        assert_eq!(refusal(&good.replace("e30", "e31")), Some(Refusal::BadEncoding));
        assert_eq!(refusal(&"a".repeat(MAX_TOKEN + 1)), Some(Refusal::TooLong));
        assert_eq!(refusal(&with_header(r#"{"alg":"HS256","alg":"RS256","kid":"k"}"#)), Some(Refusal::BadJson));
    }

    proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9_.=+ -]{0,200}") {
            let _ = parse(&token, &[Algorithm::Rs256]);
        }
    }
}
