//! The octets of FETCH: sections located before a response begins, then streamed.

use std::ops::Range;
use std::sync::Arc;

use mail::header;
use mail::mime::{Piece, Structure};

use super::super::super::Ended;
use super::super::super::output::Output;
use super::binary::Decoded;
use crate::backend::{Failure, MessageBody};
use crate::command::{Section, SectionText};

/// Octets read from the store at once: the most it wants to be asked for.
const PIECE: usize = 64 * 1024;
/// Octets of a header looked at for HEADER.FIELDS: far more than any header sent by a mail program; what lies beyond is
/// not found.
const MAX_HEADER: u64 = 512 * 1024;

/// Octets ready to be sent.
pub(super) enum Octets {
    /// Part of the message.
    Stream(Arc<dyn MessageBody>, Range<u64>),
    /// In memory: header fields, a small part decoded.
    Text(Vec<u8>),
    /// A part to be decoded as it is sent.
    Decoded(Decoded),
}

/// What a section is, with header fields read, so that little can fail once the response has begun; `None`: there is no such
/// section.
pub(super) async fn locate(
    body: &Arc<dyn MessageBody>,
    section: &Section,
    structure: Option<&Structure>,
) -> Result<Option<Octets>, Failure> {
    let (piece, fields) = match &section.text {
        SectionText::Whole if section.part.is_empty() => {
            return Ok(Some(Octets::Stream(Arc::clone(body), 0..body.len())));
        }
        SectionText::Whole => (Piece::Body, None),
        SectionText::Header => (Piece::Header, None),
        SectionText::Text => (Piece::Text, None),
        SectionText::Mime => (Piece::Mime, None),
        SectionText::HeaderFields(names) => (Piece::Header, Some((names, false))),
        SectionText::HeaderFieldsNot(names) => (Piece::Header, Some((names, true))),
    };
    let Some(range) = structure.and_then(|s| s.range(&section.part, piece)) else { return Ok(None) };
    // The structure was made of these very octets; were it not, nothing beyond them is promised to the client.
    let range = range.start.min(body.len())..range.end.min(body.len());
    let Some((names, but)) = fields else { return Ok(Some(Octets::Stream(Arc::clone(body), range))) };
    let block = read(&**body, range.start..range.end.min(range.start + MAX_HEADER)).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut text = header::select(&block, &names, but);
    text.extend_from_slice(b"\r\n");
    Ok(Some(Octets::Text(text)))
}

/// A range of a message, in memory.
pub(super) async fn read(body: &dyn MessageBody, range: Range<u64>) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
        let piece = body.read(at, most).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

impl Octets {
    /// How many.
    pub(super) fn len(&self) -> u64 {
        match self {
            Octets::Stream(_, range) => range.end - range.start,
            Octets::Text(text) => text.len() as u64,
            Octets::Decoded(decoded) => decoded.len(),
        }
    }

    /// `<origin.count>`.
    pub(super) fn cut(self, partial: Option<(u32, u32)>) -> Octets {
        let Some((origin, count)) = partial else { return self };
        match self {
            Octets::Stream(body, range) => {
                let start = range.start.saturating_add(origin.into()).min(range.end);
                let end = start.saturating_add(count.into()).min(range.end);
                Octets::Stream(body, start..end)
            }
            Octets::Text(text) => {
                let start = (origin as usize).min(text.len());
                let end = start.saturating_add(count as usize).min(text.len());
                Octets::Text(text[start..end].to_vec())
            }
            // Cut when it was measured.
            decoded @ Octets::Decoded(_) => decoded,
        }
    }

    /// Sends them, the next piece being read while the client takes the one before. A message that cannot be read on leaves a
    /// literal unfinished: the connection ends without a word, since any word would be taken for mail.
    pub(super) async fn send(self, out: &mut Output) -> Result<(), Ended> {
        let (body, range) = match self {
            Octets::Stream(body, range) => (body, range),
            Octets::Text(text) => return out.piece(&text).await,
            Octets::Decoded(decoded) => return decoded.send(out).await,
        };
        let mut at = range.start;
        let mut next = if range.is_empty() { return Ok(()) } else { piece(&*body, at..range.end).await };
        loop {
            let octets = next.map_err(broken)?;
            at += octets.len() as u64;
            if at >= range.end {
                return out.piece(&octets).await;
            }
            let (sent, ahead) = tokio::join!(out.piece(&octets), piece(&*body, at..range.end));
            sent?;
            next = ahead;
        }
    }
}

/// The first octets of a range that is not empty: at least one.
async fn piece(body: &dyn MessageBody, range: Range<u64>) -> Result<bytes::Bytes, Trouble> {
    let most = usize::try_from(range.end - range.start).unwrap_or(PIECE).min(PIECE);
    match body.read(range.start, most).await {
        Ok(piece) if !piece.is_empty() && piece.len() <= most => Ok(piece),
        Ok(_) => Err(Trouble::Short),
        Err(failure) => Err(Trouble::Failed(failure)),
    }
}

/// Why a message cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("short")]
    Short,
    #[error("{0}")]
    Failed(#[from] Failure),
}

impl Trouble {
    /// In the words of a command that has not begun to answer.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Trouble::Short => Failure::Unavailable,
            Trouble::Failed(failure) => failure,
        }
    }
}

pub(super) fn broken(why: impl std::fmt::Display) -> Ended {
    tracing::warn!(%why, "imap: a message could not be read to its end, connection dropped");
    Ended::Stalled
}
