//! NOTIFY (RFC 5465): from now on the client is told what it wants, between commands too.

use super::super::notify::{Notifying, Refused};
use super::super::reply::{Outcome, Reply};
use super::super::session::Session;
use crate::backend::Account;
use crate::notify::{Event, Notify};

pub(in super::super) async fn run(session: &mut Session, account: &dyn Account, notify: Notify) -> Outcome {
    let (status, groups) = match notify {
        Notify::None => {
            session.notified(None);
            return Ok(Reply::ok("Done"));
        }
        Notify::Set { status, groups } => (status, groups),
    };
    if groups.iter().flat_map(|group| &group.events).any(|event| *event == Event::Unknown) {
        // What was set before stays (RFC 5465 §3.1).
        let known = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                     MailboxMetadataChange ServerMetadataChange)";
        return Ok(Reply::no("Not all of these events can be told").code(known));
    }
    let open = session.open_folder();
    match Notifying::new(account, &mut session.out, groups, status, open).await {
        Ok(notifying) => {
            if let Some(selected) = &mut session.selected {
                // New is what comes from now on, and what is told with this answer.
                selected.unfetched = selected.told.uid_next;
            }
            session.notified(Some(notifying));
            Ok(Reply::ok("Done"))
        }
        Err(Refused::TooMany) => Ok(Reply::no("That is more folders than can be watched").code("NOTIFICATIONOVERFLOW")),
        Err(Refused::Failure(failure)) => Err(failure.into()),
    }
}
