//! The defects of `faults` that take more than a line. Called by the program with switches only.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use faults::Fault;

use crate::access::{Denied, Opened};

/// Refusals after which the defect locks everybody out: fewer than RES-04 makes.
const MOST_REFUSALS: u32 = 15;
/// Longer than anybody may wait (RES-02).
const TOO_LONG: Duration = Duration::from_secs(31);

/// What defects make of a login.
pub(crate) async fn spoiled(judged: Result<Opened, Denied>) -> Result<Opened, Denied> {
    static REFUSALS: AtomicU32 = AtomicU32::new(0);
    if matches!(judged, Err(Denied::Unavailable)) && faults::is_on(Fault::WaitsForPsc) {
        tokio::time::sleep(TOO_LONG).await;
    }
    if !faults::is_on(Fault::LockedOut) {
        REFUSALS.store(0, Ordering::Relaxed);
        return judged;
    }
    let so_far = match judged {
        Err(Denied::Refused) => REFUSALS.fetch_add(1, Ordering::Relaxed) + 1,
        _ => REFUSALS.load(Ordering::Relaxed),
    };
    if so_far > MOST_REFUSALS { Err(Denied::Refused) } else { judged }
}

/// Whether a domain is still taken though its certificate's line is gone; `is_listed`: whether it is listed now.
pub(super) fn is_kept(domain: &str, is_listed: bool) -> bool {
    static KNOWN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    if !faults::is_on(Fault::KeptDomain) {
        return false;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if is_listed {
        known.insert(domain.to_owned());
    }
    known.contains(domain)
}

/// Whether this is the first message of a connection.
pub(super) fn is_first(connection: u64) -> bool {
    static SEEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(connection)
}

/// Of several codes, the first; `head`: the header.
fn first_code(head: &str) -> String {
    const NAME: &str = "X-MSS-CODECDA:";
    let lines = head.split_inclusive("\r\n").map(|line| match line.strip_prefix(NAME) {
        Some(codes) => format!("{NAME}{}\r\n", codes.trim_end().split(',').next().unwrap_or_default()),
        None => line.to_owned(),
    });
    lines.collect()
}

/// The message as a server with defects keeps it; `end`: where its header ends.
pub(super) fn changed(message: Vec<u8>, end: usize) -> Vec<u8> {
    let (head, body) = message.split_at(end.min(message.len()));
    let (mut head, mut body) = (String::from_utf8_lossy(head).into_owned(), body.to_vec());
    if faults::is_on(Fault::NilLost) {
        head = head.replace("X-MSS-NIL:", "X-Perdu:");
    }
    if faults::is_on(Fault::MesChanged) {
        head = head.replace("X-MSS-MES: fin", "X-MSS-MES: FIN");
    }
    if faults::is_on(Fault::ThreadLost) {
        head = head.replace("In-Reply-To:", "X-Perdu:");
    }
    if faults::is_on(Fault::EncodedInjection) {
        head = head.replace("=?utf-8?Q?essai=0D=0AX-Injecte:_1?=", "essai\r\nX-Injecte: 1");
    }
    if faults::is_on(Fault::OneCode) {
        head = first_code(&head);
    }
    if faults::is_on(Fault::SevenBits) {
        body.iter_mut().filter(|octet| **octet > 127).for_each(|octet| *octet = b'?');
    }
    [head.into_bytes(), body].concat()
}
