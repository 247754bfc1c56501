//! CLOSE (RFC 3501 §6.4.2): expunges without a word, unless the folder is open read-only.

use super::super::reply::Stop;
use super::super::selected::Selected;

pub(in super::super) async fn run(selected: &Selected) -> Result<(), Stop> {
    // Nothing asked for is lost when it cannot be done: the messages keep `\Deleted`; the client must know, though.
    if !selected.read_only && selected.latest().deleted() > 0 {
        selected.folder.expunge(None).await?;
    }
    Ok(())
}
