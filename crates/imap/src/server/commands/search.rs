//! SEARCH and UID SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731, 5182, 9394).

use tokio_util::sync::CancellationToken;

use super::super::Config;
use super::super::enabled::Enabled;
use super::super::output::Output;
use super::super::progress::Progress;
use super::super::reply::{Outcome, Reply, Status, Stop};
use super::super::search::{self, Plan, Positions, Told, Work};
use super::super::selected::{Expunges, Selected};
use crate::command::{Numbers, SearchKey, SearchReturn};

/// Where a search takes place.
pub(in super::super) struct Room<'r> {
    pub(in super::super) out: &'r mut Output,
    pub(in super::super) selected: &'r mut Selected,
    pub(in super::super) shutdown: &'r CancellationToken,
    pub(in super::super) config: &'r Config,
    pub(in super::super) tag: &'r str,
}

impl<'r> Room<'r> {
    /// What the search itself sees of it.
    pub(super) fn work(&mut self) -> Work<'_> {
        let progress = Progress::new(self.tag, self.config);
        Work { out: self.out, selected: self.selected, shutdown: self.shutdown, progress }
    }

    /// A search with SAVE that ends in NO leaves nothing in `$`; one that was BAD leaves it as it was (RFC 5182 §2.1).
    pub(super) fn saved(self, saves: bool, outcome: Outcome) -> Outcome {
        let failed = match &outcome {
            Ok(reply) | Err(Stop::Reply(reply)) => reply.status == Status::No,
            Err(Stop::Ended(_)) => false,
        };
        if saves && failed {
            self.selected.saved = Default::default();
        }
        outcome
    }
}

/// What is asked.
pub(in super::super) struct Request {
    pub(in super::super) numbers: Numbers,
    pub(in super::super) options: Option<Vec<SearchReturn>>,
    pub(in super::super) charset: Option<String>,
    pub(in super::super) key: SearchKey,
}

pub(in super::super) async fn run(mut room: Room<'_>, mut request: Request) -> Outcome {
    // RFC 9051 §6.4.4: there is no other response than ESEARCH then.
    if room.selected.enabled.has(Enabled::REV2) && request.options.is_none() {
        request.options = Some(vec![SearchReturn::All]);
    }
    let saves = search::saves(request.options.as_deref());
    let outcome = find(&mut room, request).await;
    room.saved(saves, outcome)
}

async fn find(room: &mut Room<'_>, request: Request) -> Outcome {
    let Request { numbers, options, charset, key } = request;
    if let Some(refused) = charset.as_deref().and_then(search::bad_charset) {
        return Ok(refused);
    }
    room.selected.tell(room.out, Expunges::Hold, numbers).await?;
    let plan = Plan::new(key, room.selected, search::now());
    let positions = search::matching(&mut room.work(), &plan).await?;
    let told = Told {
        name: "SEARCH",
        tag: room.tag,
        numbers,
        options: options.as_deref(),
        positions: Positions::Of(positions),
        modseq: plan.names_modseq(),
    };
    search::tell(room.out, room.selected, &told).await?;
    Ok(Reply::ok("Done"))
}
