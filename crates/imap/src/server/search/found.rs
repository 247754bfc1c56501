//! Evaluating the tree over a folder.

use std::sync::Arc;

use super::super::reply::Stop;
use super::Work;
use super::envelopes::envelopes;
use super::key::{Facts, Plan, Verdicts};
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

/// Judges by texts.
async fn by_texts(work: &mut Work<'_>, plan: &Plan, undecided: Vec<u32>, found: &mut Vec<u32>) -> Result<(), Stop> {
    let selected = work.selected;
    let view = &selected.told;
    let total = undecided.len();
    let body = |p: &u32| view.get(*p as usize).map(|e| (e.body, *p));
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
        for (i, (body, position)) in judged.iter().enumerate() {
            if i % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some(entry) = view.get(*position as usize) else { continue };
            let mut facts = Facts::of_view(*position, entry);
            facts.texts = Some(Verdicts { body: *body, matching: &seeking.matching });
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
                facts.texts = Some(Verdicts { body: entry.body, matching: &seeking.matching });
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
