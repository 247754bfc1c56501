//! What can go wrong when setting TLS up, and during a handshake.

use std::path::PathBuf;

use openssl::error::ErrorStack;

use super::{CertificateFault, Suite};

/// A wrong certificate, key or set of authorities.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a PEM certificate, or none in the file.
    #[error("no certificate in PEM form found")]
    NoCertificate,
    /// Not a PEM private key (keys protected by a passphrase are not read).
    #[error("no private key in PEM form, without passphrase, found")]
    NoKey,
    /// The key is not that of the first certificate.
    #[error("the private key is not the one of the first certificate of the chain")]
    KeyMismatch,
    /// RSA under 2048 bits or an elliptic curve under 256 bits.
    #[error("key of {bits} bits: RSA needs 2048, an elliptic curve 256")]
    WeakKey {
        /// Its size.
        bits: u32,
    },
    /// A certificate chain that does not go from each certificate to its issuer.
    #[error("certificate {position} of the chain did not issue the one before it")]
    BrokenChain {
        /// Place in the chain, the server's certificate being 0.
        position: usize,
    },
    /// Client certificates are asked for but no authority is given.
    #[error("client certificates cannot be checked without an authority")]
    NoAnchor,
    /// Anything else from OpenSSL.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// A handshake that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Not finished within [`super::HANDSHAKE_TIMEOUT`].
    #[error("TLS handshake not finished in time")]
    TimedOut,
    /// The peer's certificate is missing or refused.
    #[error("certificate of the peer refused: {0}")]
    Certificate(CertificateFault),
    /// The peer closed with this alert: it refuses us.
    #[error("refused by the peer with TLS alert {0}")]
    PeerAlert(u8),
    /// Version, suite or group: nothing that both sides accept.
    #[error("no TLS version, suite or group in common")]
    NothingInCommon,
    /// What was negotiated is below the profile (only possible when an old version is tolerated).
    #[error("negotiated parameters below the profile: {0}")]
    BelowProfile(Suite),
    /// The expected name is neither a host name nor an IP address.
    #[error("not a host name")]
    BadHostName,
    /// The connection broke, or was closed, during the handshake.
    #[error("connection lost during the TLS handshake: {0}")]
    Io(#[source] std::io::Error),
    /// The peer broke the protocol (bad signature, malformed message…).
    #[error("TLS protocol error: {0}")]
    Protocol(#[source] openssl::ssl::Error),
    /// OpenSSL could not set the connection up.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// OpenSSL's library number of the TLS code (`ERR_LIB_SSL`).
const ERR_LIB_SSL: i32 = 20;
/// `SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE`.
const PEER_DID_NOT_RETURN_A_CERTIFICATE: i32 = 199;
/// `SSL_AD_REASON_OFFSET`: reasons from here to +255 are alerts of the peer.
const ALERT_OFFSET: i32 = 1000;
/// `SSL_R_NO_SHARED_CIPHER`, `SSL_R_NO_SHARED_GROUP`, `SSL_R_NO_SUITABLE_GROUPS`, `SSL_R_UNSUPPORTED_PROTOCOL`,
/// `SSL_R_WRONG_SSL_VERSION`, `SSL_R_VERSION_TOO_LOW`, `SSL_R_WRONG_VERSION_NUMBER`, `SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM`,
/// `SSL_R_DH_KEY_TOO_SMALL`, `SSL_R_WRONG_CIPHER_RETURNED`, `SSL_R_UNKNOWN_CIPHER_RETURNED`, `SSL_R_NO_SUITABLE_KEY_SHARE`.
const NOTHING_IN_COMMON: [i32; 12] = [193, 410, 295, 258, 266, 396, 267, 118, 394, 261, 248, 101];

impl HandshakeError {
    /// Sorts an OpenSSL error by its reason codes.
    pub(super) fn from_ssl(error: openssl::ssl::Error) -> HandshakeError {
        let reasons: Vec<i32> = error
            .ssl_error()
            .map(|stack| {
                stack.errors().iter().filter(|e| e.library_code() == ERR_LIB_SSL).map(|e| e.reason_code()).collect()
            })
            .unwrap_or_default();
        for reason in reasons {
            if reason == PEER_DID_NOT_RETURN_A_CERTIFICATE {
                return HandshakeError::Certificate(CertificateFault::Missing);
            }
            if let Ok(alert) = u8::try_from(reason - ALERT_OFFSET) {
                return HandshakeError::PeerAlert(alert);
            }
            if NOTHING_IN_COMMON.contains(&reason) {
                return HandshakeError::NothingInCommon;
            }
        }
        match error.into_io_error() {
            Ok(io) => HandshakeError::Io(io),
            Err(error) if error.ssl_error().is_none() => HandshakeError::Io(std::io::ErrorKind::UnexpectedEof.into()),
            Err(error) => HandshakeError::Protocol(error),
        }
    }
}
