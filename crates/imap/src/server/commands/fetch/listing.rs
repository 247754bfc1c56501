//! `FETCH 1:* (FLAGS)` and its kin: what the view alone answers, without a look at the clock or an allocation per message.
//!
//! Folders use few combinations of flags: the text of each is made once.

use mail::{Flags, Keywords};

use super::super::super::Ended;
use super::super::super::output::Output;
use super::super::super::selected::{Positions, Selected};
use super::Plan;
use crate::command::FetchItem;
use crate::response::{self, Fetch};

/// Whether the items can be listed.
pub(super) fn serves(items: &[FetchItem]) -> bool {
    let listed = |item: &FetchItem| {
        matches!(
            item,
            FetchItem::Flags | FetchItem::Uid | FetchItem::Size | FetchItem::ModSeq | FetchItem::InternalDate
        )
    };
    items.iter().all(listed)
}

/// Tells them.
pub(super) async fn run(
    out: &mut Output,
    selected: &Selected,
    plan: &Plan<'_>,
    positions: &Positions,
) -> Result<(), Ended> {
    let view = &selected.told;
    let mut texts = Texts::new(&view.keywords);
    for range in positions.ranges() {
        for (position, entry) in range.clone().zip(view.range(range.clone())) {
            let mut fetch: Fetch = selected.fetch(out, position, entry, plan.add_uid);
            let buffer = out.buffer();
            if plan.add_modseq {
                fetch.modseq(buffer, entry.modseq.min(plan.limit));
            }
            for item in plan.items {
                match item {
                    FetchItem::Flags => fetch.flags_text(buffer, texts.of(entry.flags)),
                    FetchItem::Uid => fetch.uid(buffer, entry.uid),
                    FetchItem::Size => fetch.size(buffer, entry.size),
                    FetchItem::ModSeq => fetch.modseq(buffer, entry.modseq.min(plan.limit)),
                    FetchItem::InternalDate => fetch.internal_date(buffer, entry.internal_date),
                    // `serves` lets nothing else through.
                    _ => {}
                }
            }
            fetch.end(buffer);
            if out.is_full() {
                out.room().await?;
            }
        }
    }
    Ok(())
}

/// Combinations of flags whose text is kept: more are made anew each time.
const KEPT: usize = 64;

/// The texts of combinations of flags.
struct Texts<'k> {
    keywords: &'k Keywords,
    made: Vec<(Flags, Vec<u8>)>,
    last: usize,
}

impl<'k> Texts<'k> {
    fn new(keywords: &'k Keywords) -> Self {
        Texts { keywords, made: Vec::new(), last: 0 }
    }

    fn of(&mut self, flags: Flags) -> &[u8] {
        if self.made.get(self.last).is_none_or(|(f, _)| *f != flags) {
            self.last = match self.made.iter().position(|(f, _)| *f == flags) {
                Some(at) => at,
                None => {
                    if self.made.len() == KEPT {
                        self.made.pop();
                    }
                    let mut text = Vec::new();
                    response::flag_names(&mut text, flags.names(self.keywords));
                    self.made.push((flags, text));
                    self.made.len() - 1
                }
            };
        }
        // `last` was set to a place that exists.
        self.made.get(self.last).map_or(&[], |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_flags() {
        let keywords = Keywords::new((0..40).map(|n| format!("k{n}").into()));
        let mut texts = Texts::new(&keywords);
        for round in 0..3u64 {
            for n in 0..100u64 {
                let flags = Flags::from_bits(((n * (round + 1)) << 8) | (n % 4));
                let names: Vec<&str> = flags.names(&keywords).collect();
                assert_eq!(texts.of(flags), names.join(" ").as_bytes());
                assert_eq!(texts.of(flags), names.join(" ").as_bytes());
            }
        }
        assert!(texts.made.len() <= KEPT);
    }
}
