//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2). When it fails, no folder is selected.

use mail::Rights;

use super::super::enabled::Enabled;
use super::super::reply::{Outcome, Reply};
use super::super::resync;
use super::super::selected::{Selected, permanent_flags};
use super::super::session::Session;
use super::{existing, list};
use crate::backend::Account;
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
    if session.selected.take().is_some() {
        // RFC 9051 §7.1: what follows is about the new folder.
        session.out.line(format_args!("* OK [CLOSED] The folder open before is closed"));
    }
    if modifiers.condstore || modifiers.qresync.is_some() {
        session.enable(Enabled::CONDSTORE);
    }
    let name = existing(folder)?;
    let folder = account.open(&name).await?;
    // With no right to change anything it is read-only, whatever was asked (RFC 4314 §5.2).
    let read_only = read_only || !folder.rights().intersects(Rights::CHANGING);
    let selected = Selected::new(name, folder, read_only, session.enabled);
    let view = &selected.told;
    let out = &mut session.out;
    permanent_flags(out, &view.keywords, selected.permanent());
    out.line(format_args!("* {} EXISTS", view.len()));
    if session.enabled.has(Enabled::REV2) {
        list::selected(out, account, &selected.name).await?;
    } else {
        out.line(format_args!("* 0 RECENT"));
    }
    // A number says nothing to a client that only knows UIDs, and IMAP4rev2 has no such code.
    let numbered = !session.enabled.has(Enabled::UIDONLY) && !session.enabled.has(Enabled::REV2);
    if let Some(first) = view.first_unseen().filter(|_| numbered) {
        out.line(format_args!("* OK [UNSEEN {}] First message not seen", first + 1));
    }
    out.line(format_args!("* OK [UIDVALIDITY {}] Epoch of the UIDs", view.uid_validity.0));
    out.line(format_args!("* OK [UIDNEXT {}] Next UID", view.uid_next.0));
    out.line(format_args!("* OK [HIGHESTMODSEQ {}] Highest MODSEQ", view.highest_modseq.0));
    out.line(format_args!("* OK [MAILBOXID ({})] Name for good", selected.folder.id()));
    if let Some(resync) = &modifiers.qresync {
        resync::select(out, &selected, resync).await?;
    }
    session.selected = Some(selected);
    Ok(Reply::ok("Done").code(if read_only { "READ-ONLY" } else { "READ-WRITE" }))
}
