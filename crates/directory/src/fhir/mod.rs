//! The FHIR interface (R4, version 2) of the Annuaire Santé. client.md §6.1, §6.2.

mod assemble;
mod client;
mod error;
mod exchange;
mod lenient;
mod pace;
mod plan;
mod resource;
#[cfg(test)]
mod tests;

pub use client::{Client, DEADLINE, MAX_CALLS, MAX_OCTETS};
pub use error::ApiError;
pub use exchange::MAX_PAGE;
pub use pace::{CALLS, PERIOD};

/// Fuzzing entry: what a page gives, of everybody and everything.
#[doc(hidden)]
#[must_use]
pub fn entries_of_page(text: &[u8], now: std::time::SystemTime) -> Option<Vec<crate::Entry>> {
    let document: resource::Document = serde_json::from_slice(text).ok()?;
    let mut pool = assemble::Pool::default();
    let _ = (document.next(), document.complaint());
    document.entry.0.into_iter().filter_map(|entry| entry.resource.0).for_each(|resource| pool.add(resource));
    let _ = (pool.missing_organizations(), pool.missing_practitioners());
    Some(pool.entries(now))
}
