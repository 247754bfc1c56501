//! HTTP pieces every crate shares: a client that believes only our authorities, and a server with limits.
//!
//! Neither follows the environment: no system authorities, no proxy variables, no redirection (a service of the trust space that
//! moves is a change of configuration, not something to follow).

mod client;
mod lazy;
mod serve;
#[cfg(test)]
mod tests;

pub use client::{HttpError, builder, client, get_limited, read_limited};
pub use lazy::LazyClient;
pub use serve::{HangUp, MAX_BODY, serve};

/// A date as HTTP writes it (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(instant: std::time::SystemTime) -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    // Of a format that is part of the program, every date can be written.
    time::OffsetDateTime::from(instant).format(&format).unwrap_or_default()
}
