//! Telling what was found: SEARCH, SORT or ESEARCH (RFC 3501 §7.2.5, RFC 4731, 5267, 7162 §3.1.5, 9394), and what `$` then
//! means (RFC 5182).

use mail::ModSeq;
use mail::sequence::Ranges;

use super::super::Ended;
use super::super::output::Output;
use super::super::selected::Selected;
use crate::command::{Numbers, SearchReturn, Window};
use crate::response::{self, Esearch, Runs};

/// What was found, in the order it is told.
pub(in super::super) struct Told<'f> {
    /// `SEARCH` or `SORT`.
    pub(in super::super) name: &'static str,
    pub(in super::super) tag: &'f str,
    pub(in super::super) numbers: Numbers,
    /// `None`: the old response.
    pub(in super::super) options: Option<&'f [SearchReturn]>,
    /// Positions (from 0).
    pub(in super::super) positions: &'f [u32],
    /// MODSEQ was among the keys.
    pub(in super::super) modseq: bool,
}

/// Whether SAVE is among the options.
pub(in super::super) fn saves(options: Option<&[SearchReturn]>) -> bool {
    options.is_some_and(|o| o.contains(&SearchReturn::Save))
}

/// Tells it, and keeps what SAVE asks for.
pub(in super::super) async fn tell(out: &mut Output, selected: &mut Selected, told: &Told<'_>) -> Result<(), Ended> {
    let view = &selected.told;
    // Each position is of this very view.
    let uid = |position: u32| view.get(position as usize).map_or(0, |e| e.uid.0);
    let number = |position: u32| match told.numbers {
        Numbers::Sequence => position + 1,
        Numbers::Uid => uid(position),
    };
    let limit = selected.limit(&selected.latest());
    let highest = |positions: &mut dyn Iterator<Item = u32>| {
        let modseqs = positions.filter_map(|p| view.get(p as usize)).map(|e| e.modseq.min(limit));
        if told.modseq { modseqs.max() } else { None }
    };
    let positions = told.positions;
    let Some(options) = told.options else {
        out.text(format_args!("* {}", told.name));
        let mut walk = view.walk();
        for position in positions {
            let number = match told.numbers {
                Numbers::Sequence => position + 1,
                Numbers::Uid => walk.get(*position as usize).map_or(0, |e| e.uid.0),
            };
            out.put(b" ");
            response::decimal(out.buffer(), number.into());
            if out.is_full() {
                out.room().await?;
            }
        }
        if let Some(ModSeq(modseq)) = highest(&mut positions.iter().copied()) {
            out.text(format_args!(" (MODSEQ {modseq})"));
        }
        out.put(b"\r\n");
        return Ok(());
    };
    let wants = Wants::new(options);
    let (first, last) = (positions.first().copied(), positions.last().copied());
    let page = wants.window.map_or(&positions[..0], |window| &positions[window.of(positions.len())]);
    // What the answer speaks of, when that is not everything found.
    let some: Option<Vec<u32>> = (!wants.everything).then(|| {
        let ends = [first.filter(|_| wants.min), last.filter(|_| wants.max)];
        ends.into_iter().flatten().chain(page.iter().copied()).collect()
    });
    let spoken = some.as_deref().unwrap_or(positions);
    if !wants.save_only {
        let found = Esearch {
            min: first.filter(|_| wants.min).map(number),
            max: last.filter(|_| wants.max).map(number),
            count: wants.count.then_some(positions.len() as u64),
            modseq: highest(&mut spoken.iter().copied()),
        };
        response::esearch(out.buffer(), told.tag, told.numbers, &found);
        if wants.all && !positions.is_empty() {
            response::esearch_list(out.buffer(), None);
            list(out, positions.iter().copied().map(number).collect()).await?;
        }
        if let Some(window) = wants.window {
            response::esearch_list(out.buffer(), Some(window));
            list(out, page.iter().copied().map(number).collect()).await?;
            out.put(b")");
        }
        out.put(b"\r\n");
    }
    if wants.save {
        let uids: Ranges = spoken.iter().copied().map(uid).collect();
        selected.saved = uids;
    }
    Ok(())
}

/// Numbers in their order; NIL when there are none, which only PARTIAL tells.
async fn list(out: &mut Output, runs: Runs) -> Result<(), Ended> {
    if runs.is_empty() {
        out.put(b"NIL");
    }
    for (i, run) in runs.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        out.text(format_args!("{comma}{run}"));
        out.room().await?;
    }
    Ok(())
}

/// The options, read.
struct Wants {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
    window: Option<Window>,
    /// Nothing but SAVE: no response is sent (RFC 5182 §2.4).
    save_only: bool,
    /// `$` and MODSEQ are those of everything found, and not of MIN, MAX and PARTIAL alone (RFC 5182 §2.4, RFC 7162 §3.1.10,
    /// RFC 9394 §3.2).
    everything: bool,
}

impl Wants {
    fn new(options: &[SearchReturn]) -> Self {
        let has = |option| options.contains(&option);
        let (min, max) = (has(SearchReturn::Min), has(SearchReturn::Max));
        let (all, count) = (has(SearchReturn::All), has(SearchReturn::Count));
        let window = options.iter().find_map(|o| if let SearchReturn::Partial(w) = o { Some(*w) } else { None });
        let save_only = !(min || max || all || count || window.is_some());
        let everything = all || count || save_only;
        Wants { min, max, all, count, save: has(SearchReturn::Save), window, save_only, everything }
    }
}
