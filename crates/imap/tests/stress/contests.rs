//! Contests in the stress test: every client sends a command on the same name at the same moment. Exactly one of them has it, each
//! of the others is told why not, and LIST and STATUS show what that one did and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Connect;
use super::client::Client;
use super::ledger::{STATUS, Status};
use super::names::{Change, Outcome};

/// All clients send what `change` gives for each, at once. What became of each, by its number.
async fn together<C: Connect>(clients: &mut Vec<Client<C>>, change: impl Fn(usize) -> Change) -> Vec<Outcome> {
    let barrier = Arc::new(Barrier::new(clients.len()));
    let mut running = JoinSet::new();
    for mut client in clients.drain(..) {
        let (barrier, command) = (barrier.clone(), change(client.number).command());
        running.spawn(async move {
            barrier.wait().await;
            let lines = client.transact(&command).await;
            let outcome = client.outcome(&lines);
            (client, outcome)
        });
    }
    let mut done = super::joined(&mut running).await;
    done.sort_by_key(|(client, _)| client.number);
    let (there, outcomes) = done.into_iter().unzip();
    *clients = there;
    outcomes
}

/// The one who did it. Each of the others was told what `otherwise` says of it, knowing the winner.
fn winner<C: Connect>(
    clients: &[Client<C>],
    outcomes: &[Outcome],
    otherwise: impl Fn(usize, usize) -> Outcome,
) -> usize {
    let winners: Vec<usize> = (0..outcomes.len()).filter(|n| outcomes[*n] == Outcome::Done).collect();
    let [winner] = winners[..] else {
        clients[0].fail(&format!("{winners:?} were told that they did it: {outcomes:?}"));
    };
    let wrong = (0..outcomes.len()).find(|n| *n != winner && outcomes[*n] != otherwise(winner, *n));
    if let Some(wrong) = wrong {
        clients[wrong].fail(&format!("{winner} did it: {outcomes:?}"));
    }
    winner
}

/// What any client sees of the contests' folders must be these.
async fn there<C: Connect>(clients: &mut [Client<C>], who: usize, wanted: &[String]) {
    let client = &mut clients[who];
    let seen: BTreeSet<String> = client.list().await.into_iter().filter(|name| name.starts_with('C')).collect();
    if seen != wanted.iter().cloned().collect() {
        client.fail(&format!("{seen:?} are there, and {wanted:?} should be"));
    }
    client.ledger(|l| l.foreseen += 1);
}

async fn status<C: Connect>(client: &mut Client<C>, folder: &str) -> Status {
    let lines = client.transact(&format!("STATUS {folder} {STATUS}")).await;
    Status::told(&lines).unwrap_or_else(|| client.fail("STATUS without its answer"))
}

/// All contests, one after the other. Leaves nothing behind.
pub async fn hold<C: Connect>(clients: &mut Vec<Client<C>>) {
    let (count, last) = (clients.len(), clients.len() - 1);
    let name = |name: &str| format!("C-{name}");
    let own = |n: usize| format!("C-own-{n}");
    let already = |_, _| Outcome::AlreadyExists;
    let gone = |_, _| Outcome::NonExistent;

    let outcomes = together(clients, |_| Change::Create(name("made"))).await;
    winner(clients, &outcomes, already);
    there(clients, last, &[name("made")]).await;
    clients[0].transact_with("APPEND C-made", Some("Subject: it stays\r\n\r\n\r\n")).await;
    let before = status(&mut clients[0], "C-made").await;

    // To the same name, then each to another. The folder is the same one with its message.
    let outcomes = together(clients, |_| Change::Rename(name("made"), name("renamed"))).await;
    winner(clients, &outcomes, gone);
    there(clients, 0, &[name("renamed")]).await;
    let outcomes = together(clients, |n| Change::Rename(name("renamed"), own(n))).await;
    let by = winner(clients, &outcomes, gone);
    there(clients, last, &[own(by)]).await;
    let after = status(&mut clients[last], &own(by)).await;
    if (before.messages, before.validity, before.uid_next) != (1, after.validity, after.uid_next) || after.messages != 1
    {
        clients[last].fail(&format!("{before:?} before it was renamed, {after:?} afterwards"));
    }

    // Each its own, to the same name.
    let outcomes = together(clients, |n| Change::Create(own(n))).await;
    let wrong = (0..count).find(|n| (outcomes[*n] == Outcome::Done) != (*n != by));
    if let Some(wrong) = wrong {
        clients[wrong].fail(&format!("each makes its own, and {by} is there: {outcomes:?}"));
    }
    let outcomes = together(clients, |n| Change::Rename(own(n), name("one"))).await;
    let by = winner(clients, &outcomes, already);
    let mut left: Vec<String> = (0..count).filter(|n| *n != by).map(own).collect();
    left.push(name("one"));
    there(clients, 0, &left).await;

    // Half of them make what the others rename to.
    let outcomes = together(clients, |n| match n % 2 {
        0 => Change::Create(name("both")),
        _ => Change::Rename(name("one"), name("both")),
    })
    .await;
    let by = winner(clients, &outcomes, |winner, n| match (winner % 2, n % 2) {
        (1, 1) => Outcome::NonExistent,
        _ => Outcome::AlreadyExists,
    });
    if by % 2 == 1 {
        left.retain(|n| *n != name("one"));
    }
    left.push(name("both"));
    there(clients, last, &left).await;

    // All remove what one of them renames.
    let outcomes = together(clients, |n| match n {
        0 => Change::Rename(name("both"), name("kept")),
        _ => Change::Delete(name("both")),
    })
    .await;
    left.retain(|n| *n != name("both"));
    if winner(clients, &outcomes, gone) == 0 {
        left.push(name("kept"));
    }
    there(clients, 0, &left).await;
    for name in left {
        let outcomes = together(clients, |_| Change::Delete(name.clone())).await;
        winner(clients, &outcomes, gone);
    }
    there(clients, last, &[]).await;
}
