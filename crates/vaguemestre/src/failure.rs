//! Why a command failed, in words for whoever typed it.

use std::fmt;

/// A message that says what happened and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// With a message.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every error type of the project says by itself what to do.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}
