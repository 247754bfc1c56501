//! Searching mail: what a message says, whether a text is in it, and an index per mailbox that answers at once.
//!
//! * [`fold`](fold::fold): texts as they are compared;
//! * [`Document`]: a message as it is searched, read from its octets by [`Reading`];
//! * [`Scan`]: the same search on the octets themselves, streamed, without limit;
//! * [`Index`]: encrypted segments in a folder, which answer what documents would answer, exactly.
//!
//! "Contains" is said once, in [`matching`]: scan and index are held to it by property tests.
#![deny(missing_docs)]

mod document;
mod extract;
mod fold;
pub mod index;
pub mod matching;

pub use document::{Document, Head, MAX_TEXT, Reading};
pub use extract::PIECE;
pub use fold::{BOUNDARY, Folder, fold};
pub use index::{Answer, Index, IndexError};
pub use matching::{Scan, matches};
