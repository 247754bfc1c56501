//! What the server says, as octets appended to a buffer.
//!
//! Invariant: no datum, wherever it comes from, can end a line or a string: what does not fit a quoted string becomes a
//! literal, NUL becomes `?`, and names are written in modified UTF-7.
//!
//! Message octets are not here: [`Fetch`] writes what goes before them, and the server streams them.

mod administer;
mod fetch;
mod folder;
mod search;
mod structure;
#[cfg(test)]
mod tests;
mod text;

pub use administer::{QUOTA_ROOT, acl, list_rights, metadata, metadata_changed, my_rights, quota, quota_root};
pub use fetch::{Fetch, flag_names, section};
pub use folder::{ListKind, ListLine, folder, folder_text, list, status};
pub use search::{Esearch, NumberWriter, Run, Runs, esearch, esearch_list};
pub use structure::{body_structure, envelope};
pub use text::{astring, nstring, quoted, string};
