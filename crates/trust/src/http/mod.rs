//! HTTP pieces every crate shares: a client that believes only our authorities, and a server with limits.
//!
//! Neither follows the environment: no system authorities, no proxy variables, no redirection (a service of the trust space that
//! moves is a change of configuration, not something to follow).

mod client;
mod serve;
#[cfg(test)]
mod tests;

pub use client::{HttpError, builder, client, get_limited, read_limited};
pub use serve::{HangUp, MAX_BODY, serve};
