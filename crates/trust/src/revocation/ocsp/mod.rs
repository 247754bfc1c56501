//! OCSP (RFC 6960): asking an authority about one certificate.
//!
//! * [`request`]: which certificate is asked about, and the question;
//! * [`response`]: an answer, believed only if the issuer of the certificate signed it, or a responder the issuer certified for that.
//!
//! Invariants: what is believed is exactly what was signed; an answer about another certificate, another issuer's, out of its dates, or
//! with another nonce than the one sent, is no answer; whatever is not understood is no answer.

mod request;
mod response;
#[cfg(test)]
mod tests;

pub(crate) use request::key_bits;
pub(super) use request::{CertId, Question};
pub(super) use response::{explore, read};

use std::time::{Duration, SystemTime};

use openssl::error::ErrorStack;

/// Clocks of responders may be ahead of ours by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(600);
/// How long an answer counts that says no end: RFC 6960 has it that newer information is always available then.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// What an authority says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

/// An answer that was found believable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: Status,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
}

impl Answer {
    /// Whether the answer counts at this date.
    pub(super) fn counts_at(&self, now: SystemTime) -> bool {
        self.this_update <= now + CLOCK_SKEW && now < self.next_update.unwrap_or(self.this_update + WITHOUT_END)
    }
}

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum OcspError {
    /// The responder says that it cannot answer: the number of RFC 6960 §4.2.1 (1 malformed request, 2 internal error, 3 try
    /// later, 5 signature required, 6 unauthorized).
    #[error("the OCSP service does not answer (status {0})")]
    Unsuccessful(u8),
    /// Not an OCSP answer, or one with something critical that is not understood.
    #[error("not an OCSP answer")]
    Malformed,
    /// Signed by nobody who may.
    #[error("OCSP answer not signed by the certificate's authority")]
    UnknownSigner,
    /// It does not speak of the certificate asked about.
    #[error("OCSP answer about something else")]
    OtherCertificate,
    /// Out of its dates.
    #[error("OCSP answer out of its dates")]
    OutOfDate,
    /// With another nonce than the one sent.
    #[error("OCSP answer to another question")]
    OtherNonce,
    /// The certificate names no OCSP service over HTTP.
    #[error("the certificate names no OCSP service")]
    NoService,
    /// It could not be asked.
    #[error("OCSP service: {0}")]
    Fetch(#[from] crate::http::HttpError),
    /// No answer in time.
    #[error("the OCSP service does not answer in time")]
    Silent,
    /// OpenSSL could not work.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}
