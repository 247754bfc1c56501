//! FETCH (RFC 3501 §6.4.5).
//!
//! Three prices, and a FETCH pays only for what it asks: FLAGS, UID, INTERNALDATE, RFC822.SIZE come from the view alone;
//! ENVELOPE, BODYSTRUCTURE and the places of sections from the structures computed at delivery, in batches; octets from
//! the message, piece by piece straight to the socket, the next piece read when the client has taken the one before.
//!
//! Messages that others expunged, not yet told to this client, answer with what is known of them; when what was asked
//! is gone, the others are told and the answer is `NO [EXPUNGEISSUED]` (RFC 5530, RFC 2180 §4.1). `\Seen` is set after the
//! octets were sent, and its FETCH follows before the tagged answer.

mod body;
mod summaries;

use mail::mime::Structure;
use mail::sequence::SequenceSet;
use mail::{Entry, Flags, ModSeq, Uid, View};

use self::body::{Octets, prepare};
use super::super::enabled::Enabled;
use super::super::output::Output;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::resync;
use super::super::selected::{Expunges, Positions, Selected};
use crate::backend::{FlagChange, FlagOperation, OpenFolder};
use crate::command::{FetchItem, Numbers, Rfc822, SectionText};
use crate::modifiers::FetchModifiers;

/// Messages whose structures are in memory at once.
const BATCH: usize = 32;

/// What a FETCH needs.
struct Plan<'i> {
    items: &'i [FetchItem],
    /// UID FETCH tells the UID unasked.
    add_uid: bool,
    /// CHANGEDSINCE tells the MODSEQ unasked (RFC 7162 §3.1.4.1).
    add_modseq: bool,
    /// The highest MODSEQ that may be told.
    limit: ModSeq,
    structures: bool,
    octets: bool,
    sets_seen: bool,
}

impl<'i> Plan<'i> {
    fn new(items: &'i [FetchItem], numbers: Numbers, modifiers: &FetchModifiers) -> Self {
        let mut plan = Plan {
            items,
            add_uid: numbers == Numbers::Uid && !items.contains(&FetchItem::Uid),
            add_modseq: modifiers.changed_since.is_some() && !items.contains(&FetchItem::ModSeq),
            limit: ModSeq(u64::MAX),
            structures: false,
            octets: false,
            sets_seen: false,
        };
        for item in items {
            match item {
                FetchItem::Flags | FetchItem::Uid | FetchItem::InternalDate | FetchItem::Size | FetchItem::ModSeq => {}
                FetchItem::Envelope | FetchItem::BodyStructure | FetchItem::BodyStructureShort => {
                    plan.structures = true
                }
                FetchItem::Body { peek, section, .. } => {
                    plan.octets = true;
                    plan.sets_seen |= !peek;
                    plan.structures |= !section.part.is_empty() || section.text != SectionText::Whole;
                }
                FetchItem::Rfc822(which) => {
                    plan.octets = true;
                    plan.sets_seen |= *which != Rfc822::Header;
                    plan.structures |= *which != Rfc822::All;
                }
            }
        }
        plan
    }
}

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    items: &[FetchItem],
    modifiers: &FetchModifiers,
) -> Outcome {
    let resync = numbers == Numbers::Uid && modifiers.changed_since.is_some() && selected.enabled.has(Enabled::QRESYNC);
    if modifiers.vanished && !resync {
        return Ok(Reply::bad("VANISHED is for UID FETCH with CHANGEDSINCE, after ENABLE QRESYNC"));
    }
    selected.tell(out, Expunges::Hold, numbers).await?;
    let mut positions = selected.positions(set, numbers)?;
    if let Some(since) = modifiers.changed_since {
        positions = changed_since(&selected.told, &positions, since);
    }
    if let (true, Some(since)) = (modifiers.vanished, modifiers.changed_since) {
        let last = resync::last_given(&selected.told);
        resync::earlier(out, selected, since, &set.resolve(last).up_to(last), 0).await?;
    }
    let mut plan = Plan::new(items, numbers, modifiers);
    if items.contains(&FetchItem::ModSeq) || plan.add_modseq {
        plan.limit = selected.limit(&selected.latest());
    }
    if let Some(window) = modifiers.partial {
        let range = window.of(positions.count());
        positions = positions.iter().skip(range.start).take(range.len()).collect();
    }
    let whole = if plan.structures && summaries::serves(items) {
        summaries::run(out, selected, &plan, &positions).await?
    } else if plan.structures || plan.octets {
        messages(out, selected, &plan, &positions).await?
    } else {
        for position in positions.iter() {
            let Some(entry) = selected.told.get(position) else { continue };
            message(out, selected, &plan, position, entry, None, Vec::new()).await?;
            out.room().await?;
        }
        true
    };
    // A UID that is gone is passed over (RFC 3501 §6.4.8), a number that the client still has cannot be.
    Ok(if whole || numbers == Numbers::Uid { Reply::ok("Done") } else { Reply::expunge_issued() })
}

/// Those of the messages whose MODSEQ is above.
fn changed_since(view: &View, positions: &Positions, since: ModSeq) -> Positions {
    positions.ranges().iter().flat_map(|r| view.changed_since(r.clone(), since)).map(|(p, _)| p).collect()
}

/// Messages with what is not in the view; whether none was gone.
async fn messages(out: &mut Output, selected: &Selected, plan: &Plan<'_>, positions: &Positions) -> Result<bool, Stop> {
    let view = &selected.told;
    let folder = &*selected.folder;
    let mut whole = true;
    let mut positions = positions.iter();
    loop {
        let batch: Vec<(usize, Entry)> =
            positions.by_ref().filter_map(|p| Some((p, *view.get(p)?))).take(BATCH).collect();
        if batch.is_empty() {
            return Ok(whole);
        }
        let mut structures = Vec::new();
        if plan.structures {
            let bodies: Vec<u64> = batch.iter().map(|(_, e)| e.body).collect();
            structures = folder.structures(&bodies).await?;
        }
        structures.resize(batch.len(), None);
        let mut sent = Vec::new();
        for ((position, entry), structure) in batch.iter().zip(&structures) {
            if plan.structures && structure.is_none() {
                whole = false;
                continue;
            }
            let octets = if plan.octets {
                let Some(body) = folder.body(entry.body).await? else {
                    whole = false;
                    continue;
                };
                prepare(body, plan.items, structure.as_ref()).await?
            } else {
                Vec::new()
            };
            message(out, selected, plan, *position, entry, structure.as_ref(), octets).await?;
            out.room().await?;
            if plan.sets_seen && !entry.flags.contains(Flags::SEEN) {
                sent.push(entry.uid);
            }
        }
        if !sent.is_empty() && !selected.read_only {
            set_seen(folder, sent).await;
        }
    }
}

/// `* n FETCH (…)`. `octets` has what each item of octets is, in their order; `None`: there is no such section.
async fn message(
    out: &mut Output,
    selected: &Selected,
    plan: &Plan<'_>,
    position: usize,
    entry: &Entry,
    structure: Option<&Structure>,
    octets: Vec<Option<Octets>>,
) -> Result<(), Stop> {
    let mut octets = octets.into_iter();
    let view = &selected.told;
    let mut fetch = selected.fetch(out, position, entry, plan.add_uid);
    if plan.add_modseq {
        fetch.modseq(out.buffer(), entry.modseq.min(plan.limit));
    }
    for item in plan.items {
        match item {
            FetchItem::Flags => fetch.flags(out.buffer(), entry.flags.names(&view.keywords)),
            FetchItem::Uid => fetch.uid(out.buffer(), entry.uid),
            FetchItem::InternalDate => fetch.internal_date(out.buffer(), entry.internal_date),
            FetchItem::Size => fetch.size(out.buffer(), entry.size),
            FetchItem::ModSeq => fetch.modseq(out.buffer(), entry.modseq.min(plan.limit)),
            FetchItem::Envelope => {
                if let Some(structure) = structure {
                    fetch.envelope(out.buffer(), &structure.envelope);
                }
            }
            FetchItem::BodyStructure | FetchItem::BodyStructureShort => {
                if let Some(structure) = structure {
                    fetch.body_structure(out.buffer(), structure, *item == FetchItem::BodyStructure);
                }
            }
            FetchItem::Body { section, partial, .. } => {
                let origin = partial.map(|(origin, _)| origin);
                match octets.next().flatten() {
                    Some(octets) => {
                        fetch.body_literal(out.buffer(), section, origin, octets.len());
                        octets.send(out).await?;
                    }
                    None => fetch.body_nil(out.buffer(), section, origin),
                }
            }
            FetchItem::Rfc822(which) => {
                if let Some(octets) = octets.next().flatten() {
                    fetch.rfc822_literal(out.buffer(), *which, octets.len());
                    octets.send(out).await?;
                }
            }
        }
        // A structure may be a megabyte, and be asked for a hundred times.
        out.room().await?;
    }
    fetch.end(out.buffer());
    Ok(())
}

/// Marks messages as read. That it cannot be done is no reason to say that they were not read out.
async fn set_seen(folder: &dyn OpenFolder, uids: Vec<Uid>) {
    let change =
        FlagChange { uids, how: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    if let Err(failure) = folder.set_flags(change).await {
        tracing::warn!(%failure, "imap: \\Seen not set after FETCH");
    }
}
