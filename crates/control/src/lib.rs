//! The control and test application: what an operator of the trust space must show, and the proof of it.
//!
//! * [`tls`]: the prober, which writes its own ClientHello and reads what comes back, octet by octet. CTL-TLS
//!
//! Invariants:
//! * no verdict out of a time-out, a 421 or a failure of the name service: what was not seen is said to be inconclusive;
//! * everything a peer says is bounded when read and escaped when shown.
#![deny(missing_docs)]

pub mod tls;
