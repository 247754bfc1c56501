//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208): one root for the whole mailbox, changed by the operator only.

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::session::Session;
use super::existing;
use crate::backend::Account;
use crate::command::Name;
use crate::response;

/// From how much of a limit on the client is warned, in percent.
const NEARLY: u64 = 90;

pub(in super::super) async fn get(out: &mut Output, account: &dyn Account, root: &[u8]) -> Outcome {
    if root != response::QUOTA_ROOT.as_bytes() {
        return Ok(Reply::no("No such quota root").code("NONEXISTENT"));
    }
    let quota = account.quota().await?;
    response::quota(out.buffer(), &quota);
    Ok(Reply::ok("Done"))
}

pub(in super::super) async fn root(out: &mut Output, account: &dyn Account, folder: Name) -> Outcome {
    let folder = existing(folder)?;
    // Whoever may read the folder (RFC 4314 §4): one that is not there for the session has no root.
    let rights = account.my_rights(&folder).await?;
    if !rights.contains(mail::Rights::READ) {
        return Ok(Reply::no("Not allowed").code("NOPERM"));
    }
    let quota = account.quota().await?;
    let names = out.names;
    response::quota_root(out.buffer(), names, &folder);
    response::quota(out.buffer(), &quota);
    Ok(Reply::ok("Done"))
}

pub(in super::super) fn set() -> Reply {
    Reply::no("The operator sets quotas").code("NOPERM")
}

/// After something was put into the mailbox: says once in a session that it is nearly full (RFC 9208 §4.3.1).
pub(in super::super) async fn warn(session: &mut Session, account: &dyn Account) {
    if session.quota_warned {
        return;
    }
    if let Ok(quota) = account.quota().await
        && quota.is_used(NEARLY)
    {
        session.quota_warned = true;
        session.out.line(format_args!("* NO [OVERQUOTA] The mailbox is more than {NEARLY} % full"));
    }
}
