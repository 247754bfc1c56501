//! Tests of the durable engine: the contract, and what only durability brings.

mod backup;
mod crash;
mod durable;
mod full;
mod many;
pub(super) mod model;
mod operations;
mod power;
mod prepared;
mod restart;
mod upgrade;

use std::sync::Arc;

use super::Sqlite;
use crate::contract::Tested;

pub(crate) fn make() -> (Tested, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Sqlite::open(&dir.path().join("data")).expect("opened");
    (Arc::new(store), dir)
}

crate::contract!(crate::sqlite::tests::make);
