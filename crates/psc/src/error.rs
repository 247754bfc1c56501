//! Why a token is not accepted. Two families that must never be confused: the token is bad, or we cannot tell now.

use thiserror::Error;

/// The answer of [`crate::Verifier::verify`] when there is no identity.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// The token is bad: `535 5.7.8`, `NO [AUTHENTICATIONFAILED]`.
    #[error("token refused: {0}")]
    Refused(#[from] Refusal),
    /// It cannot be checked for now: `454 4.7.0`, `NO [UNAVAILABLE]`.
    #[error("token cannot be checked now: {0}")]
    Unavailable(#[from] Outage),
}

/// What is wrong with a token. For traces and metrics: the client always gets the same answer.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Longer than [`crate::MAX_TOKEN`].
    #[error("longer than the limit")]
    TooLong,
    /// Not three segments.
    #[error("not a compact JWS")]
    NotAJws,
    /// A segment is not canonical unpadded base64url.
    #[error("bad base64url")]
    BadEncoding,
    /// A segment is not one JSON object, or a name stands twice in it.
    #[error("bad JSON")]
    BadJson,
    /// Empty signature.
    #[error("unsigned")]
    Unsigned,
    /// `alg` absent or not on the allow-list.
    #[error("algorithm not allowed")]
    BadAlgorithm,
    /// `crit` or `b64` in the header.
    #[error("critical extension")]
    CriticalExtension,
    /// `kid` absent, not a text, empty or too long.
    #[error("bad key id")]
    BadKeyId,
    /// Not an access token: header `typ` or payload `typ`.
    #[error("not an access token")]
    BadType,
    /// `iss` is not exactly the configured issuer.
    #[error("foreign issuer")]
    BadIssuer,
    /// `exp` absent, not an integer, or out of any sensible range.
    #[error("bad expiry")]
    BadExpiry,
    /// `exp` is past.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` is in the future or not an integer.
    #[error("not valid yet")]
    NotYetValid,
    /// `aud` is against the profile.
    #[error("audience not accepted")]
    BadAudience,
    /// `acr` absent or not accepted.
    #[error("authentication level not accepted")]
    BadAcr,
    /// `azp` absent or not a known client, when the profile demands one.
    #[error("client not accepted")]
    BadClient,
    /// The key is not in the issuer's JWKS, or does not fit the algorithm.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not verify.
    #[error("bad signature")]
    BadSignature,
    /// No national identifier, neither in the token nor from PSC.
    #[error("no national identifier")]
    NoIdentity,
    /// A national identifier is malformed.
    #[error("malformed national identifier")]
    BadIdentity,
    /// Two sources name two different persons.
    #[error("sources disagree on the identity")]
    IdentityMismatch,
    /// Introspection says the token is not active.
    #[error("token no longer active")]
    Inactive,
    /// PSC's userinfo endpoint refuses the token.
    #[error("token refused by userinfo")]
    RefusedByUserinfo,
    /// PSC's answer contradicts the token or is not what it must be (forged or damaged).
    #[error("PSC's answer does not fit the token")]
    BadAnswer,
}

/// What prevents a check. Never the token's fault.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outage {
    /// The JWKS cannot be read and no usable copy is held.
    #[error("JWKS unavailable")]
    Jwks,
    /// Introspection cannot be reached, or refuses our own credentials.
    #[error("introspection unavailable")]
    Introspection,
    /// Userinfo cannot be reached.
    #[error("userinfo unavailable")]
    Userinfo,
    /// PSC answers, but too slowly for somebody who waits.
    #[error("PSC is too slow")]
    Slow,
}
