//! The plan « client »: the same engine turned round. A scripted operator offers mail software everything that may go wrong and observes
//! what it does and sends (Référentiel #2: ECO.*; control.md §2.1 EAST).
//!
//! * [`job`]: what is tested and how it is driven; [`data`]: scenarios and cases; [`step`]: what the software is asked to do;
//! * [`operator`]: the ports; `imap`, `smtp`, `web`, `dns`: what is spoken there, as the scenario says; `pki`: certificates;
//! * [`seen`]: what came; [`checks`], [`content`]: what cases say of it; [`campaign`]: from the first step to the report; [`hands`]: what somebody
//!   who drives it by hand sees meanwhile, and says.
//!
//! Invariants:
//! * secrets are kept as their SHA-256; of messages, neither subject nor text reaches a report;
//! * whatever a peer sends is bounded, and harms only its own session;
//! * where the software did not come, or does not work with a good operator, nothing is concluded.

pub mod campaign;
pub mod checks;
pub mod content;
pub mod data;
pub mod dns;
pub mod hands;
pub mod hello;
mod imap;
pub mod job;
pub mod mailbox;
pub mod operator;
mod pki;
mod sasl;
pub mod seen;
mod smtp;
mod stage;
pub mod step;
mod talk;
mod web;

pub use campaign::{Asked, run, run_asked};
pub use data::{ClientCase, ClientCatalogue, Scenario, scenarios};
pub use hands::{Act, Hands, Place, Word};
pub use job::{ClientJob, is_client};
pub use operator::{Operator, StartError};
pub use step::Step;
