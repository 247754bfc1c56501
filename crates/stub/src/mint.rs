//! Access tokens made to order, from a realm's keys alone.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mssante::NationalId;

use crate::claims::{self, ACCESS_TTL, Login};
use crate::keys::{FOREIGN_ISSUER, Keys};
use crate::seconds;

/// How long ago an expired token ended: beyond every tolerance (JWT-02).
const LONG_AGO: Duration = Duration::from_secs(3600);

/// What is wrong with a token; otherwise it is a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// It ended an hour ago (JWT-02).
    Expired,
    /// Well signed, by another issuer under its own name (JWT-01).
    ForeignIssuer,
    /// One bit of its signature is wrong (JWT-09).
    BadSignature,
}

/// A token ordered.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose.
    pub id: NationalId,
    /// How long it lives.
    pub ttl: Duration,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl Order {
    /// A good token of the usual life.
    pub fn of(id: NationalId) -> Order {
        Order { id, ttl: ACCESS_TTL, flaw: Flaw::None }
    }
}

/// Makes a token.
///
/// # Errors
/// Only if OpenSSL cannot work.
pub fn with_keys(keys: &Keys, order: &Order, now: SystemTime) -> Result<String, openssl::error::ErrorStack> {
    let issued = match order.flaw {
        Flaw::Expired => now.checked_sub(LONG_AGO + order.ttl).unwrap_or(SystemTime::UNIX_EPOCH),
        _ => now,
    };
    let issued = seconds(issued);
    let login = Login::alone(order.id.as_str(), issued);
    match order.flaw {
        Flaw::ForeignIssuer => keys.foreign.sign(&claims::access(FOREIGN_ISSUER, &login, issued, order.ttl)),
        Flaw::None | Flaw::Expired => keys.signing.sign(&claims::access(&keys.issuer, &login, issued, order.ttl)),
        Flaw::BadSignature => {
            let token = keys.signing.sign(&claims::access(&keys.issuer, &login, issued, order.ttl))?;
            Ok(spoil(&token))
        }
    }
}

/// The token with one bit of its signature turned.
fn spoil(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').expect("a token was just made with two points");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("a token was just made in base64url");
    let middle = signature.len() / 2;
    signature[middle] ^= 1;
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
