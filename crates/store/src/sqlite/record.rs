//! A record of the log: one message for one keeper (a mailbox, or the outgoing queue), sealed, with the facts of its delivery.
//!
//! Octets: a head of [`HEAD`] octets in clear; the payload (salt, sealed structure, sealed octets or sealed key of the file that
//! has them); the [facts](super::facts). Head, payload and facts each have a CRC-32: damage is told apart from an end.

use bytes::Bytes;

use crate::crypt::{self, DataKey, Part, SALT};
use crate::{Body, MailboxId, Result, StoreError};

/// Octets of a head.
pub(super) const HEAD: usize = 72;
const MAGIC: [u8; 4] = *b"VGR1";
/// Room kept behind the payload for the facts, so that they seldom move it.
const ROOM: usize = 320;

/// Most octets of a record: one that is read is in memory whole. Messages come in memory when they are far smaller, or are notices.
const LARGEST: usize = 128 * 1024 * 1024;
// What a segment reads at once.
const _: () = assert!(LARGEST as u64 <= 2 * super::segment::SEGMENT);

/// The octets are in a file; the payload holds its key.
const IN_FILE: u8 = 1;
/// To be applied again after a crash, if the database does not have it.
const REDO: u8 = 2;
/// Copied from another segment: the facts are of an earlier delivery.
const COPIED: u8 = 4;

/// Whose message a record holds, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// A mailbox, and the number of the body in it.
    Mailbox(MailboxId, u64),
    /// The entry of the outgoing queue.
    Queue(u64),
}

impl Owner {
    fn numbers(self) -> (u64, u64) {
        match self {
            Owner::Mailbox(mailbox, body) => (mailbox.0, body),
            Owner::Queue(entry) => (crate::keys::SYSTEM, entry),
        }
    }

    /// The slot of the key.
    pub(super) fn key(self) -> u64 {
        self.numbers().0
    }
}

/// A head, as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    flags: u8,
    /// Which commit of its request.
    pub(super) commit: u16,
    /// Records of the same request that follow.
    pub(super) more: u16,
    /// Place in its batch.
    pub(super) place: u32,
    /// Records of its batch.
    count: u32,
    /// The batch's number, ascending in the log.
    pub(super) batch: u64,
    pub(super) owner: Owner,
    /// Octets of the message in clear.
    pub(super) size: u64,
    structure: u32,
    content: u32,
    facts: u32,
    payload_crc: u32,
    facts_crc: u32,
}

impl Head {
    /// `None` for what is no head.
    pub(super) fn parse(octets: &[u8; HEAD]) -> Option<Head> {
        let u32_at = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        let u16_at = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        if octets[..4] != MAGIC || crc32fast::hash(&octets[..HEAD - 4]) != u32_at(HEAD - 4) {
            return None;
        }
        let (mailbox, number) = (u64_at(20), u64_at(28));
        Some(Head {
            flags: octets[4],
            commit: u16_at(6),
            more: u16_at(8),
            place: u16_at(10).into(),
            count: u32_at(64),
            batch: u64_at(12),
            owner: match mailbox {
                crate::keys::SYSTEM => Owner::Queue(number),
                mailbox => Owner::Mailbox(MailboxId(mailbox), number),
            },
            size: u64_at(36),
            structure: u32_at(44),
            content: u32_at(48),
            facts: u32_at(52),
            payload_crc: u32_at(56),
            facts_crc: u32_at(60),
        })
    }

    fn write(&self, out: &mut [u8]) {
        let (mailbox, number) = self.owner.numbers();
        out[..4].copy_from_slice(&MAGIC);
        out[4] = self.flags;
        out[5] = 0;
        out[6..8].copy_from_slice(&self.commit.to_be_bytes());
        out[8..10].copy_from_slice(&self.more.to_be_bytes());
        // Below the requests of a batch times the commits of a request, bounded by the writer.
        out[10..12].copy_from_slice(&(self.place as u16).to_be_bytes());
        out[12..20].copy_from_slice(&self.batch.to_be_bytes());
        out[20..28].copy_from_slice(&mailbox.to_be_bytes());
        out[28..36].copy_from_slice(&number.to_be_bytes());
        out[36..44].copy_from_slice(&self.size.to_be_bytes());
        for (at, value) in [
            (44, self.structure),
            (48, self.content),
            (52, self.facts),
            (56, self.payload_crc),
            (60, self.facts_crc),
            (64, self.count),
        ] {
            out[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        let crc = crc32fast::hash(&out[..HEAD - 4]);
        out[HEAD - 4..HEAD].copy_from_slice(&crc.to_be_bytes());
    }

    /// Octets of head and payload: what is read of it for its message.
    pub(super) fn stored(&self) -> u64 {
        HEAD as u64 + u64::from(self.structure) + u64::from(self.content)
    }

    /// Octets of all of it.
    pub(super) fn length(&self) -> u64 {
        self.stored() + u64::from(self.facts)
    }

    /// Whether it is to be applied again after a crash.
    pub(super) fn redo(&self) -> bool {
        self.flags & REDO != 0
    }

    /// Whether it is its batch's last.
    pub(super) fn last(&self) -> bool {
        self.place + 1 == self.count
    }

    /// Whether its octets are in a file.
    pub(super) fn in_file(&self) -> bool {
        self.flags & IN_FILE != 0
    }
}

/// A whole record, as read.
#[derive(Clone)]
pub(super) struct Whole {
    pub(super) head: Head,
    octets: Vec<u8>,
}

impl Whole {
    /// # Errors
    /// [`StoreError::Damaged`]. `octets` may leave out the facts.
    pub(super) fn parse(octets: Vec<u8>) -> Result<Whole> {
        let damaged = StoreError::Damaged("a record of a segment");
        let Some(head) = octets.first_chunk::<HEAD>().and_then(Head::parse) else { return Err(damaged) };
        let (stored, length) = (head.stored() as usize, head.length() as usize);
        let whole = octets.len() == length;
        if !(whole || octets.len() == stored)
            || (head.structure as usize) < SALT
            || crc32fast::hash(&octets[HEAD..stored]) != head.payload_crc
            || (whole && crc32fast::hash(&octets[stored..]) != head.facts_crc)
        {
            return Err(damaged);
        }
        Ok(Whole { head, octets })
    }

    /// The sealed structure with the salt: what the table of bodies keeps.
    pub(super) fn structure(&self) -> &[u8] {
        &self.octets[HEAD..HEAD + self.head.structure as usize]
    }

    fn content(&self) -> &[u8] {
        &self.octets[HEAD + self.head.structure as usize..self.head.stored() as usize]
    }

    pub(super) fn facts(&self) -> &[u8] {
        &self.octets[self.head.stored() as usize..]
    }

    fn key(&self, key: &DataKey) -> crypt::Key {
        key.record(&self.structure()[..SALT])
    }

    /// The message's octets, for one that has them here; decrypted where they lie.
    pub(super) fn into_body(mut self, key: &DataKey) -> Result<Body> {
        let record = self.key(key);
        let (from, to) = (HEAD + self.head.structure as usize, self.head.stored() as usize);
        let clear = crypt::open_chunks(&record, Part::Body, &mut self.octets[from..to])?;
        if clear as u64 != self.head.size {
            return Err(StoreError::Damaged("a message has not its size"));
        }
        Ok(Body::from_bytes(Bytes::from(self.octets).slice(from..from + clear)))
    }

    /// The key of the file that has the octets.
    pub(super) fn file_key(&self, key: &DataKey) -> Result<crypt::Key> {
        let mut out = zeroize::Zeroizing::new(Vec::with_capacity(32 + crypt::TAG));
        crypt::open_chunk(&self.key(key), Part::FileKey, 0, true, self.content(), &mut out)?;
        let key = out.as_slice().try_into().map_err(|_| StoreError::Damaged("the key of a file"))?;
        Ok(zeroize::Zeroizing::new(key))
    }

    /// The same to be written elsewhere.
    pub(super) fn copy(&self) -> Record {
        let mut head = self.head;
        head.flags = head.flags & IN_FILE | COPIED;
        (head.commit, head.more) = (0, 0);
        Record { head, octets: self.octets.clone() }
    }
}

/// The structure out of what the table of bodies keeps.
pub(super) fn open_structure(key: &DataKey, sealed: &[u8]) -> Result<Vec<u8>> {
    let (salt, sealed) = sealed.split_at_checked(SALT).ok_or(StoreError::Damaged("a structure is too short"))?;
    let mut out = Vec::with_capacity(sealed.len());
    crypt::open_chunk(&key.record(salt), Part::Structure, 0, true, sealed, &mut out)?;
    Ok(out)
}

/// What a record seals beside the structure.
pub(super) enum Sealing<'a> {
    /// The message's octets.
    Octets(&'a [u8]),
    /// The key of the file that has them.
    File(&'a [u8; 32]),
}

/// A record on its way to the log.
pub(super) struct Record {
    pub(super) head: Head,
    /// A head's room, the payload, the facts.
    pub(super) octets: Vec<u8>,
}

impl Record {
    /// Seals a message for the keeper of `key`.
    pub(super) fn seal(key: &DataKey, size: u64, structure: &[u8], what: Sealing<'_>) -> Result<Record> {
        let content = match what {
            Sealing::Octets(octets) => crypt::sealed_length(octets.len() as u64) as usize,
            Sealing::File(_) => 32 + crypt::TAG,
        };
        let mut octets = Vec::with_capacity(HEAD + SALT + structure.len() + crypt::TAG + content + ROOM);
        octets.resize(HEAD, 0);
        let salt = crypt::salt()?;
        octets.extend_from_slice(&salt);
        let record = key.record(&salt);
        crypt::seal_chunk(&record, Part::Structure, 0, true, structure, &mut octets)?;
        let structure = octets.len() - HEAD;
        let flags = match what {
            Sealing::Octets(clear) => {
                crypt::seal_chunks(&record, Part::Body, clear, &mut octets)?;
                0
            }
            Sealing::File(file) => {
                crypt::seal_chunk(&record, Part::FileKey, 0, true, file, &mut octets)?;
                IN_FILE
            }
        };
        let content = octets.len() - HEAD - structure;
        if octets.len() > LARGEST {
            return Err(StoreError::Io("a message is too large for a record".into()));
        }
        let fit = |n: usize| u32::try_from(n).map_err(|_| StoreError::Io("a message is too large for a record".into()));
        let head = Head {
            flags,
            commit: 0,
            more: 0,
            place: 0,
            count: 0,
            batch: 0,
            owner: Owner::Queue(0),
            size,
            structure: fit(structure)?,
            content: fit(content)?,
            facts: 0,
            payload_crc: crc32fast::hash(&octets[HEAD..]),
            facts_crc: 0,
        };
        Ok(Record { head, octets })
    }

    /// The sealed structure with the salt.
    pub(super) fn structure(&self) -> &[u8] {
        &self.octets[HEAD..HEAD + self.head.structure as usize]
    }

    /// Says whose it is and how it was delivered.
    pub(super) fn complete(&mut self, owner: Owner, commit: u16, write_facts: impl FnOnce(&mut Vec<u8>)) {
        let stored = self.head.stored() as usize;
        self.octets.truncate(stored);
        write_facts(&mut self.octets);
        self.head.owner = owner;
        self.head.commit = commit;
        // Names, keywords and addresses of one delivery: far below 4 GiB.
        self.head.facts = (self.octets.len() - stored) as u32;
        self.head.facts_crc = crc32fast::hash(&self.octets[stored..]);
    }

    /// Writes the head; what is in `octets` is then the record.
    pub(super) fn finish(&mut self, batch: u64, place: usize, count: usize, redo: bool) {
        self.head.batch = batch;
        self.head.place = place as u32;
        self.head.count = count as u32;
        if redo {
            self.head.flags |= REDO;
        }
        self.head.write(&mut self.octets[..HEAD]);
    }
}

/// A message sealed as it goes to the log, and opened as it comes out; see [`crate::counted`].
pub(crate) fn seal_and_open(key: &DataKey, structure: &[u8], message: &[u8]) -> Result<usize> {
    let mut record = Record::seal(key, message.len() as u64, structure, Sealing::Octets(message))?;
    record.complete(Owner::Mailbox(MailboxId(1), 1), 0, |_| {});
    record.finish(1, 0, 1, true);
    let whole = Whole::parse(record.octets)?;
    Ok(open_structure(key, whole.structure())?.len() + whole.into_body(key)?.len() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_round_trips_and_damage_is_seen() {
        let key = DataKey::new(&[1; 32]);
        let mut record = Record::seal(&key, 5, b"structure", Sealing::Octets(b"hello")).expect("sealed");
        let owner = Owner::Mailbox(MailboxId(7), 9);
        record.complete(owner, 1, |out| out.extend_from_slice(b"facts"));
        record.head.more = 2;
        record.finish(11, 3, 4, true);
        let whole = Whole::parse(record.octets.as_slice().into()).expect("whole");
        let head = whole.head;
        assert_eq!((head.owner, head.commit, head.more, head.batch, head.place), (owner, 1, 2, 11, 3));
        assert!(head.redo() && !head.in_file() && head.length() == record.octets.len() as u64);
        assert_eq!(whole.facts(), b"facts");
        assert_eq!(open_structure(&key, whole.structure()).expect("opened"), b"structure");
        assert_eq!(whole.clone().into_body(&key).expect("opened").len(), 5);
        assert!(matches!(whole.into_body(&DataKey::new(&[2; 32])), Err(StoreError::Damaged(_))));
        let without_facts = &record.octets[..head.stored() as usize];
        assert!(Whole::parse(without_facts.into()).is_ok());
        assert!(head.last());
        for place in 0..record.octets.len() {
            let mut wrong = record.octets.clone();
            wrong[place] ^= 0x40;
            assert!(Whole::parse(wrong.as_slice().into()).is_err(), "octet {place}");
            if place > 0 && place != without_facts.len() {
                assert!(Whole::parse(record.octets[..place].into()).is_err());
            }
        }
        assert!(!record.octets.windows(5).any(|w| w == b"hello"));
    }
}
