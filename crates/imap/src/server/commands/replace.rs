//! REPLACE and UID REPLACE (RFC 8508): a message comes and another goes, in one durable commit, so that neither a crash nor a
//! full quota leaves both or none. The room of the one that goes is free for the one that comes.
//!
//! APPENDUID is told in an untagged OK before EXPUNGE (RFC 8508 §3.4).

use std::num::NonZeroU32;

use mail::Uid;

use super::super::reply::{Outcome, Reply};
use super::super::selected::Expunges;
use super::super::session::Session;
use super::append::receive;
use super::possible;
use crate::backend::Account;
use crate::command::{Append, Numbers};

pub(in super::super) async fn run(
    session: &mut Session,
    account: &dyn Account,
    numbers: Numbers,
    which: Option<NonZeroU32>,
    by: Append,
) -> Outcome {
    let Session { selected, out, .. } = &mut *session;
    let Some(selected) = selected else { return Ok(Reply::bad("Select a folder first")) };
    selected.tell(out, Expunges::Hold, numbers).await?;
    let told = &selected.told;
    let entry = match (numbers, which) {
        (_, None) => told.last().copied(),
        (Numbers::Sequence, Some(number)) => told.get(number.get() as usize - 1).copied(),
        (Numbers::Uid, Some(uid)) => told.find(Uid(uid.get())).copied(),
    };
    let Some(entry) = entry else {
        return Ok(match numbers {
            Numbers::Sequence => Reply::bad("No message has that number"),
            Numbers::Uid => Reply::no("No message has that UID").code("NONEXISTENT"),
        });
    };
    if selected.read_only {
        return Ok(Reply::read_only());
    }
    if selected.latest().find(entry.uid).is_none() {
        return Ok(Reply::expunge_issued());
    }
    let folder = possible(by.folder.clone())?;
    let sink = selected.folder.replace(entry.uid, &folder).await.map_err(Reply::to_folder)?;
    let code = receive(session, account, sink, &folder, by, 1).await?;
    session.out.line(format_args!("* OK [{code}] The new message is there"));
    Ok(Reply::ok("Done"))
}
