//! What a FETCH needs of messages, made ready before a response begins, so that little can fail once it has.

use std::sync::Arc;

use mail::mime::Structure;
use mail::{Entry, preview};

use super::super::super::reply::Stop;
use super::Plan;
use super::binary::{self, BinaryPart};
use super::body::{Octets, locate, read};
use crate::backend::{Failure, MessageBody, OpenFolder};
use crate::command::{FetchItem, Rfc822, Section, SectionText};

/// Messages made ready at once, at most: more would only be memory.
const GROUP: usize = 32;
/// Octets of messages made ready at once.
const GROUP_OCTETS: u64 = 128 * 1024;
/// Octets of messages that are being told and made ready at the same time: what a client that takes nothing makes us keep. Above
/// [`GROUP_OCTETS`] a message is a group by itself, and the next one is made ready when it was taken.
const BOTH_OCTETS: u64 = 2 * GROUP_OCTETS;
/// Items kept in memory (header fields, decoded parts) above which messages are made ready one by one.
const FEW: usize = 2;

/// A message ready to be told.
pub(super) struct Message {
    /// Where it is in what the client knows.
    pub(super) position: usize,
    pub(super) entry: Entry,
    pub(super) structure: Option<Structure>,
    /// For each item that needs more than the structure, in order.
    pub(super) items: Vec<Ready>,
}

/// What one item needs.
pub(super) enum Ready {
    /// Octets, and whether NUL may be in them where that matters.
    Octets(Octets, bool),
    /// There is no such section.
    Nothing,
    /// BINARY.SIZE.
    Size(u64),
    /// PREVIEW; `None` when it was not made.
    Preview(Option<String>),
}

/// Messages ready to be told, and what is missing.
#[derive(Default)]
pub(super) struct Group {
    pub(super) messages: Vec<Message>,
    /// Some were gone.
    pub(super) gone: bool,
    /// Some have a part whose encoding is not known.
    pub(super) unknown_encoding: bool,
}

/// The next messages of a FETCH that may be made ready at once.
pub(super) fn next_group(
    plan: &Plan<'_>,
    entries: &mut std::iter::Peekable<impl Iterator<Item = (usize, Entry)>>,
) -> Vec<(usize, Entry)> {
    let most = if plan.kept > FEW { 1 } else { GROUP };
    let mut group = Vec::new();
    let mut octets = 0;
    while group.len() < most {
        let Some((_, entry)) = entries.peek() else { break };
        octets += if plan.octets { u64::from(entry.size) } else { 0 };
        if octets > GROUP_OCTETS && !group.is_empty() {
            break;
        }
        group.extend(entries.next());
    }
    group
}

/// Whether a group may be made ready while the one before is told.
pub(super) fn may_be_ahead(plan: &Plan<'_>, told: &[Message], next: &[(usize, Entry)]) -> bool {
    let sizes = told.iter().map(|message| message.entry.size).chain(next.iter().map(|(_, entry)| entry.size));
    !plan.octets || sizes.map(u64::from).sum::<u64>() <= BOTH_OCTETS
}

/// Makes messages ready. `lazy`: how many previews may be made of those asked for with LAZY.
pub(super) async fn prepare(
    folder: &dyn OpenFolder,
    plan: &Plan<'_>,
    entries: Vec<(usize, Entry)>,
    lazy: usize,
) -> Result<Group, Stop> {
    let mut group = Group::default();
    if entries.is_empty() {
        return Ok(group);
    }
    let ids: Vec<u64> = entries.iter().map(|(_, entry)| entry.body).collect();
    let mut structures = if plan.structures { folder.structures(&ids).await? } else { Vec::new() };
    structures.resize(ids.len(), None);
    let bodies = if plan.octets { folder.bodies(&ids).await? } else { ids.iter().map(|_| None).collect() };
    for (index, (((position, entry), structure), body)) in entries.into_iter().zip(structures).zip(bodies).enumerate() {
        if (plan.structures && structure.is_none()) || (plan.octets && body.is_none()) {
            group.gone = true;
            continue;
        }
        let items = match body {
            Some(body) => match items(body.into(), plan.items, structure.as_ref(), index < lazy).await? {
                Some(items) => items,
                None => {
                    group.unknown_encoding = true;
                    continue;
                }
            },
            None => Vec::new(),
        };
        group.messages.push(Message { position, entry, structure, items });
    }
    Ok(group)
}

/// `None`: the encoding of a part is not known.
async fn items(
    body: Arc<dyn MessageBody>,
    wanted: &[FetchItem],
    structure: Option<&Structure>,
    lazy_too: bool,
) -> Result<Option<Vec<Ready>>, Failure> {
    let mut ready = Vec::new();
    for item in wanted {
        match item {
            FetchItem::Body { section, partial, .. } => {
                let octets = locate(&body, section, structure).await?;
                ready.push(octets.map_or(Ready::Nothing, |octets| Ready::Octets(octets.cut(*partial), false)));
            }
            FetchItem::Rfc822(which) => {
                let text = match which {
                    Rfc822::All => SectionText::Whole,
                    Rfc822::Header => SectionText::Header,
                    Rfc822::Text => SectionText::Text,
                };
                let octets = locate(&body, &Section { part: Vec::new(), text }, structure).await?;
                ready.push(octets.map_or(Ready::Nothing, |octets| Ready::Octets(octets, false)));
            }
            FetchItem::Binary { part, partial, .. } => match binary::part(&*body, part, structure) {
                BinaryPart::Known(range, transfer) => {
                    let (octets, nul) = binary::ready(&body, range, transfer, *partial).await?;
                    ready.push(Ready::Octets(octets, nul));
                }
                BinaryPart::UnknownEncoding => return Ok(None),
                BinaryPart::Nothing => ready.push(Ready::Nothing),
            },
            FetchItem::BinarySize(part) => match binary::part(&*body, part, structure) {
                BinaryPart::Known(range, transfer) => {
                    ready.push(Ready::Size(binary::size(&*body, range, transfer).await?));
                }
                BinaryPart::UnknownEncoding => return Ok(None),
                BinaryPart::Nothing => ready.push(Ready::Size(0)),
            },
            FetchItem::Preview { lazy } => {
                ready.push(Ready::Preview(if *lazy && !lazy_too {
                    None
                } else {
                    Some(words(&*body, structure).await?)
                }));
            }
            _ => {}
        }
    }
    Ok(Some(ready))
}

/// The preview of a message; empty when it has nothing to be read.
async fn words(body: &dyn MessageBody, structure: Option<&Structure>) -> Result<String, Failure> {
    let Some(part) = structure.and_then(|structure| preview::readable(&structure.root)) else {
        return Ok(String::new());
    };
    let start = part.body.start.min(body.len());
    let end = part.body.end.min(body.len()).min(start.saturating_add(preview::MAX_OCTETS));
    Ok(preview::of_part(part, &read(body, start..end).await?))
}
