//! Traps: mail servers of ours that misbehave on purpose, to see what an operator does when it writes to them (CTL-TRAP; control.md §5.5).
//!
//! * [`Trap`]: what there is, data; behaviour goes by the local part, `nominal+<run>@`, and by the door, a listener with a host name and a
//!   certificate of its own, since a certificate is shown before any recipient is named;
//! * [`record`]: what is kept of a session: the dialogue with its times, TLS and the certificate shown, envelopes, messages;
//! * [`Archive`]: where sessions are kept, in a folder; [`Query`]: how they are found; [`reading`]: a message made readable;
//! * [`serve`]: the servers, with [`serve::Settings`] and one [`serve::Entrance`] for each door.
//!
//! Invariants:
//! * faults are deterministic, and counted for each run: two campaigns side by side do not disturb each other;
//! * a message answered 250 is on disk, with what is known of its session; so is every session that is over;
//! * only what carries our mark is kept whole: of another message, its hash, its size and the names of its header fields;
//! * lines, commands, messages, connections and what is kept are bounded as in any server.

pub mod answer;
pub mod archive;
pub mod body;
pub mod boxes;
mod conn;
pub mod query;
pub mod reading;
pub mod record;
pub mod serve;
mod talk;
#[cfg(test)]
mod tests;
mod tls;

pub use archive::Archive;
pub use boxes::{Act, Door, TRAPS, Trap};
pub use query::Query;
pub use record::{Brief, Session};
pub use tls::Presented;

/// The header field that marks a message as one of ours; its value is the run. A person who writes by hand puts `[controle RUN]` into
/// the subject instead.
pub const MARK: &str = "X-Vaguemestre-Controle";
