//! The test trust space: everything an operator, an editor or a tester needs on one machine, on loopback only (SBX).
//!
//! * [`Sandbox`]: all of it, started and stopped; [`Description`]: the `sandbox.json` that tells where everything is;
//! * [`cast`]: the operators, the people and their mailboxes;
//! * [`psc`]: a stand-in for Pro Santé Connect, and tokens made to order;
//! * [`mes`]: a small Mon espace santé; [`dns`], [`publisher`], [`pki`]: name server, white list, certificates;
//! * [`self_check`]: one real exchange between the two operators.
//!
//! Invariants: nothing listens or connects outside 127.0.0.0/8; the operators are ordinary ones, run from generated
//! configuration files that `vaguemestre serve` takes as well; what is made (keys, mailboxes, mail) is kept in the folder and
//! found again at the next start; `sandbox.json` exists only while everything listens.
//!
//! Never for production: the private keys of the authorities lie beside the certificates.
#![deny(missing_docs)]

pub mod cast;
mod control;
mod describe;
mod description;
mod desk;
pub mod directory;
mod dns;
mod error;
mod layout;
mod lps;
pub mod mes;
mod node;
mod operators;
pub mod pki;
mod ports;
pub mod psc;
pub mod publisher;
pub mod self_check;
mod space;
mod stand;
pub mod traps;

pub use description::{
    AccountEntry, ApplicationEntry, ControlEntry, Description, DnsEntry, Endpoint, MesEntry, NegativeEntry,
    OperatorEntry, PersonEntry, PkiEntry, PscEntry, StandEntry,
};
pub use error::SandboxError;
pub use layout::Layout;
pub use ports::{BASE_PORTS, OperatorPorts, Ports};
pub use space::{Options, Sandbox};
