//! Telling what was found: SEARCH, SORT or ESEARCH (RFC 3501 §7.2.5, RFC 4731, 5267, 7162 §3.1.5, 9394), and what `$` then
//! means (RFC 5182).

use std::ops::Range;

use mail::ModSeq;
use mail::bits::Bits;
use mail::sequence::Ranges;
use mail::view::Walk;

use super::super::Ended;
use super::super::output::Output;
use super::super::selected::Selected;
use crate::command::{Numbers, SearchReturn, Window};
use crate::response::{self, Esearch, NumberWriter, Runs};

/// What was found, in the order it is told.
pub(in super::super) struct Told<'f> {
    /// `SEARCH` or `SORT`.
    pub(in super::super) name: &'static str,
    pub(in super::super) tag: &'f str,
    pub(in super::super) numbers: Numbers,
    /// `None`: the old response.
    pub(in super::super) options: Option<&'f [SearchReturn]>,
    pub(in super::super) positions: Positions,
    /// MODSEQ was among the keys.
    pub(in super::super) modseq: bool,
}

/// Whether SAVE is among the options.
pub(in super::super) fn saves(options: Option<&[SearchReturn]>) -> bool {
    options.is_some_and(|o| o.contains(&SearchReturn::Save))
}

/// Numbers written before the buffer is looked at: a quarter of what it holds.
const TOGETHER: u32 = 2048;

/// Positions (from 0) of messages.
pub(in super::super) enum Positions {
    /// Ascending.
    Of(Bits),
    /// In this order.
    Listed(Vec<u32>),
}

impl Positions {
    fn count(&self) -> usize {
        match self {
            Positions::Of(bits) => bits.count(),
            Positions::Listed(list) => list.len(),
        }
    }

    fn ends(&self) -> [Option<u32>; 2] {
        match self {
            Positions::Of(bits) => [bits.first(), bits.last()],
            Positions::Listed(list) => [list.first().copied(), list.last().copied()],
        }
    }

    /// From the n-th to the m-th.
    fn part(&self, part: Range<usize>) -> Vec<u32> {
        match self {
            Positions::Of(bits) => bits.iter().skip(part.start).take(part.len()).collect(),
            Positions::Listed(list) => list[part].to_vec(),
        }
    }

    /// In their order, what follows each other together.
    fn runs(&self) -> impl Iterator<Item = Range<u32>> {
        let (bits, list) = match self {
            Positions::Of(bits) => (Some(bits.runs()), None),
            Positions::Listed(list) => (None, Some(list.iter().map(|p| *p..*p + 1))),
        };
        bits.into_iter().flatten().chain(list.into_iter().flatten())
    }
}

/// The numbers of messages, as the command has them, from the first to the last of those that follow each other.
#[inline]
fn numbers<'v>(walk: &mut Walk<'v>, numbers: Numbers, positions: Range<u32>) -> impl Iterator<Item = (u32, u32)> + 'v {
    let (sequence, uids) = match numbers {
        Numbers::Sequence => (Some((positions.start + 1, positions.end)), None),
        Numbers::Uid => (None, Some(walk.uids(positions.start as usize..positions.end as usize))),
    };
    sequence.into_iter().chain(uids.into_iter().flatten().map(|uids| (*uids.start(), *uids.end())))
}

/// Tells it, and keeps what SAVE asks for.
pub(in super::super) async fn tell(out: &mut Output, selected: &mut Selected, told: &Told<'_>) -> Result<(), Ended> {
    let view = &selected.told;
    let number = |position: u32| match told.numbers {
        Numbers::Sequence => position + 1,
        // Each position is of this very view.
        Numbers::Uid => view.get(position as usize).map_or(0, |e| e.uid.0),
    };
    let positions = &told.positions;
    let Some(options) = told.options else {
        out.text(format_args!("* {}", told.name));
        let (mut writer, mut walk) = (NumberWriter::default(), view.walk());
        for run in positions.runs() {
            // Alone, as most are of what some messages have.
            if run.len() == 1 {
                let alone = match told.numbers {
                    Numbers::Sequence => run.end,
                    Numbers::Uid => walk.get(run.start as usize).map_or(0, |e| e.uid.0),
                };
                writer.write(out.buffer(), alone, alone);
                if out.is_full() {
                    out.room().await?;
                }
                continue;
            }
            for (mut from, to) in numbers(&mut walk, told.numbers, run) {
                while to - from >= TOGETHER {
                    writer.write(out.buffer(), from, from + TOGETHER - 1);
                    from += TOGETHER;
                    if out.is_full() {
                        out.room().await?;
                    }
                }
                writer.write(out.buffer(), from, to);
                if out.is_full() {
                    out.room().await?;
                }
            }
        }
        if told.modseq
            && let Some(ModSeq(modseq)) = highest(selected, positions)
        {
            out.text(format_args!(" (MODSEQ {modseq})"));
        }
        out.put(b"\r\n");
        return Ok(());
    };
    let wants = Wants::new(options);
    let [first, last] = positions.ends();
    let page = wants.window.map(|window| positions.part(window.of(positions.count()))).unwrap_or_default();
    // What the answer speaks of, when that is not everything found.
    let some = (!wants.everything).then(|| {
        let ends = [first.filter(|_| wants.min), last.filter(|_| wants.max)];
        Positions::Listed(ends.into_iter().flatten().chain(page.iter().copied()).collect())
    });
    let spoken = some.as_ref().unwrap_or(positions);
    if !wants.save_only {
        let found = Esearch {
            min: first.filter(|_| wants.min).map(number),
            max: last.filter(|_| wants.max).map(number),
            count: wants.count.then(|| positions.count() as u64),
            modseq: if told.modseq { highest(selected, spoken) } else { None },
        };
        response::esearch(out.buffer(), told.tag, told.numbers, &found);
        if wants.all && first.is_some() {
            response::esearch_list(out.buffer(), None);
            let (mut runs, mut walk) = (Runs::default(), view.walk());
            for run in positions.runs() {
                numbers(&mut walk, told.numbers, run).for_each(|(from, to)| runs.push(from, to));
            }
            list(out, runs).await?;
        }
        if let Some(window) = wants.window {
            response::esearch_list(out.buffer(), Some(window));
            list(out, page.iter().copied().map(number).collect()).await?;
            out.put(b")");
        }
        out.put(b"\r\n");
    }
    if wants.save {
        let (mut pairs, mut walk) = (Vec::new(), view.walk());
        for run in spoken.runs() {
            pairs.extend(numbers(&mut walk, Numbers::Uid, run));
        }
        let uids = Ranges::from_pairs(pairs);
        selected.saved = uids;
    }
    Ok(())
}

/// The highest MODSEQ of these messages that may be told.
fn highest(selected: &Selected, positions: &Positions) -> Option<ModSeq> {
    let limit = selected.limit(&selected.latest());
    let entries = positions.runs().flat_map(|run| selected.told.range(run.start as usize..run.end as usize));
    entries.map(|entry| entry.modseq.min(limit)).max()
}

/// Numbers in their order; NIL when there are none, which only PARTIAL tells.
async fn list(out: &mut Output, runs: Runs) -> Result<(), Ended> {
    if runs.is_empty() {
        out.put(b"NIL");
    }
    for (i, run) in runs.iter().enumerate() {
        if i > 0 {
            out.put(b",");
        }
        run.write(out.buffer());
        if out.is_full() {
            out.room().await?;
        }
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
