//! RENAME (RFC 3501 §6.3.5).

use super::super::reply::{Outcome, Reply};
use super::{existing, possible};
use crate::backend::Account;
use crate::command::Name;

pub(in super::super) async fn run(account: &dyn Account, from: Name, to: Name) -> Outcome {
    let from = existing(from)?;
    let to = possible(to)?;
    if to.is_under(&from) {
        return Ok(Reply::no("A folder cannot be moved under itself").code("CANNOT"));
    }
    account.rename(&from, &to).await?;
    Ok(Reply::ok("Done"))
}
