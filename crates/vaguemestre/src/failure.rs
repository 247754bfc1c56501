//! Why a command failed, in words for whoever typed it.

use std::fmt;

/// A message that says what happened and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    text: String,
    code: u8,
}

/// The exit code of a failure that has no other.
const FAILED: u8 = 1;

impl Failure {
    /// With a message.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { text: message.into(), code: FAILED }
    }

    /// The same with another exit code.
    pub fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// One that was told already: only the exit code is left to say.
    pub fn told(code: u8) -> Failure {
        Failure { text: String::new(), code }
    }

    /// Whether it is still to be told.
    pub fn is_untold(&self) -> bool {
        !self.text.is_empty()
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Every error type of the project says by itself what to do.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error.to_string())
    }
}
