//! The control and test application: what an operator of the trust space must show, and the proof of it.
//!
//! * [`catalogue`]: the 120 cases, data; [`job`]: what is to be controlled, one file; [`verdict`]: what is said of it (MSS-20);
//! * [`engine`]: a campaign; [`cases`]: what each case does; [`context`]: what it has at hand;
//! * [`forge`]: tokens, good or with one flaw; [`wire`]: sessions line by line, kept as evidence; [`peer`]: those with a certificate, as another
//!   operator or a BAL APP; [`reader`]: what arrived;
//! * [`tls`]: the prober, which writes its own ClientHello and reads what comes back, octet by octet. CTL-TLS
//! * [`stand`]: what the operator under test talks to, driven by the campaign; [`trap`]: mailboxes that misbehave;
//! * [`report`]: what is given in the end.
//!
//! Invariants:
//! * no verdict out of a time-out, a 421 or a failure of the name service: what was not seen is said to be inconclusive;
//! * everything a peer says is bounded when read and escaped when shown.
#![deny(missing_docs)]

pub mod cases;
pub mod catalogue;
pub mod client;
pub mod context;
pub mod engine;
pub mod forge;
pub mod job;
pub mod names;
pub mod peer;
pub mod reach;
pub mod reader;
pub mod report;
pub mod stand;
pub mod tls;
pub mod trap;
pub mod verdict;
pub mod wire;

#[cfg(test)]
mod schema_tests;
