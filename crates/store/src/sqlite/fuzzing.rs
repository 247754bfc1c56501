//! Doors for `fuzz/` to the log's records. No part of the crate's interface.

use super::facts::{self, Facts};
use super::record::{HEAD, Head, Whole};
use super::segment::FIRST;

/// A record that anybody wrote, and facts that anybody wrote: refused, or read and written again the same.
///
/// # Panics
/// When facts that were read are not written as they were.
pub fn record(input: &[u8]) {
    if let Ok(whole) = Whole::parse(input.into()) {
        let _ = (whole.structure(), whole.facts(), whole.copy());
    }
    let mut sound = input.to_vec();
    mend_from(&mut sound, 0);
    if let Ok(whole) = Whole::parse(sound.as_slice().into()) {
        let _ = facts::read(whole.facts());
    }
    let mut again = Vec::new();
    match facts::read(input) {
        Ok(Facts::Delivery(d)) => {
            let file = d.file.as_deref();
            facts::write_delivery(&mut again, &d.placements, d.duplicate_key, d.saved_at, &d.links, file);
            let Ok(Facts::Delivery(back)) = facts::read(&again) else { panic!("what was written is read") };
            assert_eq!(back, d);
        }
        Ok(Facts::Queued(entry, key, file)) => {
            facts::write_queued(&mut again, &entry, key, file.as_deref());
            assert!(matches!(facts::read(&again), Ok(Facts::Queued(..))), "what was written is read");
        }
        Err(_) => {}
    }
}

/// Makes the checksums right of the records of a segment whose octets were changed, so that what is behind them is reached.
pub fn mend(segment: &mut [u8]) {
    mend_from(segment, FIRST as usize);
}

fn mend_from(octets: &mut [u8], mut at: usize) {
    while let Some(record) = octets.get_mut(at..).filter(|rest| rest.len() >= HEAD) {
        record[..4].copy_from_slice(b"VGR1");
        let u32_at =
            |at: usize| u32::from_be_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]) as usize;
        let stored = HEAD.saturating_add(u32_at(44)).saturating_add(u32_at(48));
        let length = stored.saturating_add(u32_at(52));
        if length > record.len() {
            let crc = crc32fast::hash(&record[..HEAD - 4]);
            record[HEAD - 4..HEAD].copy_from_slice(&crc.to_be_bytes());
            return;
        }
        let (payload, facts) = (crc32fast::hash(&record[HEAD..stored]), crc32fast::hash(&record[stored..length]));
        record[56..60].copy_from_slice(&payload.to_be_bytes());
        record[60..64].copy_from_slice(&facts.to_be_bytes());
        let crc = crc32fast::hash(&record[..HEAD - 4]);
        record[HEAD - 4..HEAD].copy_from_slice(&crc.to_be_bytes());
        debug_assert!(record.first_chunk::<HEAD>().and_then(Head::parse).is_some());
        at += length;
    }
}
