//! Why somebody is not logged in, or no longer. None of these carries a token, a code or an identifier.

use std::fmt;

use thiserror::Error;

/// Which exchange with PSC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The discovery document.
    Discovery,
    /// The keys.
    Keys,
    /// The token endpoint.
    Token,
    /// The CIBA endpoint.
    Ciba,
    /// Revocation.
    Revocation,
    /// Logout.
    Logout,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Discovery => "discovery",
            Call::Keys => "keys",
            Call::Token => "token endpoint",
            Call::Ciba => "CIBA endpoint",
            Call::Revocation => "revocation",
            Call::Logout => "logout",
        })
    }
}

/// An error code of OAuth 2.0, OpenID Connect or CIBA.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OAuthCode {
    /// Missing or malformed parameter.
    InvalidRequest,
    /// Unknown client, or a wrong secret or certificate.
    InvalidClient,
    /// The client may not do this.
    UnauthorizedClient,
    /// The code, refresh token or request is over or not ours.
    InvalidGrant,
    /// The kind of grant is not offered.
    UnsupportedGrantType,
    /// The scope is not offered.
    InvalidScope,
    /// The person, or PSC for them, said no.
    AccessDenied,
    /// CIBA: not answered yet.
    AuthorizationPending,
    /// CIBA: asked too often.
    SlowDown,
    /// CIBA: nobody answered in time.
    ExpiredToken,
    /// CIBA: nobody of that identifier.
    UnknownUserId,
    /// CIBA: the message shown is not what PSC wants.
    InvalidBindingMessage,
    /// PSC is busy, or broken, for now.
    TemporarilyUnavailable,
    /// Broken.
    ServerError,
    /// Another; cut to what such a code may hold.
    Other(Box<str>),
}

/// Longest code kept.
const MAX_CODE: usize = 64;

impl OAuthCode {
    const KNOWN: [(&'static str, OAuthCode); 14] = [
        ("invalid_request", OAuthCode::InvalidRequest),
        ("invalid_client", OAuthCode::InvalidClient),
        ("unauthorized_client", OAuthCode::UnauthorizedClient),
        ("invalid_grant", OAuthCode::InvalidGrant),
        ("unsupported_grant_type", OAuthCode::UnsupportedGrantType),
        ("invalid_scope", OAuthCode::InvalidScope),
        ("access_denied", OAuthCode::AccessDenied),
        ("authorization_pending", OAuthCode::AuthorizationPending),
        ("slow_down", OAuthCode::SlowDown),
        ("expired_token", OAuthCode::ExpiredToken),
        ("unknown_user_id", OAuthCode::UnknownUserId),
        ("invalid_binding_message", OAuthCode::InvalidBindingMessage),
        ("temporarily_unavailable", OAuthCode::TemporarilyUnavailable),
        ("server_error", OAuthCode::ServerError),
    ];

    /// The code of this name (RFC 6749 §5.2: names are case-sensitive).
    pub(super) fn of(name: &str) -> OAuthCode {
        let known = OAuthCode::KNOWN.into_iter().find(|(text, _)| *text == name);
        known.map_or_else(
            || {
                let kept = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(MAX_CODE);
                OAuthCode::Other(kept.collect::<String>().into())
            },
            |(_, code)| code,
        )
    }
}

impl fmt::Display for OAuthCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let OAuthCode::Other(text) = self {
            return f.write_str(text);
        }
        // Every other code stands in the table.
        f.write_str(OAuthCode::KNOWN.iter().find(|(_, code)| code == self).map_or("", |(name, _)| name))
    }
}

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum IdTokenFault {
    /// PSC gave none.
    #[error("there is none")]
    Missing,
    /// Its form or signature.
    #[error("{0}")]
    Signature(#[from] crate::Refusal),
    /// Not an ID token.
    #[error("another kind of token")]
    Kind,
    /// `iss`.
    #[error("foreign issuer")]
    Issuer,
    /// `aud` or `azp`: made for another client.
    #[error("made for another client")]
    Audience,
    /// `exp` or `iat`.
    #[error("expired, or not valid yet")]
    Time,
    /// `nonce`: made for another login.
    #[error("made for another login")]
    Nonce,
    /// `at_hash`: made for another access token.
    #[error("made for another access token")]
    AccessToken,
    /// It names nobody.
    #[error("it names nobody")]
    Person,
    /// `events`: it does not tell of a logout.
    #[error("it tells of no logout")]
    Event,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Over {
    /// Not used for [`SESSION_IDLE`](super::SESSION_IDLE).
    Idle,
    /// Lasted [`SESSION_MAX`](super::SESSION_MAX).
    Age,
    /// PSC ended it.
    Refused,
    /// The person logged out, or the session went to another process.
    LoggedOut,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Over::Idle => "idle for 15 minutes",
            Over::Age => "4 hours have passed",
            Over::Refused => "ended by Pro Santé Connect",
            Over::LoggedOut => "logged out",
        })
    }
}

/// Why there is no session, or no token of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoginError {
    /// No answer, an interrupted one, or an outage of PSC's.
    #[error("Pro Santé Connect does not answer ({0})")]
    Unreachable(Call),
    /// An answer that is too long or not what it must be.
    #[error("Pro Santé Connect gave an unusable answer ({0})")]
    BadAnswer(Call),
    /// Discovery, or the return from PSC, names another issuer.
    #[error("the issuer is not the configured one")]
    WrongIssuer,
    /// PSC, as configured or discovered, has no CIBA.
    #[error("no CIBA endpoint is known")]
    NoCiba,
    /// PSC does not accept this software.
    #[error("Pro Santé Connect refuses this software ({0})")]
    Client(OAuthCode),
    /// PSC refuses what was asked.
    #[error("Pro Santé Connect refuses ({0})")]
    Refused(OAuthCode),
    /// The person said no.
    #[error("the login was refused by the person")]
    Denied,
    /// Nobody answered in time.
    #[error("the login was not answered in time")]
    Expired,
    /// PSC knows nobody of that identifier.
    #[error("Pro Santé Connect does not know this person")]
    UnknownPerson,
    /// A return that is not malformed but belongs to no login under way here.
    #[error("the return from Pro Santé Connect belongs to another login")]
    WrongState,
    /// A return that PSC cannot have made.
    #[error("the return from Pro Santé Connect is malformed")]
    BadReturn,
    /// The ID token is not believed.
    #[error("the ID token is refused: {0}")]
    IdToken(#[from] IdTokenFault),
    /// Somebody else answered than who was asked.
    #[error("another person answered than the one asked")]
    OtherPerson,
    /// The session is over.
    #[error("the Pro Santé Connect session is over ({0})")]
    Over(Over),
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}

impl LoginError {
    /// Whether the same call may succeed in a moment.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, LoginError::Unreachable(_))
    }

    /// What an error code of PSC means for a login.
    pub(super) fn of_code(code: OAuthCode, call: Call) -> LoginError {
        match code {
            OAuthCode::InvalidClient | OAuthCode::UnauthorizedClient => LoginError::Client(code),
            OAuthCode::AccessDenied => LoginError::Denied,
            OAuthCode::ExpiredToken => LoginError::Expired,
            OAuthCode::UnknownUserId => LoginError::UnknownPerson,
            OAuthCode::TemporarilyUnavailable | OAuthCode::ServerError => LoginError::Unreachable(call),
            code => LoginError::Refused(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_shown() {
        for (name, code) in OAuthCode::KNOWN {
            assert_eq!(OAuthCode::of(name), code);
            assert_eq!(code.to_string(), name);
        }
        let hostile = OAuthCode::of(&format!("\x1b[2J<script>{}", "x".repeat(1000)));
        assert_eq!(hostile.to_string(), format!("2Jscript{}", "x".repeat(56)));
    }
}
