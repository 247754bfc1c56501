//! `IHE_XDM.zip`: the archive in which health documents travel. ECO-DOC; IHE ITI XDM; `client.md` §2.5.
//!
//! ```text
//! INDEX.HTM   README.TXT
//! IHE_XDM/SUBSET01/METADATA.XML   DOC0001.XML …
//! ```
//!
//! [`build`] and [`write`](write_to) make one submission set with ISO 9660 level 1 names and the metadata that the CDA headers
//! give. [`open`] reads an archive from a stranger entirely in memory, under hard limits, and checks each
//! document against the size, the hash and the media type that the metadata announce ([`Integrity`]); nothing is ever written to
//! disk, so no path of the archive can escape anywhere.
//!
//! **Versions.** A document is sent for the first time, replaces the one sent before, or is to be deleted ([`Version`]). A mail has no
//! registry that would give entries their identifiers, so [`entry_id`] derives one from the document's own: sender and receiver
//! compute the same. A replacement carries the association RPLC from the new entry to the replaced one; the CDA says it too
//! (`relatedDocument`). A deletion carries the document's last version, whose entry has the status `Deleted` of the CI-SIS
//! (TRE_R270) and an `UpdateAvailabilityStatus` association; either sign is read as a deletion.

mod metadata;
mod metadata_write;
mod names;
mod open;
mod write;

pub use metadata::{Asked, entry_id};
pub use names::is_archive_name;
pub use open::{Archive, Document, Integrity, OpenError, open};
pub use write::{BuildError, Built, Package, Sender, Software, Version, build, write_to};

/// The name of the attachment.
pub const ARCHIVE_NAME: &str = "IHE_XDM.zip";

/// The hash of XDS metadata, in lower-case hexadecimal. SHA-1 because ITI TF-3 §4.2.3.2.10 fixes it: it
/// detects an accident of transport, it is no signature. What protects the document is the trust space.
fn xds_hash(bytes: &[u8]) -> String {
    openssl::sha::sha1(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
