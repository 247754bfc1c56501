//! CREATE (RFC 3501 §6.3.3) and CREATE-SPECIAL-USE (RFC 6154 §3), MAILBOXID (RFC 8474 §4.1).

use mail::SpecialUse;

use super::super::reply::{Outcome, Reply};
use super::possible;
use crate::backend::Account;
use crate::command::Name;

pub(in super::super) async fn run(account: &dyn Account, folder: Name, special_use: &[String]) -> Outcome {
    let name = possible(folder)?;
    let cannot = || Reply::no("That use cannot be given").code("USEATTR");
    let special_use = match special_use {
        [] => None,
        [one] => Some(SpecialUse::from_name(one).ok_or_else(cannot)?),
        _ => return Ok(cannot()),
    };
    let id = account.create(&name, special_use).await?;
    Ok(Reply::ok("Done").code(format!("MAILBOXID ({id})")))
}
