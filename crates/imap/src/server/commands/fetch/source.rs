//! A section of a message as the source of another (CATENATE).

use std::sync::Arc;

use mail::Entry;

use super::body::{Octets, locate};
use crate::backend::{Append, Failure, MessageBody, OpenFolder};
use crate::command::{Section, SectionText};

/// Octets read from the store at once.
const PIECE: u64 = 64 * 1024;

/// What a URL names, located.
pub(in super::super) struct Source(Octets);

impl Source {
    /// Locates a section of a message; `None` when there is none.
    pub(in super::super) async fn open(
        folder: &dyn OpenFolder,
        entry: &Entry,
        section: &Section,
        partial: Option<(u32, Option<u32>)>,
    ) -> Result<Option<Source>, Failure> {
        let Some(body) = folder.body(entry.body).await? else { return Ok(None) };
        let body: Arc<dyn MessageBody> = body.into();
        let structure = if section.part.is_empty() && section.text == SectionText::Whole {
            None
        } else {
            folder.structures(&[entry.body]).await?.pop().flatten()
        };
        let octets = locate(&body, section, structure.as_ref()).await?;
        let partial = partial.map(|(origin, count)| (origin, count.unwrap_or(u32::MAX)));
        Ok(octets.map(|octets| Source(octets.cut(partial))))
    }

    /// How many octets.
    pub(in super::super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Adds them to a message.
    pub(in super::super) async fn write_to(self, sink: &mut dyn Append) -> Result<(), Failure> {
        match self.0 {
            Octets::Text(text) => sink.write(&text).await,
            Octets::Stream(body, range) => {
                let mut at = range.start;
                while at < range.end {
                    // At most PIECE, which fits.
                    let piece = body.read(at, (range.end - at).min(PIECE) as usize).await?;
                    if piece.is_empty() {
                        return Err(Failure::Unavailable);
                    }
                    sink.write(&piece).await?;
                    at += piece.len() as u64;
                }
                Ok(())
            }
            // A URL names no decoded part.
            Octets::Decoded(_) => Err(Failure::Unavailable),
        }
    }
}
