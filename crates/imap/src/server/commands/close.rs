//! CLOSE (RFC 3501 §6.4.2): expunges without a word, unless the folder is open read-only.
//!
//! A client of QRESYNC is told the MODSEQ it may come back with (RFC 7162 §3.2.8), unless others did something that it
//! was not told: it takes its own `\Deleted` messages for gone, and nothing else.

use super::super::enabled::Enabled;
use super::super::reply::{Reply, Stop};
use super::super::selected::Selected;
use mail::{Flags, Rights};

pub(in super::super) async fn run(selected: &Selected) -> Result<Reply, Stop> {
    // Nothing asked for is lost when it cannot be done: the messages keep `\Deleted`; the client must know, though.
    // Without the right to expunge CLOSE only closes (RFC 4314 §4).
    let expunges = !selected.read_only && selected.folder.rights().contains(Rights::EXPUNGE);
    if expunges && selected.latest().deleted() > 0 {
        selected.folder.expunge(None).await?;
    }
    let latest = selected.latest();
    let since = latest.difference(&selected.told);
    let deleted = |p: &usize| selected.told.get(*p).is_some_and(|e| e.flags.contains(Flags::DELETED));
    let known = since.changed.is_empty() && since.added == 0 && since.expunged.iter().all(deleted);
    let mut reply = Reply::ok("Done");
    if known && expunges && selected.enabled.has(Enabled::QRESYNC) {
        reply = reply.code(format!("HIGHESTMODSEQ {}", latest.highest_modseq.0));
    }
    Ok(reply)
}
