//! SEARCH and UID SEARCH (RFC 3501 §6.4.4), ESEARCH (RFC 4731).

use mail::sequence::Ranges;
use tokio_util::sync::CancellationToken;

use super::super::output::Output;
use super::super::reply::{Outcome, Reply};
use super::super::search::{self, Plan};
use super::super::selected::{Expunges, Selected};
use crate::command::{Numbers, SearchKey, SearchReturn};
use crate::response::{self, Esearch};

/// What is asked.
pub(in super::super) struct Request {
    pub(in super::super) numbers: Numbers,
    pub(in super::super) options: Option<Vec<SearchReturn>>,
    pub(in super::super) charset: Option<String>,
    pub(in super::super) key: SearchKey,
}

pub(in super::super) async fn run(
    out: &mut Output,
    selected: &mut Selected,
    shutdown: &CancellationToken,
    tag: &str,
    request: Request,
) -> Outcome {
    let Request { numbers, options, charset, key } = request;
    if charset.is_some_and(|c| c != "UTF-8" && c != "US-ASCII") {
        return Ok(Reply::no("Only these charsets").code("BADCHARSET (US-ASCII UTF-8)"));
    }
    selected.tell(out, Expunges::Hold, numbers).await?;
    let plan = Plan::new(key, selected);
    let positions = search::run(selected, &plan, shutdown).await?;
    let number = |position: u32| match numbers {
        Numbers::Sequence => position + 1,
        // Each position is of this very view.
        Numbers::Uid => selected.told.get(position as usize).map_or(0, |e| e.uid.0),
    };
    let found = positions.into_iter().map(number);
    match options {
        None => {
            out.put(b"* SEARCH");
            for number in found {
                out.text(format_args!(" {number}"));
                out.room().await?;
            }
            out.put(b"\r\n");
        }
        Some(options) => {
            let found: Ranges = found.collect();
            // No option at all means ALL (RFC 4731 §3.1).
            let wants = |option| options.contains(&option);
            let told = Esearch {
                min: found.first().filter(|_| wants(SearchReturn::Min)),
                max: found.last().filter(|_| wants(SearchReturn::Max)),
                all: Some(&found).filter(|_| options.is_empty() || wants(SearchReturn::All)),
                count: Some(found.count()).filter(|_| wants(SearchReturn::Count)),
            };
            response::esearch(out.buffer(), tag, numbers, &told);
        }
    }
    Ok(Reply::ok("Done"))
}
