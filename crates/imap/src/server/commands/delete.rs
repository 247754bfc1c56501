//! DELETE (RFC 3501 §6.3.4).

use super::super::reply::{Outcome, Reply};
use super::existing;
use crate::backend::Account;
use crate::command::Name;

pub(in super::super) async fn run(account: &dyn Account, folder: Name) -> Outcome {
    let name = existing(folder)?;
    if name.is_inbox() {
        return Ok(Reply::no("INBOX cannot be deleted").code("CANNOT"));
    }
    account.delete(&name).await?;
    Ok(Reply::ok("Done"))
}
