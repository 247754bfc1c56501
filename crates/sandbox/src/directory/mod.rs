//! A stand-in of the Annuaire Santé: the FHIR interface in version 2 and the extraction of mailboxes (client.md §6), with the cast's
//! people and mailboxes, and some hundreds of generated professionals to have pages. DIR-READ
//!
//! As the real one: an API key, 17 calls a second, `_page` links that mean nothing to a reader, OperationOutcome for errors, GET and
//! POST `_search` only, `mailbox-mss-type` not served, ordinary e-mail addresses beside mailboxes, coding systems mixed up, mailboxes on the
//! *liste rouge* hidden. It stands still: mailboxes made later are not in it.

mod extraction;
mod key;
mod people;
mod register;
mod resources;
mod search;
mod server;

use std::path::Path;

use crate::SandboxError;

pub(crate) use server::Directory;

/// Base of the FHIR interface.
pub const FHIR: &str = "/fhir/v2";
/// Where the archive of the extraction is, as on the real server.
pub const EXTRACTION: &str = "/annuaire-sante-webservices/V300/services/extraction/Extraction_Correspondance_MSSante";

/// Base of the interface on a port of this machine.
pub(crate) fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}{FHIR}")
}

/// The archive on a port of this machine.
pub(crate) fn extraction_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}{EXTRACTION}")
}

/// The key, made on first use.
pub(crate) fn key(folder: &Path) -> Result<String, SandboxError> {
    key::open(folder)
}
