//! What PSC says of a token when asked: introspection (RFC 7662) and userinfo (OIDC Core §5.3). JWT-19, JWT-20.

use crate::cache::JwksCache;
use crate::identity::{self, Claimed};
use crate::{Introspection, Outage, Refusal, TokenError, VerifierConfig, fetch, json, jws};
use reqwest::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;
use url::Url;

/// Largest answer read, in octets. A userinfo with a dozen activities is about 20 kB.
const MAX_ANSWER: usize = 256 * 1024;

/// Asks whether the token is active, and whose it is.
pub(crate) async fn introspect(
    http: &reqwest::Client,
    endpoint: &Introspection,
    token: &str,
    claims: &Map<String, Value>,
) -> Result<Claimed, TokenError> {
    let request = http
        .post(endpoint.url.clone())
        .basic_auth(&endpoint.client_id, Some(endpoint.client_secret.expose()))
        .form(&[("token", token), ("token_type_hint", "access_token")]);
    let answer = fetch::exchange(request, MAX_ANSWER).await.ok_or(Outage::Introspection)?;
    // 401 and 403 speak of our credentials, not of the token: nobody is refused for our own fault.
    if answer.status != StatusCode::OK {
        return Err(Outage::Introspection.into());
    }
    let said = json::object(&answer.body).ok_or(Outage::Introspection)?;
    match said.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) if faults::is_on(faults::Fault::InactiveTaken) => {}
        Some(Value::Bool(false)) => return Err(Refusal::Inactive.into()),
        _ => return Err(Refusal::BadAnswer.into()),
    }
    same(&said, claims, &["sub", "iss", "jti"])?;
    Ok(identity::read(&said)?)
}

/// Asks who the bearer is.
pub(crate) async fn userinfo(
    http: &reqwest::Client,
    url: &Url,
    token: &str,
    claims: &Map<String, Value>,
    config: &VerifierConfig,
    keys: &Arc<JwksCache>,
) -> Result<Claimed, TokenError> {
    let answer = fetch::exchange(http.get(url.clone()).bearer_auth(token), MAX_ANSWER).await.ok_or(Outage::Userinfo)?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED if faults::is_on(faults::Fault::InactiveTaken) => return Ok(identity::read(claims)?),
        // RFC 6750 §3.1: invalid_token.
        StatusCode::UNAUTHORIZED => return Err(Refusal::RefusedByUserinfo.into()),
        _ => return Err(Outage::Userinfo.into()),
    }
    let said = if answer.media_type == "application/jwt" {
        signed(&answer.body, config, keys).await?
    } else {
        json::object(&answer.body).ok_or(Outage::Userinfo)?
    };
    // OIDC Core §5.3.2: `sub` is always there and must be the token's.
    if claims.contains_key("sub") && !said.contains_key("sub") {
        return Err(Refusal::BadAnswer.into());
    }
    same(&said, claims, &["sub"])?;
    Ok(identity::read(&said)?)
}

/// A userinfo answer as a JWS: same keys, same algorithms, same strictness as a token.
async fn signed(body: &[u8], config: &VerifierConfig, keys: &Arc<JwksCache>) -> Result<Map<String, Value>, TokenError> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::BadAnswer)?.trim_ascii();
    let jws = jws::parse_answer(text, &config.algorithms, MAX_ANSWER).map_err(|_| Refusal::BadAnswer)?;
    keys.keys_for(&jws.key_id).await?.verify(&jws).map_err(|_| Refusal::BadAnswer)?;
    match jws.payload.get("iss") {
        None => Ok(jws.payload),
        Some(Value::String(iss)) if *iss == config.issuer => Ok(jws.payload),
        Some(_) => Err(Refusal::BadAnswer.into()),
    }
}

/// Claims that both documents hold must be equal.
fn same(said: &Map<String, Value>, token: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    let differs = |name: &&str| matches!((said.get(*name), token.get(*name)), (Some(a), Some(b)) if a != b);
    if names.iter().any(differs) { Err(Refusal::IdentityMismatch) } else { Ok(()) }
}
