//! A certificate authority shaped like IGC-Santé TEST, for the sandbox and for everyone's tests. **Never** for production: the
//! authorities' private keys lie beside the certificates.
//!
//! Shape (client.md §4, operator.md §2.2): root `TEST AC RACINE IGC-SANTE ELEMENTAIRE`, under it `TEST AC IGC-SANTE ELEMENTAIRE
//! ORGANISATIONS` (path length 0), under it organisations' certificates named `C, ST, O, OU=<structure>, CN` in that order:
//! `SERV SSL` (servers), `ORG AUTH_CLI` (BAL APP), `ORG SIGN` (white list). Key usages, policy, private extension, names of
//! distribution points are the real ones; only the host of the pointers is configurable, so that a sandbox can serve them.
//!
//! Differences: RSA 2048 instead of 4096 for the authorities (made at every test run); validity of the authorities counted from
//! today; no PrivateKeyUsagePeriod; the OCSP service has a path of its own beside the lists, the real one a host of its own.
//!
//! Two authorities generated apart have the same names and different keys: that is the homonymous authority of CER-06.

mod authority;
mod crl;
pub(crate) mod der;
mod disk;
mod leaf;
mod ocsp;
mod publish;
#[cfg(test)]
mod tests;

pub use authority::{Ca, TestAuthority};
pub use crl::Channel;
pub use leaf::{Issued, Kind, LeafRequest, Organization, SignedBy, Validity};
pub use ocsp::OcspManner;
pub use publish::{INTERMEDIATE_CRL_PATH, OCSP_PATH, ROOT_CRL_PATH, router};

use std::path::PathBuf;

/// What can go wrong in the test authority.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// OpenSSL refused (a name too long for X.520, for example).
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// Two certificates or a key and a certificate that do not go together.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// A file or folder of the authority.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the list of revoked certificates that is not one.
    #[error("{path}, line {line}: not a revoked certificate")]
    RevokedList {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Not a serial number in hexadecimal.
    #[error("not a serial number in hexadecimal")]
    BadSerial,
    /// A thread that makes keys died.
    #[error("a key generation thread died")]
    Thread,
}
