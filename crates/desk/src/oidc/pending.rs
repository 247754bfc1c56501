//! Sign-ins under way: between the browser's departure to the provider and its return.
//!
//! Invariants: a return is taken only with the cookie that the same browser got when it left (login CSRF: somebody else's code signs nobody in), and
//! once; what is kept is bounded, for each address too, so that nobody fills it for the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use psc::login::RedirectLogin;

use crate::account::secret::{digest, word};
use crate::db::AccountId;
use crate::error::Broken;

/// Sign-ins under way, of everybody: a kilobyte or two each.
const MOST: usize = 4096;
/// From one address: a whole establishment may sit behind one.
const MOST_OF_ADDRESS: usize = 256;

/// What a sign-in is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To come in, and go to that path of ours.
    Enter(String),
    /// To tie the identity to the account of a session that still stands.
    Tie {
        /// Which account.
        account: AccountId,
        /// The hash of its session's cookie.
        session: [u8; 32],
    },
}

/// One under way.
pub(crate) struct Begun {
    pub login: RedirectLogin,
    pub purpose: Purpose,
    address: IpAddr,
}

/// Those under way, by the hash of their browser's cookie.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<[u8; 32], Begun>>);

impl Pending {
    fn held(&self) -> MutexGuard<'_, HashMap<[u8; 32], Begun>> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one; what the browser's cookie must hold. None: too many.
    pub fn keep(&self, login: RedirectLogin, purpose: Purpose, address: IpAddr) -> Result<Option<String>, Broken> {
        let word = word()?;
        let mut held = self.held();
        held.retain(|_, begun| !begun.login.is_expired());
        let of_address = held.values().filter(|begun| begun.address == address).count();
        if held.len() >= MOST || of_address >= MOST_OF_ADDRESS {
            return Ok(None);
        }
        held.insert(digest(&word), Begun { login, purpose, address });
        Ok(Some(word))
    }

    /// Takes the one of a cookie; it cannot be taken again.
    pub fn take(&self, word: &str) -> Option<Begun> {
        self.held().remove(&digest(word))
    }
}
