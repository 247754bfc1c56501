//! The trust space: who may talk to whom, and over what.
//!
//! * [`dn`]: distinguished names as the white list writes them and as certificates carry them, compared attribute by attribute;
//! * [`tls`]: the TLS profiles of the API LPS, of the operator interface and of the HTTPS services, over OpenSSL;
//! * [`revocation`]: revocation lists, fetched, checked and kept to the end of their validity;
//! * [`white_list`]: the *liste blanche*: domains and the certificates of their operators;
//! * [`pki`]: a certificate authority shaped like IGC-Santé TEST, for the sandbox and for tests;
//! * [`names`]: the name service;
//! * [`http`]: the HTTP client and server every crate shares, with their limits;
//! * [`clock`]: time as an argument.
#![deny(missing_docs)]

pub mod clock;
pub mod dn;
pub mod http;
pub mod names;
pub mod pki;
pub mod presence;
pub mod revocation;
pub mod tls;
pub mod white_list;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use dn::Dn;
