//! TLS of the trust space: OpenSSL behind types that name what each port must accept.
//!
//! OpenSSL and not rustls because the six suites of Référentiel #2 (ECO.1.1.3) include DHE and CBC, which rustls has not.
//!
//! * an [`Acceptor`] serves one port: its [`ServerTls`] tells the [`Profile`], whether TLS 1.3 is allowed, what is asked of
//!   the client; it can be replaced in place when a certificate is renewed;
//! * a [`Connector`] opens the relay's connections: it shows our certificate and checks the other's chain, dates, name, usage and
//!   revocation;
//! * both give a [`TlsStream`], whose [`TlsInfo`] tells what was negotiated and who is at the other end;
//! * [`verify_chain`] makes the same checks on a certificate that came otherwise (the signer of the white list).
//!
//! Invariants: nothing below TLS 1.2 without a tolerance date still to come (OPE-TLSVER); no suite without forward secrecy; no
//! compression, no renegotiation; no session resumption where client certificates are used, since a resumed session has no chain
//! to check again (a revoked client would come back); whatever OpenSSL did not explicitly find good is refused.
//!
//! Requirements: LPS-TLS, LPS-CERT, LPS-APP, OPE-MTLS, OPE-TLSVER.

mod accept;
mod connect;
mod defects;
mod error;
mod gather;
mod identity;
mod peer;
mod profile;
mod stream;
#[cfg(test)]
mod tests;
mod verify;

pub use accept::Acceptor;
pub use connect::{ClientTls, Connector};
pub use error::{HandshakeError, TlsError};
pub use identity::{Anchors, Identity};
pub use peer::{CertificateFault, PeerCertificate, Usages};
pub use profile::{ClientCertificates, Profile, ServerTls, Suite, Tls13, TlsVersion};
pub use stream::{TlsInfo, TlsStream};
pub use verify::{Usage, verify_chain};

pub use peer::system_time;
pub(crate) use peer::unix;

use std::time::Duration;

/// A handshake takes a few round trips; a peer that has not finished after this long holds a connection for nothing.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
