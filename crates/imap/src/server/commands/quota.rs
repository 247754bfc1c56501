//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208): one root for the whole mailbox, changed by the operator only.

use std::time::Duration;

use tokio::time::Instant;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::session::Session;
use super::existing;
use crate::administration::QuotaStatus;
use crate::backend::Account;
use crate::command::Name;
use crate::response;

/// From how much of a limit on the client is warned, in percent.
const NEARLY: u64 = 90;
/// So much more than there is does not come within [`FAR_FOR`]: a mailbox that would not be nearly full then needs no look at each
/// message.
const FAR_OCTETS: u64 = 256 * 1024 * 1024;
/// The same in messages.
const FAR_MESSAGES: u64 = 20_000;
/// How long that is taken to be so.
const FAR_FOR: Duration = Duration::from_secs(1);

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
    if session.quota_warned || session.quota_far.is_some_and(|at| at.elapsed() < FAR_FOR) {
        return;
    }
    let Ok(quota) = account.quota().await else { return };
    let (octets, messages) = (quota.octets.saturating_add(FAR_OCTETS), quota.messages.saturating_add(FAR_MESSAGES));
    let later = QuotaStatus { octets, messages, ..quota };
    session.quota_far = (!later.is_used(NEARLY)).then(Instant::now);
    if quota.is_used(NEARLY) {
        session.quota_warned = true;
        session.out.line(format_args!("* NO [OVERQUOTA] The mailbox is more than {NEARLY} % full"));
    }
}
