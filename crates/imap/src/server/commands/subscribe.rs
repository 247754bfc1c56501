//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).

use super::super::reply::{Outcome, Reply};
use super::existing;
use crate::backend::Account;
use crate::command::Name;

pub(in super::super) async fn run(account: &dyn Account, folder: Name, subscribed: bool) -> Outcome {
    account.subscribe(&existing(folder)?, subscribed).await?;
    Ok(Reply::ok("Done"))
}
