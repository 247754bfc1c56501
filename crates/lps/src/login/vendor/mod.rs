//! The code flow as PSC wants it for thick clients: the vendor's server talks to PSC, the program talks to the vendor's server
//! (client.md §3.2).
//!
//! * [`Vendor`]: routes that the vendor's server mounts; it alone has the client's secret and the refresh tokens;
//! * [`Site`]: the program's side: [`Site::log_in`] opens the browser and gives [`VendorTokens`], a [`TokenSource`].
//!
//! A login: the program makes a secret and listens on the loopback address; the browser goes to the vendor's `connexion` with the secret's
//! digest (as PKCE's), to PSC, back to the vendor's `retour`, and from there to the loopback with a ticket; the program exchanges ticket
//! and secret for the handle of a session, and each time it needs one, the handle for an access token.
//!
//! Invariants:
//! * a ticket goes to the machine whose browser logged in, and serves only the program that has the secret: a link that somebody sent
//!   gives them nothing; it serves once, within [`TICKET_LIFE`];
//! * the browser is sent to PSC and to 127.0.0.1 only, whatever the request says;
//! * tickets and handles are kept as digests, everything is bounded, and what is over is forgotten;
//! * program and vendor talk over HTTPS (or on one machine), and no redirection is followed.
//!
//! The vendor's server limits how often one address may ask: it knows where requests come from, these routes do not.

mod kept;
mod server;
mod site;

pub use kept::TICKET_LIFE;
pub use server::Vendor;
pub use site::{Site, SiteError, VendorTokens};

#[cfg(doc)]
use crate::TokenSource;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use psc::Secret;

/// Octets of randomness in a secret, a ticket, a handle.
const WORD: usize = 32;

/// A word nobody can guess; none when the machine gives no random numbers.
fn word() -> Option<Secret> {
    let mut octets = zeroize::Zeroizing::new([0; WORD]);
    openssl::rand::rand_bytes(&mut *octets).ok()?;
    Some(Secret::new(URL_SAFE_NO_PAD.encode(*octets)))
}

/// What is kept of a word.
fn digest(word: &str) -> [u8; 32] {
    openssl::sha::sha256(word.as_bytes())
}

/// The digest of a secret as it goes through the browser.
fn challenge(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest(secret.expose()))
}

/// Reads a [`challenge`].
fn read_challenge(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Whether a secret has this digest, in constant time.
fn fits(secret: &str, expected: &[u8; 32]) -> bool {
    openssl::memcmp::eq(&digest(secret), expected)
}
