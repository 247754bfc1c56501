//! Evaluating the tree over a folder.

use std::sync::Arc;

use mail::bits::Bits;

use super::super::reply::Stop;
use super::Work;
use super::envelopes::envelopes;
use super::key::{Facts, Plan, Texts};
use crate::backend::Failure;

/// Keys judged, of whatever messages, before other tasks get their turn: less than a millisecond. A turn that nobody wants costs as much
/// as some hundred keys.
const TURN: usize = 16 * 1024;
/// Most verdicts asked at once, a text on a body each: bounds what one answer is.
const VERDICTS: usize = 512 * 1024;

/// The positions (from 0) of the messages that match.
pub(in super::super) async fn matching(work: &mut Work<'_>, plan: &Plan) -> Result<Bits, Stop> {
    let selected = work.selected;
    let view = &selected.told;
    let mut found = Bits::none(view.len());
    let mut undecided = Bits::none(view.len());
    let one = view.get(0).filter(|_| !plan.looks_at_messages()).map(|entry| plan.judge(&Facts::of_view(0, entry)));
    match one {
        Some(Some(true)) => found = Bits::all(view.len()),
        Some(Some(false)) => {}
        Some(None) => undecided = Bits::all(view.len()),
        None => {
            let turn = turn(plan);
            for (i, entry) in view.iter().enumerate() {
                if i % turn == turn - 1 {
                    tokio::task::yield_now().await;
                }
                // Counts of messages fit 32 bits, as their numbers do.
                let position = i as u32;
                match plan.judge(&Facts::of_view(position, entry)) {
                    Some(false) => {}
                    Some(true) => found.set(position),
                    None => undecided.set(position),
                }
            }
        }
    }
    // What others expunged and this client was not told of yet matches nothing (RFC 2180 §4.3).
    let latest = selected.latest();
    if !Arc::ptr_eq(&latest, view) {
        for gone in latest.difference(view).expunged {
            found.clear(gone as u32);
            undecided.clear(gone as u32);
        }
    }
    if plan.needs_sent() && !undecided.is_empty() {
        undecided = by_sent(work, plan, &undecided, &mut found).await?;
    }
    if !undecided.is_empty() {
        by_texts(work, plan, &undecided, &mut found).await?;
    }
    Ok(found)
}

/// Messages judged before other tasks get their turn.
fn turn(plan: &Plan) -> usize {
    (TURN / plan.keys().max(1)).max(1)
}

/// Judges by the dates the messages were sent on; answers with those that this does not decide. With texts in the tree a
/// date is only kept where it matters: those are asked for again, few as they are.
async fn by_sent(work: &mut Work<'_>, plan: &Plan, undecided: &Bits, found: &mut Bits) -> Result<Bits, Stop> {
    let mut left = Bits::none(undecided.length());
    let positions: Vec<u32> = undecided.iter().collect();
    envelopes(work, &positions, |position, entry, envelope| {
        let Some((_, sent)) = envelope else { return };
        let mut facts = Facts::of_view(position, entry);
        facts.sent = Some(sent);
        match plan.judge(&facts) {
            Some(true) => found.set(position),
            Some(false) => {}
            None => left.set(position),
        }
    })
    .await?;
    Ok(left)
}

/// Whose bodies are asked for.
enum Whose {
    /// Every message's, and the n-th body is that of the n-th message: what a folder is that mail was delivered to.
    All,
    /// The place of the body in the list, and the position of the message; ascending. Copies of a message have the same body.
    Of(Vec<(u32, u32)>),
}

/// The bodies of these messages, ascending and each once, and whose they are.
fn bodies(view: &mail::View, positions: &Bits) -> (Vec<u64>, Whose) {
    let count = positions.count();
    let mut bodies: Vec<u64> = Vec::with_capacity(count);
    let ascending = |bodies: &[u64]| bodies.is_sorted_by(|a, b| a < b);
    if count == view.len() {
        view.iter().for_each(|entry| bodies.push(entry.body));
        if ascending(&bodies) {
            return (bodies, Whose::All);
        }
        bodies.clear();
    }
    let mut walk = view.walk();
    let mut listed: Vec<(u64, u32)> = Vec::with_capacity(count);
    listed.extend(positions.iter().filter_map(|p| Some((walk.get(p as usize)?.body, p))));
    listed.sort_unstable();
    let mut whose = Vec::with_capacity(listed.len());
    for (body, position) in listed {
        if bodies.last() != Some(&body) {
            bodies.push(body);
        }
        whose.push((bodies.len() as u32 - 1, position));
    }
    (bodies, Whose::Of(whose))
}

/// Judges by texts.
async fn by_texts(work: &mut Work<'_>, plan: &Plan, undecided: &Bits, found: &mut Bits) -> Result<(), Stop> {
    let selected = work.selected;
    let view = &selected.told;
    let (bodies, whose) = bodies(view, undecided);
    let bodies = Arc::new(bodies);
    let sought = plan.sought();
    let most = (VERDICTS / sought.len().max(1)).max(1);
    // Bodies that were judged, and of how many messages.
    let (mut done, mut messages) = (0, 0);
    let total = undecided.count();
    while done < bodies.len() {
        work.step(messages, total).await?;
        let asked = match &bodies[done..bodies.len().min(done.saturating_add(most))] {
            all if all.len() == bodies.len() => bodies.clone(),
            some => Arc::new(some.to_vec()),
        };
        let seeking = selected.folder.seek(sought, &asked).await?;
        let judged = seeking.judged;
        let right = |bits: &Bits| bits.length() == asked.len();
        if !(1..=asked.len()).contains(&judged)
            || seeking.matching.len() != sought.len()
            || !seeking.matching.iter().all(right)
        {
            return Err(Failure::Unavailable.into());
        }
        let begin = messages;
        messages = match &whose {
            Whose::All => done + judged,
            Whose::Of(whose) => whose.partition_point(|(at, _)| (*at as usize) < done + judged),
        };
        if let Some(matching) = plan.by_texts_alone(&seeking.matching, asked.len()) {
            match &whose {
                Whose::All => found.or_range(done, &matching, 0..judged),
                Whose::Of(whose) => whose[begin..messages]
                    .iter()
                    .filter(|(at, _)| matching.has(at - done as u32))
                    .for_each(|(_, position)| found.set(*position)),
            }
        } else {
            // One of those judged: which body of those asked for, and the message's position.
            let texts = |at: u32| Texts { matching: &seeking.matching, at: at - done as u32 };
            let of = |message: usize| match &whose {
                Whose::All => (message as u32, message as u32),
                Whose::Of(whose) => whose[message],
            };
            let mut dated: Vec<(u32, u32)> = Vec::new();
            let mut walk = view.walk();
            let turn = turn(plan);
            for message in begin..messages {
                if message % turn == turn - 1 {
                    tokio::task::yield_now().await;
                }
                let (at, position) = of(message);
                let Some(entry) = walk.get(position as usize) else { continue };
                let mut facts = Facts::of_view(position, entry);
                facts.texts = Some(texts(at));
                match plan.judge(&facts) {
                    Some(true) => found.set(position),
                    Some(false) => {}
                    None => dated.push((position, at)),
                }
            }
            // Texts and dates of sending together: the dates once more, of those that only they decide.
            if !dated.is_empty() {
                dated.sort_unstable();
                let positions: Vec<u32> = dated.iter().map(|(position, _)| *position).collect();
                envelopes(work, &positions, |position, entry, envelope| {
                    let Some((_, sent)) = envelope else { return };
                    let Ok(place) = dated.binary_search_by_key(&position, |(position, _)| *position) else { return };
                    let at = dated[place].1;
                    let mut facts = Facts::of_view(position, entry);
                    facts.sent = Some(sent);
                    facts.texts = Some(texts(at));
                    if plan.judge(&facts) == Some(true) {
                        found.set(position);
                    }
                })
                .await?;
            }
        }
        done += judged;
    }
    work.progress.stage(total);
    Ok(())
}

#[cfg(test)]
mod tests {
    use mail::{Entry, Flags, Keywords, ModSeq, Uid, UidValidity, View};
    use proptest::prelude::*;

    use super::*;

    fn view_of(bodies: &[u64]) -> View {
        let mut view = View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::default());
        view.extend((1..).zip(bodies).map(|(uid, body)| {
            let (flags, modseq) = (Flags::NONE, ModSeq(1));
            Entry { uid: Uid(uid), size: 1, flags, modseq, internal_date: 0, body: *body, saved: 0, thread: 0 }
        }));
        view
    }

    proptest! {
        /// Each message asked about has its body in the list, whatever order bodies came in and however many copies there are.
        #[test]
        fn bodies_and_whose_they_are(
            in_any_order in any::<bool>(),
            mut all in proptest::collection::vec(0..80u64, 0..60),
            asked in proptest::collection::vec(any::<bool>(), 60),
            everything in any::<bool>(),
        ) {
            if !in_any_order {
                all.sort_unstable();
                all.dedup();
            }
            let view = view_of(&all);
            let asked = Bits::of(all.len(), (0..).zip(&asked).filter(|(_, asked)| everything || **asked).map(|(n, _)| n));
            let (listed, whose) = bodies(&view, &asked);
            prop_assert!(listed.is_sorted_by(|a, b| a < b));
            let whose = match whose {
                Whose::All => {
                    prop_assert_eq!(asked.count(), all.len());
                    (0..all.len() as u32).map(|n| (n, n)).collect()
                }
                Whose::Of(whose) => whose,
            };
            prop_assert!(whose.is_sorted());
            prop_assert!(whose.iter().all(|(at, position)| listed[*at as usize] == all[*position as usize]));
            let positions = Bits::of(all.len(), whose.iter().map(|(_, position)| *position));
            prop_assert_eq!((positions, whose.len()), (asked.clone(), asked.count()));
            prop_assert!(listed.iter().all(|body| asked.iter().any(|p| all[p as usize] == *body)));
        }
    }
}
