//! The TLS prober. It needs no TLS library: it writes a ClientHello of any version (SSL 2 to TLS 1.3) with any suites and groups,
//! reads the server's flight in clear (ServerHello, Certificate, ServerKeyExchange, CertificateRequest) and closes: no key is ever
//! computed, so suites without encryption, anonymous ones or groups of 512 bits are seen like the others. CTL-TLS; control.md §5.4.
//!
//! * [`words`]: versions, suites, groups, alerts and their names; [`hello`]: what is offered; [`flight`]: what is answered;
//! * [`starttls`]: the dialogue before TLS; [`prober`]: one connection, one question;
//! * [`enumerate`]: which suites and groups are accepted, in *accepted + chunks* connections;
//! * [`certificate`]: what the chain says; [`survey`]: all of it in order; [`text`]: the survey for people.
//!
//! Invariants: a connection answers one question; a refusal is an alert, or a close seen twice; silence, 421 and BYE are neither
//! acceptance nor refusal; a server that chooses what was not offered is reported as breaking the protocol.

pub mod certificate;
pub mod enumerate;
pub mod flight;
pub mod hello;
pub mod prober;
pub mod starttls;
mod suites;
pub mod survey;
pub mod text;
pub mod words;

pub use prober::{Outcome, Prober, Refusal, Settings, Target};
pub use starttls::Starttls;
pub use survey::{Survey, survey};
