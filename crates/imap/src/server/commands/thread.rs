//! THREAD and UID THREAD (RFC 5256).

use super::super::reply::{Outcome, Reply};
use super::super::search::{self, Plan};
use super::super::selected::Expunges;
use super::search::Room;
use crate::command::{Numbers, SearchKey, ThreadAlgorithm};

/// What is asked.
pub(in super::super) struct Request {
    pub(in super::super) numbers: Numbers,
    pub(in super::super) algorithm: ThreadAlgorithm,
    pub(in super::super) charset: String,
    pub(in super::super) key: SearchKey,
}

pub(in super::super) async fn run(mut room: Room<'_>, request: Request) -> Outcome {
    let Request { numbers, algorithm, charset, key } = request;
    if let Some(refused) = search::bad_charset(&charset) {
        return Ok(refused);
    }
    room.selected.tell(room.out, Expunges::Hold, numbers).await?;
    let plan = Plan::new(key, room.selected, search::now());
    let mut work = room.work();
    let positions = search::matching(&mut work, &plan).await?;
    let positions: Vec<u32> = positions.iter().collect();
    let forest = search::threads(&mut work, &positions, algorithm).await?;
    let view = room.selected.told.clone();
    let number = |position: u32| match numbers {
        Numbers::Sequence => position + 1,
        // Each position is of this very view.
        Numbers::Uid => view.get(position as usize).map_or(0, |e| e.uid.0),
    };
    forest.tell(room.out, number).await?;
    Ok(Reply::ok("Done"))
}
