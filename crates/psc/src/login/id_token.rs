//! The ID token: the only thing a login believes about who the person is (OIDC Core §3.1.3.7, §3.3.2.11; CIBA Core §7.4).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mssante::NationalId;
use serde_json::{Map, Value};

use super::{Call, IdTokenFault, LoginError, random};
use crate::cache::JwksCache;
use crate::identity::{self, Claimed};
use crate::{Algorithm, MAX_LIFETIME, Secret, jws};

/// PSC signs with RS256. All of these hash with SHA-256, which `at_hash` is computed with.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256];

/// What it must say.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// Of the request, when it had one.
    pub nonce: Option<&'a Secret>,
    /// What came with it.
    pub access_token: &'a Secret,
    pub now: SystemTime,
    pub skew: Duration,
}

/// Who logged in.
pub(super) async fn check(
    token: Option<&Secret>,
    expected: &Expected<'_>,
    keys: &Arc<JwksCache>,
) -> Result<NationalId, LoginError> {
    match identity::read(&verified(token, expected, keys).await?) {
        Ok(Claimed::Person(person)) => Ok(person),
        Ok(Claimed::Nobody | Claimed::Malformed) | Err(_) => Err(IdTokenFault::Person.into()),
    }
}

/// What an ID token says, once all of it was checked.
pub(super) async fn verified(
    token: Option<&Secret>,
    expected: &Expected<'_>,
    keys: &Arc<JwksCache>,
) -> Result<Map<String, Value>, LoginError> {
    let token = token.ok_or(IdTokenFault::Missing)?;
    let jws = jws::parse(token.expose(), &ALGORITHMS).map_err(IdTokenFault::from)?;
    claims(&jws.payload, expected)?;
    let held = keys.keys_for(&jws.key_id).await.map_err(|_| LoginError::Unreachable(Call::Keys))?;
    held.verify(&jws).map_err(IdTokenFault::from)?;
    Ok(jws.payload)
}

/// Everything but the signature and the person.
fn claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenFault> {
    // Keycloak tells its tokens apart by this claim; others have none.
    if claims.get("typ").is_some_and(|kind| kind != "ID") {
        return Err(IdTokenFault::Kind);
    }
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(IdTokenFault::Issuer);
    }
    let (ours, several) = match claims.get("aud") {
        Some(Value::String(one)) => (one == expected.client_id, false),
        Some(Value::Array(many)) => (many.iter().any(|one| one == expected.client_id), many.len() > 1),
        _ => (false, false),
    };
    let party = claims.get("azp");
    let party_ok = party.map_or(!several, |party| party == expected.client_id);
    if !ours || !party_ok {
        return Err(IdTokenFault::Audience);
    }
    times(claims, expected.now, expected.skew).ok_or(IdTokenFault::Time)?;
    if let Some(nonce) = expected.nonce {
        let said = claims.get("nonce").and_then(Value::as_str).ok_or(IdTokenFault::Nonce)?;
        if !random::same(said, nonce.expose()) {
            return Err(IdTokenFault::Nonce);
        }
    }
    if let Some(hash) = claims.get("at_hash") {
        let digest = openssl::sha::sha256(expected.access_token.expose().as_bytes());
        if hash.as_str() != Some(&URL_SAFE_NO_PAD.encode(&digest[..16])) {
            return Err(IdTokenFault::AccessToken);
        }
    }
    Ok(())
}

/// `exp` and `iat` of a token made just now.
pub(super) fn times(claims: &Map<String, Value>, now: SystemTime, skew: Duration) -> Option<()> {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let now = seconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let skew = seconds(skew);
    let exp = claims.get("exp").and_then(Value::as_i64)?;
    let iat = claims.get("iat").and_then(Value::as_i64)?;
    let live = exp.saturating_add(skew) > now && exp <= now.saturating_add(seconds(MAX_LIFETIME));
    (live && iat <= now.saturating_add(skew)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_780_272_000;

    fn fault(change: Value) -> Option<IdTokenFault> {
        let mut said = json!({
            "typ": "ID", "iss": "https://psc/realm", "aud": "lps", "azp": "lps", "exp": NOW + 60, "iat": NOW,
            "nonce": "n0", "at_hash": "YdBI2yeLU8uyBQm3aZqQkg",
        });
        let digest = openssl::sha::sha256(b"access");
        said["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&digest[..16]));
        for (name, value) in change.as_object().expect("an object") {
            if value.is_null() {
                said.as_object_mut().expect("an object").remove(name);
            } else {
                said[name] = value.clone();
            }
        }
        let (nonce, access_token) = (Secret::new("n0"), Secret::new("access"));
        let expected = Expected {
            issuer: "https://psc/realm",
            client_id: "lps",
            nonce: Some(&nonce),
            access_token: &access_token,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs()),
            skew: Duration::from_secs(30),
        };
        claims(said.as_object().expect("an object"), &expected).err()
    }

    // OIDC Core §3.1.3.7
    #[test]
    fn each_claim_is_looked_at() {
        use IdTokenFault::*;
        assert_eq!(fault(json!({})), None);
        assert_eq!(fault(json!({"typ": null, "azp": null, "at_hash": null})), None);
        assert_eq!(fault(json!({"aud": ["lps"]})), None);
        assert_eq!(fault(json!({"aud": ["lps", "other"]})), None);
        assert_eq!(fault(json!({"exp": NOW - 29, "iat": NOW + 30})), None);
        for (change, expected) in [
            (json!({"typ": "Bearer"}), Kind),
            (json!({"typ": 1}), Kind),
            (json!({"iss": "https://psc/realm/"}), Issuer),
            (json!({"iss": null}), Issuer),
            (json!({"iss": ["https://psc/realm"]}), Issuer),
            (json!({"aud": "other"}), Audience),
            (json!({"aud": null}), Audience),
            (json!({"aud": {"lps": 1}}), Audience),
            (json!({"aud": ["lps", "other"], "azp": null}), Audience),
            (json!({"azp": "other"}), Audience),
            (json!({"azp": ["lps"]}), Audience),
            (json!({"exp": NOW - 30}), Time),
            (json!({"exp": null}), Time),
            (json!({"exp": "1900000000"}), Time),
            (json!({"exp": NOW + 90_000}), Time),
            (json!({"exp": i64::MAX}), Time),
            (json!({"iat": NOW + 31}), Time),
            (json!({"iat": null}), Time),
            (json!({"nonce": "n1"}), Nonce),
            (json!({"nonce": null}), Nonce),
            (json!({"nonce": ["n0"]}), Nonce),
            (json!({"at_hash": "x"}), AccessToken),
            (json!({"at_hash": 1}), AccessToken),
        ] {
            assert_eq!(fault(change.clone()), Some(expected), "{change}");
        }
    }
}
