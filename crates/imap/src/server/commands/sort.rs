//! SORT and UID SORT (RFC 5256, RFC 5957), with RETURN (RFC 5267).

use super::super::reply::{Outcome, Reply};
use super::super::search::{self, Plan, Positions, Told};
use super::super::selected::Expunges;
use super::search::Room;
use crate::command::{Numbers, SearchKey, SearchReturn, SortCriterion};

/// What is asked.
pub(in super::super) struct Request {
    pub(in super::super) numbers: Numbers,
    pub(in super::super) options: Option<Vec<SearchReturn>>,
    pub(in super::super) criteria: Vec<SortCriterion>,
    pub(in super::super) charset: String,
    pub(in super::super) key: SearchKey,
}

pub(in super::super) async fn run(mut room: Room<'_>, request: Request) -> Outcome {
    let saves = search::saves(request.options.as_deref());
    let outcome = find(&mut room, request).await;
    room.saved(saves, outcome)
}

async fn find(room: &mut Room<'_>, request: Request) -> Outcome {
    let Request { numbers, options, criteria, charset, key } = request;
    if let Some(refused) = search::bad_charset(&charset) {
        return Ok(refused);
    }
    room.selected.tell(room.out, Expunges::Hold, numbers).await?;
    let plan = Plan::new(key, room.selected, search::now());
    let mut work = room.work();
    let positions = search::matching(&mut work, &plan).await?;
    let positions = search::sorted(&mut work, positions.iter().collect(), &criteria).await?;
    let told = Told {
        name: "SORT",
        tag: room.tag,
        numbers,
        options: options.as_deref(),
        positions: Positions::Listed(positions),
        modseq: plan.names_modseq(),
    };
    search::tell(room.out, room.selected, &told).await?;
    Ok(Reply::ok("Done"))
}
