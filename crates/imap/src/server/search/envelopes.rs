//! The envelopes of many messages: read in batches, looked at where they lie, given one by one.

use std::ops::Range;

use mail::date::Moment;
use mail::mime::Envelope;
use mail::{Entry, View};

use super::super::reply::Stop;
use super::Work;
use crate::backend::Failure;

/// Most messages whose structures are in memory at once.
const BATCH: usize = 1024;
/// Most octets their structures may take: a structure is hardly larger than its message, and never than [`LARGEST`].
const OCTETS: usize = 38 * 1024 * 1024;
/// What the largest encoded structure takes (the budget of [`mail::mime::Limits`], and what the tree adds).
const LARGEST: usize = 1_200_000;

/// Where the next batch ends: as many positions as fit the limits, and one at least.
pub(in super::super) fn batch(view: &View, positions: impl Iterator<Item = usize>) -> usize {
    let mut octets = 0;
    let mut count = 0;
    for position in positions.take(BATCH) {
        octets += view.get(position).map_or(0, |e| (e.size as usize).min(LARGEST));
        if octets > OCTETS {
            break;
        }
        count += 1;
    }
    count.max(1)
}

/// Calls `take` with each message in the order of `positions`, and its envelope and date of sending; `None` when it is gone.
pub(super) async fn envelopes(
    work: &mut Work<'_>,
    positions: &[u32],
    mut take: impl FnMut(u32, &Entry, Option<(Envelope<&str>, Option<Moment>)>),
) -> Result<(), Stop> {
    let view = &*work.selected.told;
    let folder = &*work.selected.folder;
    let next = |from: usize| -> (Range<usize>, Vec<u64>) {
        let rest = &positions[from..];
        let count = batch(view, rest.iter().map(|p| *p as usize)).min(rest.len());
        let body = |p: &u32| view.get(*p as usize).map_or(0, |e| e.body);
        (from..from + count, rest[..count].iter().map(body).collect())
    };
    let (mut range, mut bodies) = next(0);
    let mut encoded = folder.encoded_structures(&bodies).await?;
    while !range.is_empty() {
        work.step(range.start, positions.len()).await?;
        let here = range.clone();
        (range, bodies) = next(range.end);
        // The next batch is read while this one is looked at, on the store's own threads.
        let ahead = async { if bodies.is_empty() { Ok(Vec::new()) } else { folder.encoded_structures(&bodies).await } };
        let look = async {
            // Lets the other side begin.
            tokio::task::yield_now().await;
            for (position, octets) in positions[here].iter().zip(&encoded) {
                let Some(entry) = view.get(*position as usize) else { continue };
                let envelope = match octets {
                    None => None,
                    Some(octets) => Some(Envelope::borrow(octets).map_err(|error| {
                        tracing::error!("a stored structure cannot be read: {error}");
                        Failure::Unavailable
                    })?),
                };
                take(*position, entry, envelope);
            }
            Ok::<(), Failure>(())
        };
        let (looked, read) = tokio::join!(look, ahead);
        looked?;
        encoded = read?;
    }
    work.progress.stage(positions.len());
    Ok(())
}
