//! The Annuaire Santé, as a correspondent is looked for: DIR-READ, client.md §6.
//!
//! * [`Query`] says who is looked for, [`Entry`] what was found: the same for both sources, in the same order;
//! * [`Client`] asks the FHIR interface (version 2);
//! * [`Extraction`] brings the daily file of all mailboxes in, [`Index`] searches it offline.
//!
//! Invariants:
//! * an entry is an address of the trust space that is published, of somebody active: ordinary e-mail addresses never come
//!   out, a mailbox on the *liste rouge* only for whoever gives its exact address;
//! * one function, [`Query::matches`], decides what is found, whatever the source; the sources only narrow what it looks at;
//! * what a server or a file gives is bounded in memory and time, and believed in nothing but its own content.
#![deny(missing_docs)]

mod entry;
pub mod extraction;
pub mod fhir;
mod fold;
mod order;
mod query;
mod settings;
pub mod terms;

pub use entry::{Answer, Coded, Entry, Person, Site, Source};
pub use extraction::{Extraction, ExtractionError, Index};
pub use fhir::{ApiError, Client};
pub use order::merge;
pub use query::{Place, Query, QueryError, StructureSought};
pub use settings::{ApiKey, Settings, SettingsError};
