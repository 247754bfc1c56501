//! The envelopes of many messages: read in batches, looked at where they lie, given one by one.

use mail::Entry;
use mail::date::Moment;
use mail::mime::Envelope;

use super::super::batch;
use super::super::reply::Stop;
use super::Work;
use crate::backend::Failure;

/// Calls `take` with each message in the order of `positions`, and its envelope and date of sending; `None` when it is gone.
pub(super) async fn envelopes(
    work: &mut Work<'_>,
    positions: &[u32],
    mut take: impl FnMut(u32, &Entry, Option<(Envelope<&str>, Option<Moment>)>),
) -> Result<(), Stop> {
    let view = &*work.selected.told;
    let folder = &*work.selected.folder;
    let mut rest = positions.iter().map(|p| *p as usize);
    let mut here = batch::next(view, &mut rest);
    let mut encoded = folder.encoded_structures(&batch::bodies(&here)).await?;
    let mut done = 0;
    while !here.is_empty() {
        work.step(done, positions.len()).await?;
        done += here.len();
        let next = batch::next(view, &mut rest);
        // The next batch is read while this one is looked at, on the store's own threads.
        let read = async {
            if next.is_empty() { Ok(Vec::new()) } else { folder.encoded_structures(&batch::bodies(&next)).await }
        };
        let look = async {
            for ((position, entry), octets) in here.iter().zip(&encoded) {
                let envelope = match octets {
                    None => None,
                    Some(octets) => Some(Envelope::borrow(octets).map_err(Failure::damaged)?),
                };
                take(*position as u32, entry, envelope);
            }
            tokio::task::yield_now().await;
            Ok::<(), Failure>(())
        };
        let (read, looked) = tokio::join!(read, look);
        looked?;
        encoded = read?;
        here = next;
    }
    work.progress.stage(positions.len());
    Ok(())
}
