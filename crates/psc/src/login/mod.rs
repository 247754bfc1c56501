//! Logging in with Pro Santé Connect, for software (client.md §3): the code flow with PKCE, CIBA in poll mode, and the session
//! that follows either.
//!
//! * [`Settings`]: the section `[psc]` of a space's file; [`Provider`]: PSC as it is reached with them;
//! * [`RedirectLogin`]: a browser goes to PSC and comes back with a code (OIDC Core §3.1, RFC 7636, RFC 9207);
//! * [`CibaLogin`]: the person answers on their phone or card (OpenID CIBA Core 1.0, poll mode only, two digits shown);
//! * [`PscSession`]: access tokens, refreshed just before they are used, until 15 idle minutes or 4 hours have passed;
//! * [`Handover`]: a session on its way from one process to another;
//! * [`Claims`], [`LoggedOut`]: what any OpenID provider says of somebody who comes by a browser, and who has left ([`RedirectLogin::claims`]).
//!
//! Invariants:
//! * nobody is logged in before an ID token has been checked: signature by a key of PSC's JWKS, `iss`, `aud`, `exp`, `nonce` (ECO-TOKEN);
//! * `state`, `nonce` and the PKCE verifier are random, serve one login, and are compared in constant time;
//! * tokens are [`Secret`](crate::Secret)s: in memory only, wiped when dropped, in no log, error or `Debug` (ECO.1.2.5). What the HTTP and TLS
//!   libraries hold in their own buffers while an exchange lasts is out of reach;
//! * every answer of PSC is bounded in size and time, and no redirection is followed;
//! * a caller that goes away never loses a token that PSC has already rotated: refreshing goes on without it.

mod back_channel;
mod ciba;
mod claims;
mod endpoints;
mod error;
mod handover;
mod id_token;
mod provider;
mod random;
mod redirect;
mod refresh;
mod session;
mod settings;
mod wire;

pub use back_channel::LoggedOut;
pub use ciba::{BindingMessage, CibaLogin};
pub use claims::Claims;
pub use error::{Call, IdTokenFault, LoginError, OAuthCode, Over};
pub use handover::{Handover, HandoverError, MAX_HANDOVER};
pub use provider::Provider;
pub use redirect::{LOGIN_LIFE, MAX_RETURN, RedirectLogin, Return};
pub use session::{MIN_LIFE, PscSession, SESSION_IDLE, SESSION_MAX};
pub use settings::{Channel, Settings, SettingsError};
