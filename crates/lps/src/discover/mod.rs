//! From an address to where its BAL is opened: autoconfiguration (ECO.1.1.9, ECO-AUTOCONF; client.md §7).
//!
//! Invariants:
//! * one place is asked, `https://autoconfig.<domain>/mail/config-v1.1.xml`: no central data base, no clear HTTP, no redirection, no
//!   DNS record; the address itself is not told;
//! * only for domains of the trust space, believing only IGC-Santé, over a connection made by [`Space::dial`];
//! * only STARTTLS servers with DNS names in domains of the trust space come out of it;
//! * a document is used again for as long as the server says, an hour at most; for a day at most when it cannot be fetched.

mod cache;
mod dialogue;
mod document;
mod error;
mod fetch;
mod probe;

pub(crate) use cache::Cache;
pub use document::{Discovery, DocumentError, EntryFault};
pub use error::DiscoverError;
pub use probe::{ProbeError, ProbeReport, ServerReport, probe};

use std::sync::Arc;

use mssante::Address;

use crate::account::{Authentication, EntryPoints};
use crate::space::Space;

/// Where a BAL is opened.
///
/// # Errors
/// [`DiscoverError`].
pub async fn discover(
    space: &Arc<Space>,
    address: &Address,
    authentication: Authentication,
) -> Result<EntryPoints, DiscoverError> {
    let found = discover_all(space, address).await?;
    found.of(authentication).cloned().map_err(|fault| DiscoverError::Entry {
        domain: address.domain().to_string(),
        authentication,
        fault: fault.clone(),
    })
}

/// Reads an autoconfiguration that was fetched otherwise, for an address; `allows` tells which domains are of the trust space.
///
/// # Errors
/// [`DocumentError`]; what is wrong with one profile alone is in the [`Discovery`].
pub fn read_document(
    octets: &[u8],
    address: &Address,
    allows: &dyn Fn(&mssante::Domain) -> bool,
) -> Result<Discovery, DocumentError> {
    document::read(octets, address, allows)
}

/// Everything the operator of an address offers.
///
/// # Errors
/// [`DiscoverError`], all but [`DiscoverError::Entry`].
pub async fn discover_all(space: &Arc<Space>, address: &Address) -> Result<Discovery, DiscoverError> {
    let domain = address.domain();
    if address.is_patient() {
        return Err(DiscoverError::Patient);
    }
    if !space.allows(domain) {
        return Err(DiscoverError::OutsideSpace { domain: domain.to_string() });
    }
    let read = |bytes: &[u8]| {
        document::read(bytes, address, &|name| space.allows(name))
            .map_err(|error| DiscoverError::Document { host: format!("autoconfig.{domain}"), error })
    };
    let kept = space.autoconfigurations.get(domain);
    let now = space.clock.now();
    if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(now))
        && let Ok(found) = read(&kept.body)
    {
        return Ok(found);
    }
    match fetch::fetch(space, domain).await {
        Ok(fetched) => {
            // One that cannot be read must not take the place of one that can.
            let found = read(&fetched.body)?;
            space.autoconfigurations.put(domain, &fetched, now);
            Ok(found)
        }
        Err(error) => match kept.filter(|kept| error.is_outage() && kept.is_usable(now)) {
            Some(kept) => {
                tracing::info!(%domain, %error, "autoconfiguration of before used");
                read(&kept.body)
            }
            None => Err(error),
        },
    }
}
