//! Seeking texts in messages by reading them, piece by piece: exact, and slow when they are many.

use std::time::{Duration, Instant};

use imap::backend::{OpenFolder, Result, Seeking};
use mail::sought::Sought;
use search::Scan;

/// How long one call goes on: its caller then tells the client how far it is.
const LONG_ENOUGH: Duration = Duration::from_millis(500);
/// Bodies whose structures are read at once.
const BATCH: usize = 32;

/// Judges bodies from the first on, one at least, for about [`LONG_ENOUGH`].
pub(super) async fn by_reading(folder: &dyn OpenFolder, sought: &[Sought], bodies: &[u64]) -> Result<Seeking> {
    let began = Instant::now();
    let mut seeking = Seeking { judged: 0, matching: vec![Vec::new(); sought.len()] };
    for batch in bodies.chunks(BATCH) {
        let structures = folder.structures(batch).await?;
        for (number, structure) in batch.iter().zip(structures) {
            seeking.judged += 1;
            if let Some(structure) = structure
                && let Some(body) = folder.body(*number).await?
            {
                let mut scan = Scan::new(&structure, sought);
                while let Some(wanted) = scan.wanted() {
                    // A piece is 64 KiB at most.
                    let length = usize::try_from(wanted.end - wanted.start).unwrap_or(search::PIECE);
                    scan.push(&body.read(wanted.start, length).await?);
                }
                for (found, matching) in scan.finish().into_iter().zip(&mut seeking.matching) {
                    if found {
                        matching.push(*number);
                    }
                }
            }
            if began.elapsed() >= LONG_ENOUGH {
                return Ok(seeking);
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(seeking)
}
