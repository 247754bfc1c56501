//! What a server with a defect remembers of the tokens it saw (`faults`). Called by the program with switches only: the product
//! remembers no token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use faults::Fault;
use mssante::NationalId;

use crate::{Identity, Refusal, TokenError};

/// Most tokens remembered: a test has some hundreds.
const MOST: usize = 10_000;

static SEEN: Mutex<Option<HashMap<String, Identity>>> = Mutex::new(None);
static LAST: Mutex<Option<NationalId>> = Mutex::new(None);

/// What a defect says of a token that was good before.
pub(crate) fn recall(token: &str) -> Option<Result<Identity, TokenError>> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(token).cloned()?;
    if faults::is_on(Fault::SingleUse) {
        return Some(Err(Refusal::Inactive.into()));
    }
    faults::is_on(Fault::RememberedToken).then_some(Ok(seen))
}

/// A token was good.
pub(crate) fn keep(token: &str, identity: &Identity) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.national_id.clone());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    if seen.len() >= MOST {
        seen.clear();
    }
    seen.insert(token.to_owned(), identity.clone());
}

/// Whoever came last.
pub(crate) fn last() -> Option<NationalId> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
