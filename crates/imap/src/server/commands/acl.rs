//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).
//!
//! Negative rights (identifiers that begin with `-`) are refused: in a mailbox of health mail, what somebody may do must be
//! readable in one line.

use mail::Rights;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::existing;
use crate::administration::Modification;
use crate::backend::Account;
use crate::command::Name;
use crate::response;

fn positive(identifier: &str) -> Result<(), Reply> {
    if identifier.starts_with('-') {
        Err(Reply::no("Negative rights are not supported").code("CANNOT"))
    } else {
        Ok(())
    }
}

pub(in super::super) async fn set(
    account: &dyn Account,
    folder: Name,
    identifier: &str,
    how: Modification,
    rights: Rights,
) -> Outcome {
    positive(identifier)?;
    account.set_acl(&existing(folder)?, identifier, how, rights).await?;
    Ok(Reply::ok("Done"))
}

pub(in super::super) async fn delete(account: &dyn Account, folder: Name, identifier: &str) -> Outcome {
    positive(identifier)?;
    account.delete_acl(&existing(folder)?, identifier).await?;
    Ok(Reply::ok("Done"))
}

pub(in super::super) async fn get(out: &mut Output, account: &dyn Account, folder: Name) -> Outcome {
    let folder = existing(folder)?;
    let entries = account.acl(&folder).await?;
    let names = out.names;
    response::acl(out.buffer(), names, &folder, &entries);
    Ok(Reply::ok("Done"))
}

pub(in super::super) async fn list(out: &mut Output, account: &dyn Account, folder: Name, identifier: &str) -> Outcome {
    positive(identifier)?;
    let folder = existing(folder)?;
    let grantable = account.list_rights(&folder, identifier).await?;
    let names = out.names;
    response::list_rights(out.buffer(), names, &folder, identifier, &grantable);
    Ok(Reply::ok("Done"))
}

pub(in super::super) async fn mine(out: &mut Output, account: &dyn Account, folder: Name) -> Outcome {
    let folder = existing(folder)?;
    let rights = account.my_rights(&folder).await?;
    let names = out.names;
    response::my_rights(out.buffer(), names, &folder, rights);
    Ok(Reply::ok("Done"))
}
