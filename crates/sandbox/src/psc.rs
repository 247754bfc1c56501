//! The space's Pro Santé Connect: the stand-in of [`stub`] with our people, and tokens made from the folder alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use stub::Person;
pub use stub::mint::{Flaw, Order, with_keys};
pub use stub::{Keys, Psc, Service, claims, keys};

use crate::cast::{self, Holder};
use crate::{Layout, SandboxError};

/// The alias of an operator's door: by it the stand-in knows who asks.
pub(crate) fn alias(operator: &str) -> Option<stub::Alias> {
    stub::Alias::new(operator)
}

/// Where an operator reaches PSC: the issuer is everybody's.
pub(crate) fn door(port: u16, operator: &str) -> Psc {
    let home = Psc::on(port);
    alias(operator).map_or_else(|| home.clone(), |alias| home.of(&alias))
}

/// Everybody of the cast, with the mailboxes they open.
pub(crate) fn people() -> Arc<[Person]> {
    cast::PEOPLE
        .iter()
        .map(|person| {
            let own =
                |mailbox: &&cast::Mailbox| matches!(mailbox.holder, Holder::Person(holder) if holder == person.id);
            // Where somebody works: the operator of their mailbox, else the space itself.
            let structure =
                cast::MAILBOXES.iter().find(own).map_or(cast::SPACE, |mailbox| mailbox.operator().structure);
            let used = cast::MAILBOXES.iter().filter(|mailbox| mailbox.is_used_by(person.id));
            Person {
                id: person.id.to_owned(),
                title: person.title.map(ToOwned::to_owned),
                given: person.given.to_owned(),
                family: person.family.to_owned(),
                profession: person.profession.to_owned(),
                mailboxes: used.map(cast::Mailbox::address).collect(),
                structure: stub::Structure { id: structure.id.to_owned(), name: structure.name.to_owned() },
            }
        })
        .collect()
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// No sandbox was ever started there.
    #[error("{folder} is not the folder of a sandbox; start one there first: vaguemestre sandbox --dir {folder}")]
    NoSandbox {
        /// Which.
        folder: PathBuf,
    },
    /// Its keys cannot be read.
    #[error(transparent)]
    Keys(#[from] SandboxError),
    /// OpenSSL failed.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
}

/// Makes a token with the keys of the sandbox in `folder`, running or not.
///
/// # Errors
/// [`MintError`].
pub fn mint(folder: &Path, order: &Order, now: SystemTime) -> Result<String, MintError> {
    let psc = Layout::new(folder).psc();
    if !psc.join("signing.key").exists() {
        return Err(MintError::NoSandbox { folder: folder.to_owned() });
    }
    let keys = Keys::read(&psc).map_err(SandboxError::from)?;
    Ok(with_keys(&keys, order, now)?)
}
