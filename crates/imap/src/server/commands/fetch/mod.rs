//! FETCH (RFC 3501 §6.4.5).
//!
//! Three prices, and a FETCH pays only for what it asks: FLAGS, UID, INTERNALDATE, RFC822.SIZE come from the view alone;
//! ENVELOPE, BODYSTRUCTURE and the places of sections from the structures computed at delivery, in batches; octets from
//! the message, piece by piece straight to the socket, the next piece read when the client has taken the one before.
//!
//! Messages that others expunged, not yet told to this client, answer with what is known of them; when what was asked
//! is gone, the others are told and the answer is `NO [EXPUNGEISSUED]` (RFC 5530, RFC 2180 §4.1). `\Seen` is set after the
//! octets were sent, and its FETCH follows before the tagged answer.

mod binary;
mod body;
mod listing;
mod ready;
mod source;
mod summaries;

pub(super) use self::source::Source;

use mail::sequence::{Ranges, SequenceSet};
use mail::{Flags, ModSeq, Uid, View};

use self::ready::{Message, Ready, may_be_ahead, next_group, prepare};
use super::super::enabled::Enabled;
use super::super::output::Output;
use super::super::reply::{Outcome, Reply, Stop};
use super::super::resync;
use super::super::selected::{Expunges, Positions, Selected, sequence};
use crate::backend::{FlagChange, FlagOperation, OpenFolder};
use crate::command::{FetchItem, Numbers, Rfc822, SectionText};
use crate::modifiers::FetchModifiers;

/// Previews made for one FETCH that asks for them with LAZY (RFC 8970 §4.1): a screen or two. Each costs a reading; a client
/// that gets NIL asks again without LAZY when it has the time.
const LAZY: usize = 100;

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
    /// Items kept in memory until they are sent.
    kept: usize,
    /// PREVIEW (LAZY) is asked for.
    lazy: bool,
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
            kept: 0,
            lazy: false,
        };
        for item in items {
            match item {
                FetchItem::Flags
                | FetchItem::Uid
                | FetchItem::InternalDate
                | FetchItem::Size
                | FetchItem::ModSeq
                | FetchItem::EmailId
                | FetchItem::ThreadId
                | FetchItem::SaveDate => {}
                FetchItem::Envelope | FetchItem::BodyStructure | FetchItem::BodyStructureShort => {
                    plan.structures = true
                }
                FetchItem::Body { peek, section, .. } => {
                    plan.octets = true;
                    plan.sets_seen |= !peek;
                    plan.structures |= !section.part.is_empty() || section.text != SectionText::Whole;
                    plan.kept += usize::from(matches!(
                        section.text,
                        SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)
                    ));
                }
                FetchItem::Binary { peek, part, .. } => {
                    plan.octets = true;
                    plan.sets_seen |= !peek;
                    plan.structures |= !part.is_empty();
                    plan.kept += 1;
                }
                FetchItem::BinarySize(part) => {
                    plan.octets = true;
                    plan.structures |= !part.is_empty();
                }
                FetchItem::Preview { lazy } => {
                    plan.octets = true;
                    plan.structures = true;
                    plan.lazy |= lazy;
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
    answer(out, selected, numbers, set, items, modifiers).await
}

/// FETCH of what the client knows.
async fn answer(
    out: &mut Output,
    selected: &mut Selected,
    numbers: Numbers,
    set: &SequenceSet,
    items: &[FetchItem],
    modifiers: &FetchModifiers,
) -> Outcome {
    let mut positions = selected.positions(set, numbers)?;
    if let Some(since) = modifiers.changed_since {
        positions = changed_since(&selected.told, &positions, since);
    }
    if let (true, Some(since)) = (modifiers.vanished, modifiers.changed_since) {
        let last = resync::last_given(&selected.told);
        let asked = if set.is_saved() { selected.saved.clone() } else { set.resolve(last).up_to(last) };
        resync::earlier(out, selected, since, &asked, 0).await?;
    }
    let mut plan = Plan::new(items, numbers, modifiers);
    if items.contains(&FetchItem::ModSeq) || plan.add_modseq {
        plan.limit = selected.limit(&selected.latest());
    }
    if let Some(window) = modifiers.partial {
        let range = window.of(positions.count());
        positions = positions.iter().skip(range.start).take(range.len()).collect();
    }
    let mut missing = Missing::default();
    if plan.structures && summaries::serves(items) {
        missing.gone = !summaries::run(out, selected, &plan, &positions).await?;
    } else if plan.structures || plan.octets {
        messages(out, selected, &plan, &positions, &mut missing).await?;
    } else if listing::serves(items) {
        listing::run(out, selected, &plan, &positions).await?;
    } else {
        for position in positions.iter() {
            let Some(entry) = selected.told.get(position) else { continue };
            let message = Message { position, entry: *entry, structure: None, items: Vec::new() };
            tell(out, selected, &plan, message).await?;
            out.room().await?;
        }
    }
    Ok(if missing.unknown_encoding {
        Reply::no("The transfer encoding of a part is not known").code("UNKNOWN-CTE")
    } else if missing.gone && numbers == Numbers::Sequence {
        // A UID that is gone is passed over (RFC 3501 §6.4.8), a number that the client still has cannot be.
        Reply::expunge_issued()
    } else {
        Reply::ok("Done")
    })
}

/// FETCH of the messages from a UID on, which nobody asked for by a command (RFC 5465 §5.2), without those the command under way
/// made itself.
pub(in super::super) async fn new_messages(
    out: &mut Output,
    selected: &mut Selected,
    from: Uid,
    items: &[FetchItem],
    own: &[Uid],
) -> Result<(), Stop> {
    let first = selected.told.position(from).unwrap_or_else(|next| next);
    let others = (first..selected.told.len())
        .filter(|place| selected.told.get(*place).is_some_and(|entry| own.binary_search(&entry.uid).is_err()));
    let numbers: Ranges = others.map(sequence).collect();
    // None is no set, and nothing to tell.
    let Ok(set) = SequenceSet::parse(&numbers.to_string()) else { return Ok(()) };
    // Whatever it answers, no command waits for it.
    answer(out, selected, Numbers::Sequence, &set, items, &FetchModifiers::default()).await.map(drop)
}

/// Those of the messages whose MODSEQ is above.
fn changed_since(view: &View, positions: &Positions, since: ModSeq) -> Positions {
    positions.ranges().iter().flat_map(|r| view.changed_since(r.clone(), since)).map(|(p, _)| p).collect()
}

/// What could not be told.
#[derive(Default)]
struct Missing {
    gone: bool,
    unknown_encoding: bool,
}

/// Messages with what is not in the view: some are made ready while the client takes those before.
async fn messages(
    out: &mut Output,
    selected: &Selected,
    plan: &Plan<'_>,
    positions: &Positions,
    missing: &mut Missing,
) -> Result<(), Stop> {
    let view = &selected.told;
    let folder = &*selected.folder;
    let mut entries = positions.iter().filter_map(|p| Some((p, *view.get(p)?))).peekable();
    let mut lazy = if plan.lazy { LAZY } else { 0 };
    let first = next_group(plan, &mut entries);
    let mut group = prepare(folder, plan, first, lazy).await?;
    loop {
        lazy = lazy.saturating_sub(group.messages.len());
        missing.gone |= group.gone;
        missing.unknown_encoding |= group.unknown_encoding;
        let ahead = next_group(plan, &mut entries);
        let last = ahead.is_empty();
        let (sent, next) = if may_be_ahead(plan, &group.messages, &ahead) {
            tokio::join!(send(out, selected, plan, group.messages), prepare(folder, plan, ahead, lazy))
        } else {
            let sent = send(out, selected, plan, group.messages).await?;
            (Ok(sent), prepare(folder, plan, ahead, lazy).await)
        };
        let sent = sent?;
        if !sent.is_empty() && selected.permanent().contains(Flags::SEEN) {
            set_seen(folder, sent).await;
        }
        group = next?;
        if last {
            return Ok(());
        }
    }
}

/// Tells messages; answers which are to be marked as read.
async fn send(
    out: &mut Output,
    selected: &Selected,
    plan: &Plan<'_>,
    messages: Vec<Message>,
) -> Result<Vec<Uid>, Stop> {
    let mut sent = Vec::new();
    for message in messages {
        let entry = message.entry;
        tell(out, selected, plan, message).await?;
        out.room().await?;
        if plan.sets_seen && !entry.flags.contains(Flags::SEEN) {
            sent.push(entry.uid);
        }
    }
    Ok(sent)
}

/// `* n FETCH (…)`.
async fn tell(out: &mut Output, selected: &Selected, plan: &Plan<'_>, message: Message) -> Result<(), Stop> {
    let Message { position, entry, structure, items } = message;
    let (structure, view) = (structure.as_ref(), &selected.told);
    let mut ready = items.into_iter();
    let mut fetch = selected.fetch(out, position, &entry, plan.add_uid);
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
            FetchItem::EmailId => fetch.email_id(out.buffer(), entry.body),
            FetchItem::ThreadId => fetch.thread_id(out.buffer(), entry.thread),
            FetchItem::SaveDate => fetch.save_date(out.buffer(), entry.saved),
            FetchItem::Body { section, partial, .. } => {
                let origin = partial.map(|(origin, _)| origin);
                match ready.next() {
                    Some(Ready::Octets(octets, _)) => {
                        fetch.body_literal(out.buffer(), section, origin, octets.len());
                        octets.send(out).await?;
                    }
                    _ => fetch.body_nil(out.buffer(), section, origin),
                }
            }
            FetchItem::Rfc822(which) => {
                if let Some(Ready::Octets(octets, _)) = ready.next() {
                    fetch.rfc822_literal(out.buffer(), *which, octets.len());
                    octets.send(out).await?;
                }
            }
            FetchItem::Binary { part, partial, .. } => {
                let origin = partial.map(|(origin, _)| origin);
                match ready.next() {
                    Some(Ready::Octets(octets, nul)) => {
                        fetch.binary_literal(out.buffer(), part, origin, octets.len(), nul);
                        octets.send(out).await?;
                    }
                    _ => fetch.binary_nil(out.buffer(), part, origin),
                }
            }
            FetchItem::BinarySize(part) => {
                if let Some(Ready::Size(octets)) = ready.next() {
                    fetch.binary_size(out.buffer(), part, octets);
                }
            }
            FetchItem::Preview { .. } => {
                if let Some(Ready::Preview(text)) = ready.next() {
                    fetch.preview(out.buffer(), text.as_deref());
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
