//! What a record says in clear of the delivery it was made by: enough to apply it again after a crash, and to make the rows of a
//! lost database anew. Flags, folders and dates are those of the delivery; what changed later is not known here.
//!
//! Numbers are big-endian, texts and lists have their length first.

use mail::{Entry, Flags, FolderName, ModSeq, Uid, UidValidity};
use mssante::Address;

use super::queue::{notify_bits, notify_from};
use crate::{FolderId, LinkKey, MailParameters, NewQueueEntry, NewQueueRecipient, Result, StoreError};

const MAILBOX: u8 = 1;
const QUEUE: u8 = 2;
/// With a duplicate key after the rest.
const QUEUE_ONCE: u8 = 3;

/// One place a message was put.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placement {
    pub(super) folder: FolderId,
    pub(super) name: FolderName,
    pub(super) uid_validity: UidValidity,
    /// With its keywords as bits of the folder of then; by name below.
    pub(super) entry: Entry,
    pub(super) keywords: Vec<String>,
}

/// What became of a message in a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delivery {
    pub(super) placements: Vec<Placement>,
    pub(super) duplicate_key: Option<[u8; 16]>,
    pub(super) saved_at: i64,
    pub(super) links: Vec<LinkKey>,
    pub(super) file: Option<String>,
}

/// The facts of a record.
pub(super) enum Facts {
    Delivery(Delivery),
    /// With its duplicate key and its file.
    Queued(NewQueueEntry, Option<[u8; 16]>, Option<String>),
}

struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn number(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        // Names, keywords and addresses: far below 4 GiB.
        self.0.extend_from_slice(&(text.len() as u32).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Writes the facts of a delivery.
pub(super) fn write_delivery(
    out: &mut Vec<u8>,
    placements: &[Placement],
    duplicate_key: Option<[u8; 16]>,
    saved_at: i64,
    links: &[LinkKey],
    file: Option<&str>,
) {
    out.push(MAILBOX);
    let mut out = Out(out);
    out.number(placements.len() as u64);
    for placement in placements {
        let entry = &placement.entry;
        for n in [
            placement.folder.0.into(),
            placement.uid_validity.0.into(),
            entry.uid.0.into(),
            entry.size.into(),
            entry.flags.bits(),
            entry.modseq.0,
            entry.internal_date as u64,
            entry.body,
            u64::from(entry.saved),
        ] {
            out.number(n);
        }
        out.number(entry.thread.into());
        out.text(placement.name.as_str());
        out.number(placement.keywords.len() as u64);
        for keyword in &placement.keywords {
            out.text(keyword);
        }
    }
    out.option(duplicate_key, |out, key| out.0.extend_from_slice(&key));
    out.number(saved_at as u64);
    out.number(links.len() as u64);
    for LinkKey(link) in links {
        out.number(*link);
    }
    out.option(file, Out::text);
}

/// Writes the facts of an entry of the queue.
pub(super) fn write_queued(
    out: &mut Vec<u8>,
    entry: &NewQueueEntry,
    duplicate_key: Option<[u8; 16]>,
    file: Option<&str>,
) {
    out.push(if duplicate_key.is_some() { QUEUE_ONCE } else { QUEUE });
    let mut out = Out(out);
    out.option(entry.sender, |out, id| out.number(id.0));
    out.option(entry.return_path.as_ref(), |out, address| out.text(&address.to_string()));
    out.option(entry.parameters.return_full, |out, full| out.number(full.into()));
    out.option(entry.parameters.envelope_id.as_deref(), Out::text);
    out.number(entry.parameters.eight_bit.into());
    out.number(entry.parameters.utf8.into());
    out.number(entry.accepted_at as u64);
    out.number(entry.expires_at as u64);
    out.number(entry.recipients.len() as u64);
    for recipient in &entry.recipients {
        out.text(&recipient.address.to_string());
        // Four bits.
        out.number(notify_bits(recipient.notify) as u64);
        out.option(recipient.original.as_deref(), Out::text);
    }
    out.option(file, Out::text);
    if let Some(key) = duplicate_key {
        out.0.extend_from_slice(&key);
    }
}

struct In<'a>(&'a [u8]);

const ILL_FORMED: StoreError = StoreError::Damaged("the facts of a record");

impl<'a> In<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ILL_FORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64> {
        self.take(8)?.try_into().map(u64::from_be_bytes).map_err(|_| ILL_FORMED)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T> {
        self.number()?.try_into().map_err(|_| ILL_FORMED)
    }

    fn text(&mut self) -> Result<&'a str> {
        let length = self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| ILL_FORMED)?;
        std::str::from_utf8(self.take(length as usize)?).map_err(|_| ILL_FORMED)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match self.take(1)? {
            [0] => Ok(None),
            [1] => read(self).map(Some),
            _ => Err(ILL_FORMED),
        }
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        // An element takes an octet at least: a wrong count ends soon and reserves nothing.
        (0..count).map(|_| read(self)).collect()
    }

    fn address(&mut self) -> Result<Address> {
        self.text()?.parse().map_err(|_| ILL_FORMED)
    }

    fn placement(&mut self) -> Result<Placement> {
        let (folder, uid_validity) = (FolderId(self.small()?), UidValidity(self.small()?));
        let entry = Entry {
            uid: Uid(self.small()?),
            size: self.small()?,
            flags: Flags::from_bits(self.number()?),
            modseq: ModSeq(self.number()?),
            internal_date: self.number()? as i64,
            body: self.number()?,
            saved: self.small()?,
            thread: self.small()?,
        };
        let name = FolderName::new(self.text()?).map_err(|_| ILL_FORMED)?;
        let keywords = self.list(|input| Ok(input.text()?.to_owned()))?;
        Ok(Placement { folder, name, uid_validity, entry, keywords })
    }

    fn file(&mut self) -> Result<Option<String>> {
        self.option(|input| Ok(input.text()?.to_owned()))
    }
}

/// # Errors
/// [`StoreError::Damaged`].
pub(super) fn read(octets: &[u8]) -> Result<Facts> {
    let mut input = In(octets);
    let facts = match input.take(1)? {
        [MAILBOX] => {
            let placements = input.list(In::placement)?;
            let duplicate_key = input.option(|input| input.take(16)?.try_into().map_err(|_| ILL_FORMED))?;
            let saved_at = input.number()? as i64;
            let links = input.list(|input| Ok(LinkKey(input.number()?)))?;
            Facts::Delivery(Delivery { placements, duplicate_key, saved_at, links, file: input.file()? })
        }
        kind @ ([QUEUE] | [QUEUE_ONCE]) => {
            let sender = input.option(|input| Ok(crate::MailboxId(input.number()?)))?;
            let return_path = input.option(In::address)?;
            let return_full = input.option(|input| Ok(input.number()? != 0))?;
            let envelope_id = input.option(|input| Ok(input.text()?.to_owned()))?;
            let parameters = MailParameters {
                return_full,
                envelope_id,
                eight_bit: input.number()? != 0,
                utf8: input.number()? != 0,
            };
            let (accepted_at, expires_at) = (input.number()? as i64, input.number()? as i64);
            let recipients = input.list(|input| {
                let address = input.address()?;
                let notify = notify_from(input.small()?);
                Ok(NewQueueRecipient { address, notify, original: input.option(|input| Ok(input.text()?.to_owned()))? })
            })?;
            let entry = NewQueueEntry { sender, return_path, parameters, recipients, accepted_at, expires_at };
            let file = input.file()?;
            let duplicate_key = match kind {
                [QUEUE_ONCE] => Some(input.take(16)?.try_into().map_err(|_| ILL_FORMED)?),
                _ => None,
            };
            Facts::Queued(entry, duplicate_key, file)
        }
        _ => return Err(ILL_FORMED),
    };
    if input.0.is_empty() { Ok(facts) } else { Err(ILL_FORMED) }
}
