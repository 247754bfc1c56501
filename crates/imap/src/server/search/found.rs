//! Evaluating the tree over a folder.

use std::sync::Arc;

use super::super::reply::Stop;
use super::Work;
use super::envelopes::envelopes;
use super::key::{Facts, Plan};
use crate::backend::Failure;

/// Messages judged by the view alone before other tasks get their turn.
const TURN: usize = 1024;
/// Most verdicts asked at once, a text on a body each: bounds the memory for the answer to some megabytes.
const VERDICTS: usize = 512 * 1024;

/// The positions (from 0) of the messages that match, ascending.
pub(in super::super) async fn matching(work: &mut Work<'_>, plan: &Plan) -> Result<Vec<u32>, Stop> {
    let selected = work.selected;
    let mut found = Vec::new();
    let mut undecided: Vec<u32> = Vec::new();
    let latest = selected.latest();
    let whole = Arc::ptr_eq(&latest, &selected.told);
    for (i, entry) in selected.told.iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        // Counts of messages fit 32 bits, as their numbers do.
        let position = i as u32;
        match plan.judge(&Facts::of_view(position, entry)) {
            Some(false) => {}
            // What others expunged and this client was not told of yet matches nothing (RFC 2180 §4.3).
            _ if !whole && latest.find(entry.uid).is_none() => {}
            Some(true) => found.push(position),
            None => undecided.push(position),
        }
    }
    if plan.needs_sent() && !undecided.is_empty() {
        undecided = by_sent(work, plan, &undecided, &mut found).await?;
    }
    if !undecided.is_empty() {
        by_texts(work, plan, undecided, &mut found).await?;
    }
    found.sort_unstable();
    Ok(found)
}

/// Judges by the dates the messages were sent on; answers with those that this does not decide. With texts in the tree a
/// date is only kept where it matters: those are asked for again, few as they are.
async fn by_sent(work: &mut Work<'_>, plan: &Plan, undecided: &[u32], found: &mut Vec<u32>) -> Result<Vec<u32>, Stop> {
    let mut left = Vec::new();
    envelopes(work, undecided, |position, entry, envelope| {
        let Some((_, sent)) = envelope else { return };
        let mut facts = Facts::of_view(position, entry);
        facts.sent = Some(sent);
        match plan.judge(&facts) {
            Some(true) => found.push(position),
            Some(false) => {}
            None => left.push(position),
        }
    })
    .await?;
    Ok(left)
}

/// Which texts bodies have.
struct Verdicts<'s> {
    /// For each text sought, the bodies that have it, ascending, and how many of them were passed.
    matching: Vec<(&'s [u64], usize)>,
    /// Those of the last body asked about.
    has: Vec<bool>,
}

impl<'s> Verdicts<'s> {
    fn of(matching: &'s [Vec<u64>]) -> Self {
        let matching: Vec<_> = matching.iter().map(|bodies| (&**bodies, 0)).collect();
        Verdicts { has: vec![false; matching.len()], matching }
    }

    /// For each text, whether the body has it: a step where bodies ascend, a search where they do not.
    fn on(&mut self, body: u64) -> &[bool] {
        for ((bodies, passed), has) in self.matching.iter_mut().zip(&mut self.has) {
            let behind = *passed > 0 && bodies.get(*passed - 1).is_some_and(|before| *before >= body);
            if behind || bodies.get(*passed + 1).is_some_and(|next| *next < body) {
                *passed = bodies.partition_point(|other| *other < body);
            } else if bodies.get(*passed).is_some_and(|here| *here < body) {
                *passed += 1;
            }
            *has = bodies.get(*passed) == Some(&body);
        }
        &self.has
    }
}

/// Judges by texts.
async fn by_texts(work: &mut Work<'_>, plan: &Plan, undecided: Vec<u32>, found: &mut Vec<u32>) -> Result<(), Stop> {
    let selected = work.selected;
    let view = &selected.told;
    let total = undecided.len();
    let mut walk = view.walk();
    let body = |p: &u32| walk.get(*p as usize).map(|e| (e.body, *p));
    let mut by_body: Vec<(u64, u32)> = undecided.iter().filter_map(body).collect();
    drop(undecided);
    by_body.sort_unstable();
    let mut bodies: Vec<u64> = by_body.iter().map(|(body, _)| *body).collect();
    bodies.dedup();
    let sought = plan.sought();
    let most = (VERDICTS / sought.len().max(1)).max(1);
    let (mut bodies, mut messages) = (&bodies[..], &by_body[..]);
    while !bodies.is_empty() {
        work.step(total - messages.len(), total).await?;
        let asked = &bodies[..bodies.len().min(most)];
        let seeking = selected.folder.seek(sought, asked).await?;
        let Some(last) = seeking.judged.checked_sub(1).and_then(|i| asked.get(i)).copied() else {
            return Err(Failure::Unavailable.into());
        };
        if seeking.matching.len() != sought.len() {
            return Err(Failure::Unavailable.into());
        }
        bodies = &bodies[seeking.judged..];
        let (judged, rest) = messages.split_at(messages.partition_point(|(body, _)| *body <= last));
        messages = rest;
        let mut dated = Vec::new();
        let mut verdicts = Verdicts::of(&seeking.matching);
        let mut walk = view.walk();
        for (i, (body, position)) in judged.iter().enumerate() {
            if i % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some(entry) = walk.get(*position as usize) else { continue };
            let mut facts = Facts::of_view(*position, entry);
            facts.texts = Some(verdicts.on(*body));
            match plan.judge(&facts) {
                Some(true) => found.push(*position),
                Some(false) => {}
                None => dated.push(*position),
            }
        }
        // Texts and dates of sending together: the dates once more, of those that only they decide.
        if !dated.is_empty() {
            dated.sort_unstable();
            envelopes(work, &dated, |position, entry, envelope| {
                let Some((_, sent)) = envelope else { return };
                let mut facts = Facts::of_view(position, entry);
                facts.sent = Some(sent);
                facts.texts = Some(verdicts.on(entry.body));
                if plan.judge(&facts) == Some(true) {
                    found.push(position);
                }
            })
            .await?;
        }
    }
    work.progress.stage(total);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What each text's list says, in whatever order bodies are asked about.
        #[test]
        fn verdicts_are_what_the_lists_say(
            lists in proptest::collection::vec(proptest::collection::btree_set(0..60u64, 0..40), 0..4),
            ascending in proptest::collection::btree_set(0..64u64, 0..64),
            any_order in proptest::collection::vec(0..64u64, 0..40),
        ) {
            let matching: Vec<Vec<u64>> = lists.iter().map(|l: &BTreeSet<u64>| l.iter().copied().collect()).collect();
            let mut verdicts = Verdicts::of(&matching);
            for body in ascending.into_iter().chain(any_order) {
                let wanted: Vec<bool> = lists.iter().map(|list| list.contains(&body)).collect();
                prop_assert_eq!(verdicts.on(body), &wanted[..]);
                // A copy of the same message.
                prop_assert_eq!(verdicts.on(body), &wanted[..]);
            }
        }
    }
}
