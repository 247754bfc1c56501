//! The exchanges with PSC: bounded, authenticated, read into memory that is wiped.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Call, LoginError, OAuthCode};
use crate::Secret;

/// Largest answer of the token and CIBA endpoints: three tokens of 1 to 2 KB each.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Longest exchange: somebody is waiting to read their mail.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an exchange may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the request to the last octet of the answer.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { total: EXCHANGE_TIMEOUT }
    }
}

/// An answer read whole.
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// PSC cannot answer for now.
    pub fn is_outage(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Sends a request and reads at most `limit` octets. reqwest's errors are dropped on purpose: they may quote the address.
pub(super) async fn exchange(
    request: RequestBuilder,
    call: Call,
    limit: usize,
    limits: Limits,
) -> Result<Answer, LoginError> {
    let silent = |_| LoginError::Unreachable(call);
    let mut response = request.timeout(limits.total).send().await.map_err(silent)?;
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(LoginError::BadAnswer(call));
    }
    // Never grown: growing would leave copies of tokens in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(limit));
    while let Some(chunk) = response.chunk().await.map_err(silent)? {
        if body.len() + chunk.len() > limit {
            return Err(LoginError::BadAnswer(call));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status(), body })
}

/// The answer of the token endpoint (RFC 6749 §5.1, OIDC Core §3.1.3.3). A field that stands twice is refused by its reader.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub access_token: Secret,
    pub token_type: String,
    pub expires_in: Option<u64>,
    pub refresh_token: Option<Secret>,
    /// Keycloak's.
    pub refresh_expires_in: Option<u64>,
    pub id_token: Option<Secret>,
}

/// The answer of the CIBA endpoint (CIBA Core §7.3).
#[derive(Deserialize)]
pub(super) struct Asked {
    pub auth_req_id: Secret,
    pub expires_in: u64,
    pub interval: Option<u64>,
}

/// RFC 6749 §5.2. The description is not read: it is for developers, and anybody's text.
#[derive(Deserialize)]
struct Problem {
    error: String,
}

/// Longest token taken, in octets: what an AUTH line can carry (RFC 4954 §4), and the form of a request can hold.
const MAX_TOKEN: usize = crate::MAX_TOKEN;

/// A success as `T`, a refusal as its code.
pub(super) fn read<T: for<'de> Deserialize<'de>>(
    answer: &Answer,
    call: Call,
) -> Result<Result<T, OAuthCode>, LoginError> {
    if answer.status == StatusCode::OK {
        return serde_json::from_slice(&answer.body).map(Ok).map_err(|_| LoginError::BadAnswer(call));
    }
    if answer.is_outage() {
        return Err(LoginError::Unreachable(call));
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Ok(Err(OAuthCode::of(&problem.error))),
        // A proxy in the way, or another service altogether.
        Err(_) => Err(LoginError::BadAnswer(call)),
    }
}

impl Tokens {
    /// Refuses what could not be used as it is: another type of token, octets that do not belong in a header, endless ones.
    pub fn check(self) -> Result<Tokens, LoginError> {
        let bearer = self.token_type.eq_ignore_ascii_case("Bearer");
        let all = [Some(&self.access_token), self.refresh_token.as_ref(), self.id_token.as_ref()];
        if bearer && all.into_iter().flatten().all(is_token) {
            Ok(self)
        } else {
            Err(LoginError::BadAnswer(Call::Token))
        }
    }
}

/// RFC 6750 §2.1: `b64token`, here of a bounded length.
pub(super) fn is_token(token: &Secret) -> bool {
    let text = token.expose();
    (1..=MAX_TOKEN).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn tokens(body: &str) -> Result<Tokens, LoginError> {
        read::<Tokens>(&answer(200, body), Call::Token)?.map_err(LoginError::Refused)?.check()
    }

    // ECO-TOKEN
    #[test]
    fn only_whole_answers_are_taken() {
        assert!(tokens(r#"{"access_token":"a.b-c","token_type":"bearer","expires_in":60,"other":[1]}"#).is_ok());
        for bad in [
            "",
            "<html>",
            r#"{"token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a\u0001","token_type":"Bearer"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
            r#"{"access_token":"a","token_type":"Bearer","refresh_token":"\n"}"#,
        ] {
            assert_eq!(tokens(bad).err(), Some(LoginError::BadAnswer(Call::Token)), "{bad}");
        }
    }

    #[test]
    fn refusals_and_outages_are_told_apart() {
        let of = |status, body: &str| read::<Tokens>(&answer(status, body), Call::Token).map(Result::err);
        assert_eq!(of(400, r#"{"error":"invalid_grant","error_description":"x"}"#), Ok(Some(OAuthCode::InvalidGrant)));
        assert_eq!(of(503, r#"{"error":"invalid_grant"}"#), Err(LoginError::Unreachable(Call::Token)));
        assert_eq!(of(429, ""), Err(LoginError::Unreachable(Call::Token)));
        assert_eq!(of(302, ""), Err(LoginError::BadAnswer(Call::Token)));
        assert_eq!(of(400, "<html>"), Err(LoginError::BadAnswer(Call::Token)));
    }
}
