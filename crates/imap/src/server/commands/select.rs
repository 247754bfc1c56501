//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2). When it fails, no folder is selected. A large folder that nobody has open is told of
//! before its messages are read ([`opening`](super::super::opening)).

use mail::{Flags, FolderName, Outline, Rights};

use super::super::enabled::Enabled;
use super::super::opening::Opening;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::resync;
use super::super::selected::{Selected, permanent_flags};
use super::super::session::Session;
use super::{existing, list};
use crate::backend::{self, Account, ObjectId, Reading};
use crate::command::Name;
use crate::modifiers::SelectModifiers;

pub(in super::super) async fn run(
    session: &mut Session,
    account: &dyn Account,
    folder: Name,
    read_only: bool,
    modifiers: SelectModifiers,
) -> Outcome {
    if modifiers.qresync.is_some() && !session.enabled.has(Enabled::QRESYNC) {
        return Ok(Reply::bad("ENABLE QRESYNC first"));
    }
    let (open, opening) = (session.selected.take().is_some(), session.opening.take().is_some());
    if open || opening {
        // RFC 9051 §7.1: what follows is about the new folder.
        session.out.line(format_args!("* OK [CLOSED] The folder open before is closed"));
    }
    if modifiers.condstore || modifiers.qresync.is_some() {
        session.enable(Enabled::CONDSTORE);
    }
    let name = existing(folder)?;
    let opening = match &modifiers.qresync {
        // What the client missed is in the messages.
        Some(_) => backend::Opening::Open(account.open(&name).await?),
        None => account.begin_open(&name).await?,
    };
    // With no right to change anything it is read-only, whatever was asked (RFC 4314 §5.2).
    let only = |rights: Rights| read_only || !rights.intersects(Rights::CHANGING);
    let read_only = match opening {
        backend::Opening::Open(folder) => {
            let read_only = only(folder.rights());
            let selected = Selected::new(name, folder, read_only, session.enabled);
            let told = Told {
                outline: Outline::from(&*selected.told),
                permanent: selected.permanent(),
                id: selected.folder.id(),
                unseen: selected.told.first_unseen(),
            };
            tell(session, account, &selected.name, told).await?;
            if let Some(resync) = &modifiers.qresync {
                resync::select(&mut session.out, &selected, resync).await?;
            }
            session.selected = Some(selected);
            read_only
        }
        backend::Opening::Reading(Reading { outline, id, rights, completing }) => {
            let read_only = only(rights);
            let permanent = if read_only { Flags::NONE } else { rights.flags() };
            // Which is the first unseen is not known yet, and need not be said (RFC 3501 §6.3.1).
            tell(session, account, &name, Told { outline, permanent, id, unseen: None }).await?;
            session.opening = Some(Box::new(Opening { name, id, read_only, completing }));
            read_only
        }
    };
    Ok(Reply::ok("Done").code(if read_only { "READ-ONLY" } else { "READ-WRITE" }))
}

/// What is told of a folder.
struct Told {
    outline: Outline,
    permanent: Flags,
    id: ObjectId,
    /// The position of the first message without `\Seen`, if that is known and there is one.
    unseen: Option<usize>,
}

async fn tell(session: &mut Session, account: &dyn Account, name: &FolderName, told: Told) -> Result<(), Stop> {
    let Told { outline, permanent, id, unseen } = told;
    let out = &mut session.out;
    permanent_flags(out, &outline.keywords, permanent);
    out.line(format_args!("* {} EXISTS", outline.messages));
    if session.enabled.has(Enabled::REV2) {
        list::selected(out, account, name).await?;
    } else {
        out.line(format_args!("* 0 RECENT"));
    }
    // A number says nothing to a client that only knows UIDs, and IMAP4rev2 has no such code.
    let numbered = !session.enabled.has(Enabled::UIDONLY) && !session.enabled.has(Enabled::REV2);
    if let Some(first) = unseen.filter(|_| numbered) {
        out.line(format_args!("* OK [UNSEEN {}] First message not seen", first + 1));
    }
    out.line(format_args!("* OK [UIDVALIDITY {}] Epoch of the UIDs", outline.uid_validity.0));
    out.line(format_args!("* OK [UIDNEXT {}] Next UID", outline.uid_next.0));
    out.line(format_args!("* OK [HIGHESTMODSEQ {}] Highest MODSEQ", outline.highest_modseq.0));
    out.line(format_args!("* OK [MAILBOXID ({id})] Name for good"));
    Ok(())
}
