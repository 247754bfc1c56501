//! The stand (*banc*): what the operator under test talks TO (PSC stub, traps, white list, revocation), in a process that stays; a
//! campaign drives it over a small HTTPS interface, always the same way, also when it is the same process. docs/control.md.
//!
//! * [`router`]: the parts of one operator's stand under one bearer key; [`Client`]: the campaign's side;
//! * [`Leases`]: whoever changes how a stand behaves holds it alone, for a time that ends by itself;
//! * [`psc`]: the part of the PSC stub; [`white_list`], [`revocation`]: those of the lists an operator fetches;
//!   [`traps`]: that of the traps.
//!
//! Invariants: no part answers without the key; what was changed is as before at the end of the lease, whatever became of who asked.

mod client;
mod fetched;
mod lease;
pub mod psc;
pub mod revocation;
pub mod traps;
pub mod white_list;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

pub use client::{Client, Held, StandError};
pub use fetched::{Nudge, reader};
pub use lease::{Busy, Lease, Leases, MAX_LEASE, Slot};

/// Largest request: scenarios and baits are a few KB.
const MAX_REQUEST: usize = 64 * 1024;
/// Who drives: one campaign has one word, and may hold several parts at once.
pub const HOLDER: &str = "x-campaign";
/// Octets of a key.
const KEY_OCTETS: usize = 32;

/// A bearer key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn random() -> Result<Key, openssl::error::ErrorStack> {
        let mut octets = [0; KEY_OCTETS];
        openssl::rand::rand_bytes(&mut octets)?;
        Ok(Key(octets.iter().map(|octet| format!("{octet:02x}")).collect()))
    }

    /// The one of a file, made on first use, readable by its owner only. Blocking.
    ///
    /// # Errors
    /// The file cannot be read or made, or no key is in it.
    pub fn at(path: &std::path::Path) -> std::io::Result<Key> {
        use std::io::{Error, ErrorKind, Write};
        use std::os::unix::fs::OpenOptionsExt;
        match std::fs::read_to_string(path) {
            Ok(text) => Key::new(&text).ok_or_else(|| Error::new(ErrorKind::InvalidData, "no key in it")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = Key::random().map_err(Error::other)?;
                let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(key.expose().as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    /// As it is written in a file, white space around it left out; `None` when nothing is left or it cannot stand in a header.
    #[must_use]
    pub fn new(text: &str) -> Option<Key> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic())).then(|| Key(text.to_owned()))
    }

    /// The text, for the file.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn is(&self, said: &str) -> bool {
        let (ours, said) = (self.0.as_bytes(), said.as_bytes());
        ours.len() == said.len() && openssl::memcmp::eq(ours, said)
    }
}

/// The parts of a stand (`("/psc", psc::part(…))`, …) under its key.
pub fn router(key: Key, parts: impl IntoIterator<Item = (&'static str, Router)>) -> Router {
    let all = parts.into_iter().fold(Router::new(), |all, (path, part)| all.nest(path, part));
    all.layer(DefaultBodyLimit::max(MAX_REQUEST)).layer(middleware::from_fn_with_state(key, allowed))
}

async fn allowed(State(key): State<Key>, request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_known = said.and_then(|said| said.strip_prefix("Bearer ")).is_some_and(|said| key.is(said.trim()));
    if is_known {
        next.run(request).await
    } else {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge, problem("key", "the stand's key is missing or wrong")).into_response()
    }
}

/// Why the stand refuses, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable: `key`, `busy`, `value`, `lease`, `unknown`.
    pub error: String,
    /// For people.
    pub detail: String,
}

/// A problem's body.
pub fn problem(error: &str, detail: impl Into<String>) -> Json<Problem> {
    Json(Problem { error: error.to_owned(), detail: detail.into() })
}

/// What a lease is answered: its number, and the seconds it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// To give back.
    pub lease: String,
    /// From now.
    pub lease_seconds: u64,
}

/// Who asks: the campaign's word; whoever gives none is somebody else each time.
pub fn holder(headers: &axum::http::HeaderMap) -> String {
    const MAX_HOLDER: usize = 100;
    match headers.get(HOLDER).and_then(|value| value.to_str().ok()) {
        Some(said) if !said.is_empty() => said.chars().take(MAX_HOLDER).collect(),
        _ => crate::forge::id(),
    }
}

impl IntoResponse for Busy {
    fn into_response(self) -> Response {
        (StatusCode::LOCKED, problem("busy", self.to_string())).into_response()
    }
}

/// Seconds of query strings and bodies: `since=SEQ`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Since {
    /// The number of the last one already had.
    pub since: u64,
}
