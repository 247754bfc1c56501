//! FETCH of what lists of messages are made of: the view, ENVELOPE, BODYSTRUCTURE, and no octets of messages.
//!
//! Structures are read in batches, the next while the client takes this one, and written from where they lie, no text copied
//! but into the answer.

use mail::mime::Structure;

use super::super::super::batch;
use super::super::super::output::Output;
use super::super::super::reply::Stop;
use super::super::super::selected::{Positions, Selected};
use super::Plan;
use crate::backend::Failure;
use crate::command::FetchItem as I;

/// Whether all that is asked is written here.
pub(super) fn serves(items: &[I]) -> bool {
    let served = |item: &I| {
        matches!(
            item,
            I::Flags
                | I::Uid
                | I::InternalDate
                | I::Size
                | I::ModSeq
                | I::EmailId
                | I::ThreadId
                | I::SaveDate
                | I::Envelope
                | I::BodyStructure
                | I::BodyStructureShort
        )
    };
    items.iter().all(served)
}

/// Tells them; whether none was gone.
pub(super) async fn run(
    out: &mut Output,
    selected: &Selected,
    plan: &Plan<'_>,
    positions: &Positions,
) -> Result<bool, Stop> {
    let view = &selected.told;
    let folder = &*selected.folder;
    let mut whole = true;
    let mut rest = positions.iter();
    let mut here = batch::next(view, &mut rest);
    let mut encoded = folder.encoded_structures(&batch::bodies(&here)).await?;
    while !here.is_empty() {
        let next = batch::next(view, &mut rest);
        let read = async {
            if next.is_empty() { Ok(Vec::new()) } else { folder.encoded_structures(&batch::bodies(&next)).await }
        };
        let write = async {
            for ((position, entry), octets) in here.iter().zip(&encoded) {
                let Some(octets) = octets else {
                    whole = false;
                    continue;
                };
                let structure = Structure::borrow(octets).map_err(Failure::damaged)?;
                let mut fetch = selected.fetch(out, *position, entry, plan.add_uid);
                if plan.add_modseq {
                    fetch.modseq(out.buffer(), entry.modseq.min(plan.limit));
                }
                for item in plan.items {
                    let buffer = out.buffer();
                    match item {
                        I::Flags => fetch.flags(buffer, entry.flags.names(&view.keywords)),
                        I::Uid => fetch.uid(buffer, entry.uid),
                        I::InternalDate => fetch.internal_date(buffer, entry.internal_date),
                        I::Size => fetch.size(buffer, entry.size),
                        I::ModSeq => fetch.modseq(buffer, entry.modseq.min(plan.limit)),
                        I::EmailId => fetch.email_id(buffer, entry.body),
                        I::ThreadId => fetch.thread_id(buffer, entry.thread),
                        I::SaveDate => fetch.save_date(buffer, entry.saved),
                        I::Envelope => fetch.envelope(buffer, &structure.envelope),
                        I::BodyStructure => fetch.body_structure(buffer, &structure, true),
                        I::BodyStructureShort => fetch.body_structure(buffer, &structure, false),
                        // See `serves`.
                        _ => {}
                    }
                    // A structure may be a megabyte, and be asked for a hundred times.
                    out.room().await?;
                }
                fetch.end(out.buffer());
                out.room().await?;
            }
            tokio::task::yield_now().await;
            Ok::<(), Stop>(())
        };
        let (read, written) = tokio::join!(read, write);
        written?;
        encoded = read?;
        here = next;
    }
    Ok(whole)
}
