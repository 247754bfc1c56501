//! BINARY (RFC 3516): a part with its transfer encoding undone, in bounded memory.
//!
//! The client is told how many octets come before the first of them does, so a part is decoded twice when it is larger than
//! [`KEPT`]: once to count, once to send. Multiparts and messages have no encoding of their own (RFC 2045 §6.4) and are given
//! as they are, as is the whole message.

use std::ops::Range;
use std::sync::Arc;

use mail::header::{Transfer, TransferDecoder};
use mail::mime::{Content, Piece, Structure};

use super::super::super::Ended;
use super::super::super::output::Output;
use super::body::{Octets, Trouble, broken};
use crate::backend::{Failure, MessageBody};

/// Decoded octets kept from the counting for the sending.
pub(super) const KEPT: usize = 64 * 1024;
/// Octets read from the store at once.
const PIECE: usize = 64 * 1024;

/// A part of a message.
pub(super) enum BinaryPart {
    /// This much of the message, encoded like this.
    Known(Range<u64>, Transfer),
    /// Its encoding is not known: `NO [UNKNOWN-CTE]`.
    UnknownEncoding,
    /// There is none.
    Nothing,
}

/// Where a part is. `structure` is needed for all but the whole message.
pub(super) fn part(body: &dyn MessageBody, part: &[u32], structure: Option<&Structure>) -> BinaryPart {
    if part.is_empty() {
        return BinaryPart::Known(0..body.len(), Transfer::Identity);
    }
    let Some(structure) = structure else { return BinaryPart::Nothing };
    let (Some(range), Some(found)) = (structure.range(part, Piece::Body), structure.section(part)) else {
        return BinaryPart::Nothing;
    };
    let range = range.start.min(body.len())..range.end.min(body.len());
    let transfer = match found.content {
        Content::Leaf => Transfer::from_name(&found.encoding),
        Content::Multipart(_) | Content::Message(_) => Some(Transfer::Identity),
    };
    transfer.map_or(BinaryPart::UnknownEncoding, |transfer| BinaryPart::Known(range, transfer))
}

/// Octets to be decoded as they are sent.
pub(super) struct Decoded {
    body: Arc<dyn MessageBody>,
    range: Range<u64>,
    transfer: Transfer,
    /// Which of the decoded octets.
    wanted: Range<u64>,
}

/// A part made ready to be sent, and whether NUL may be in it.
pub(super) async fn ready(
    body: &Arc<dyn MessageBody>,
    range: Range<u64>,
    transfer: Transfer,
    partial: Option<(u32, u32)>,
) -> Result<(Octets, bool), Failure> {
    if transfer == Transfer::Identity {
        // Not worth a reading of its own to know whether NUL is in it.
        return Ok((Octets::Stream(Arc::clone(body), range).cut(partial), true));
    }
    let (start, end) = match partial {
        Some((origin, count)) => (u64::from(origin), u64::from(origin) + u64::from(count)),
        None => (0, u64::MAX),
    };
    let mut kept = Some(Vec::new());
    let mut nul = false;
    let mut at = 0u64;
    let mut reading = Reading::new(&**body, range.clone(), transfer);
    while at < end {
        let Some(octets) = reading.next().await.map_err(Trouble::into_failure)? else { break };
        let cut = within(&octets, at, &(start..end));
        nul |= cut.contains(&0);
        match &mut kept {
            Some(all) if all.len() + cut.len() <= KEPT => all.extend_from_slice(cut),
            _ => kept = None,
        }
        at += octets.len() as u64;
    }
    let end = end.min(at);
    Ok((
        match kept {
            Some(all) => Octets::Text(all),
            None => Octets::Decoded(Decoded { body: Arc::clone(body), range, transfer, wanted: start.min(end)..end }),
        },
        nul,
    ))
}

/// How many octets a part has when it is decoded.
pub(super) async fn size(body: &dyn MessageBody, range: Range<u64>, transfer: Transfer) -> Result<u64, Failure> {
    if transfer == Transfer::Identity {
        return Ok(range.end - range.start);
    }
    let mut octets = 0;
    let mut reading = Reading::new(body, range, transfer);
    while let Some(piece) = reading.next().await.map_err(Trouble::into_failure)? {
        octets += piece.len() as u64;
    }
    Ok(octets)
}

impl Decoded {
    pub(super) fn len(&self) -> u64 {
        self.wanted.end - self.wanted.start
    }

    pub(super) async fn send(self, out: &mut Output) -> Result<(), Ended> {
        let mut at = 0u64;
        let mut reading = Reading::new(&*self.body, self.range, self.transfer);
        while at < self.wanted.end {
            // The same octets were decoded before: their end cannot come sooner.
            let octets = reading.next().await.map_err(broken)?.ok_or_else(|| broken(Trouble::Short))?;
            out.piece(within(&octets, at, &self.wanted)).await?;
            at += octets.len() as u64;
        }
        Ok(())
    }
}

/// Those of `octets`, the first of which is the `at`-th, that are within `wanted`.
fn within<'o>(octets: &'o [u8], at: u64, wanted: &Range<u64>) -> &'o [u8] {
    let place = |position: u64| usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX).min(octets.len());
    &octets[place(wanted.start)..place(wanted.end).max(place(wanted.start))]
}

/// A range of a message, decoded piece by piece.
struct Reading<'b> {
    body: &'b dyn MessageBody,
    range: Range<u64>,
    /// `None` when the end was written.
    decoder: Option<TransferDecoder>,
}

impl<'b> Reading<'b> {
    fn new(body: &'b dyn MessageBody, range: Range<u64>, transfer: Transfer) -> Self {
        Reading { body, range, decoder: Some(TransferDecoder::new(transfer)) }
    }

    /// The next decoded octets, perhaps none of them; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        let mut octets = Vec::new();
        if self.range.is_empty() {
            if let Some(decoder) = self.decoder.take() {
                decoder.finish(&mut octets);
            }
            return Ok(Some(octets));
        }
        let most = usize::try_from(self.range.end - self.range.start).unwrap_or(PIECE).min(PIECE);
        let piece = self.body.read(self.range.start, most).await?;
        if piece.is_empty() || piece.len() > most {
            return Err(Trouble::Short);
        }
        self.range.start += piece.len() as u64;
        octets.reserve(piece.len());
        decoder.push(&piece, &mut octets);
        Ok(Some(octets))
    }
}
