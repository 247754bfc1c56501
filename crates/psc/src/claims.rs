//! The claims of an access token against the configuration and the clock (LPS-TOKEN; JWT-02 to 08, 17).
//!
//! Pure: no network, no clock of its own. Runs before the key is looked up, so a token that is refused anyway never
//! causes a call to PSC; the signature is always checked before the claims are believed.

use crate::{Audience, Refusal, VerifierConfig};
use faults::Fault;
use serde_json::{Map, Value};
use std::time::Duration;

/// Furthest expiry accepted, from now. PSC tokens live minutes, its sessions 4 hours; a day covers any test
/// deployment and still refuses `exp` values made to never end (JWT-03).
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What is kept of the claims, besides the identity.
#[derive(Debug)]
pub(crate) struct Claims {
    pub expires_at: i64,
    pub acr: Option<String>,
    pub azp: Option<String>,
    pub session: Option<String>,
}

/// Checks everything that does not depend on who the person is. `now` in seconds since 1970 (UTC).
pub(crate) fn check(
    header_type: Option<&str>,
    payload: &Map<String, Value>,
    config: &VerifierConfig,
    now: i64,
) -> Result<Claims, Refusal> {
    check_type(header_type, payload)?;
    let issuer = payload.get("iss").and_then(Value::as_str);
    if issuer != Some(config.issuer.as_str()) && !issuer.is_some_and(|issuer| is_believed(issuer, config)) {
        return Err(Refusal::BadIssuer);
    }
    let expires_at = check_times(payload, config, now)?;
    if !faults::is_on(Fault::AudienceIgnored) {
        check_audience(payload.get("aud"), &config.audience)?;
    }
    let acr = text(payload, "acr").ok_or(Refusal::BadAcr)?;
    if !config.acr.is_empty() && !acr.is_some_and(|acr| config.acr.contains(acr)) {
        return Err(Refusal::BadAcr);
    }
    let azp = text(payload, "azp").ok_or(Refusal::BadClient)?;
    if let Some(clients) = &config.clients
        && !azp.is_some_and(|azp| clients.contains(azp))
        && !faults::is_on(Fault::AnyClient)
    {
        return Err(Refusal::BadClient);
    }
    // Strict with everybody but whom the tests say they are.
    if faults::is_on(Fault::KnownClients) && azp == Some("logiciel-inconnu") && !faults::is_on(Fault::AnyClient) {
        return Err(Refusal::BadClient);
    }
    let session = ["sid", "session_state"].into_iter().find_map(|name| payload.get(name).and_then(Value::as_str));
    Ok(Claims {
        expires_at,
        acr: acr.map(str::to_owned),
        azp: azp.map(str::to_owned),
        session: session.map(str::to_owned),
    })
}

/// Whether a defect has another issuer believed: never in the product.
fn is_believed(issuer: &str, config: &VerifierConfig) -> bool {
    (faults::is_on(Fault::NearIssuer) && issuer.trim_end_matches('/') == config.issuer)
        || (faults::is_on(Fault::SecondIssuer) && issuer.contains("autre-emetteur"))
        || (faults::is_on(Fault::ProductionIssuer) && issuer.contains(".esante.gouv.fr"))
}

/// RFC 9068 `at+jwt`, plain `JWT` or nothing in the header; Keycloak's `Bearer` in the payload, which sets access tokens
/// apart from `ID`, `Refresh`, `Offline` and `Logout` ones (JWT-17).
fn check_type(header_type: Option<&str>, payload: &Map<String, Value>) -> Result<(), Refusal> {
    let header_ok = header_type.is_none_or(|kind| {
        // RFC 7515 §4.1.9: a media type, hence case-insensitive, `application/` may be left out.
        ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(kind))
    });
    let payload_ok = payload.get("typ").and_then(Value::as_str) == Some("Bearer") || faults::is_on(Fault::TypeIgnored);
    if header_ok && payload_ok { Ok(()) } else { Err(Refusal::BadType) }
}

fn check_times(payload: &Map<String, Value>, config: &VerifierConfig, now: i64) -> Result<i64, Refusal> {
    let skew = if faults::is_on(Fault::LongTolerance) { 300 } else { seconds(config.skew) };
    if faults::is_on(Fault::ExpiryOptional) && !payload.contains_key("exp") {
        return Ok(now.saturating_add(60));
    }
    let exp = payload.get("exp").and_then(Value::as_i64).ok_or(Refusal::BadExpiry)?;
    if exp <= 0 || exp > now.saturating_add(seconds(MAX_LIFETIME)) {
        return Err(Refusal::BadExpiry);
    }
    if now >= exp.saturating_add(skew) && !faults::is_on(Fault::AcceptExpired) {
        return Err(Refusal::Expired);
    }
    for name in ["nbf", "iat"] {
        match payload.get(name) {
            None => {}
            Some(_) if faults::is_on(Fault::NbfIgnored) => {}
            // Keycloak of 2021 wrote `nbf: 0` for "no bound".
            Some(value) => match value.as_i64() {
                Some(from) if from <= now.saturating_add(skew) => {}
                _ => return Err(Refusal::NotYetValid),
            },
        }
    }
    Ok(exp)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// RFC 7519 §4.1.3: a present audience that does not name us is refused whatever the profile (JWT-05).
fn check_audience(aud: Option<&Value>, profile: &Audience) -> Result<(), Refusal> {
    let (accepted, may_be_absent) = match profile {
        Audience::AbsentOrIn(accepted) => (accepted, true),
        Audience::In(accepted) => (accepted, false),
    };
    let ok = match aud {
        None => may_be_absent,
        Some(Value::String(one)) => accepted.contains(one),
        Some(Value::Array(many)) => {
            many.iter().all(Value::is_string) && many.iter().filter_map(Value::as_str).any(|one| accepted.contains(one))
        }
        Some(_) => false,
    };
    if ok { Ok(()) } else { Err(Refusal::BadAudience) }
}

/// `Some(None)` when the claim is absent, `None` when it is there and not a text.
fn text<'a>(payload: &'a Map<String, Value>, name: &str) -> Option<Option<&'a str>> {
    match payload.get(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(_) => None,
    }
}
