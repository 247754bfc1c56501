//! `IHE_XDM.zip`: the archive in which health documents travel. ECO-DOC; IHE ITI XDM; `client.md` §2.5.
//!
//! ```text
//! INDEX.HTM   README.TXT
//! IHE_XDM/SUBSET01/METADATA.XML   DOC0001.XML …
//! ```
//!
//! [`build`] writes one submission set with ISO 9660 level 1 names and the metadata that the CDA headers
//! give. [`open`] reads an archive from a stranger entirely in memory, under hard limits, and checks each
//! document against the size and the hash that the metadata announce; nothing is ever written to disk,
//! so no path of the archive can escape anywhere.

mod metadata;
mod metadata_write;
mod names;
mod open;
mod write;

pub use names::is_archive_name;
pub use open::{Archive, Document, Integrity, OpenError, open};
pub use write::{BuildError, Built, Package, Sender, Software, build};

/// The name of the attachment.
pub const ARCHIVE_NAME: &str = "IHE_XDM.zip";

/// The hash of XDS metadata, in lower-case hexadecimal. SHA-1 because ITI TF-3 §4.2.3.2.10 fixes it: it
/// detects an accident of transport, it is no signature. What protects the document is the trust space.
fn xds_hash(bytes: &[u8]) -> String {
    openssl::sha::sha1(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
