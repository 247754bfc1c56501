//! Why the FHIR interface gave nothing usable.

use std::time::Duration;

use crate::query::QueryError;
use crate::settings::SettingsError;

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The query itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No URL or no key: there is no interface to ask.
    #[error("the directory's interface is not configured ([directory] url and api_key_file)")]
    NotConfigured,
    /// The authorities cannot be used, or TLS cannot be set up.
    #[error("the authorities of the directory's interface cannot be used: {0}")]
    Authorities(String),
    /// No connection, or it broke.
    #[error("the directory cannot be reached: {0}")]
    Unreachable(String),
    /// No answer within the time a search may take.
    #[error("the directory gave no whole answer within {} s", .0.as_secs())]
    TimeOut(Duration),
    /// The key is unknown, ended, or not subscribed to this interface.
    #[error("the directory refuses the key (HTTP {0})")]
    Key(u16),
    /// More than seventeen calls a second by this application, and it did not end.
    #[error("the directory asks to slow down: too many calls by this application")]
    TooMany,
    /// The interface refuses the request. Holds what it says.
    #[error("the directory refuses the request (HTTP {status}): {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its OperationOutcome, cut.
        said: String,
    },
    /// Trouble on its side.
    #[error("the directory is out of order (HTTP {0})")]
    Broken(u16),
    /// What came is no FHIR.
    #[error("what the directory answered is not FHIR: {0}")]
    NotFhir(String),
    /// A page larger than any of its pages.
    #[error("the directory sent more than {0} octets")]
    TooLarge(usize),
    /// A following page that lies elsewhere: the key is not sent there.
    #[error("the directory points to another server for the following page")]
    OtherOrigin,
    /// A following page already read.
    #[error("the directory's pages go round in a circle")]
    Circle,
}

impl ApiError {
    /// Whether the same search may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, ApiError::Unreachable(_) | ApiError::TimeOut(_) | ApiError::TooMany | ApiError::Broken(_))
    }

    /// Whether the fault is the query's or the settings': asking another source is of no use, or hides a mistake.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, ApiError::Query(_) | ApiError::Settings(_))
    }
}
