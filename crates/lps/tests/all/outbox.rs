//! The outbox: sent once, whatever becomes of the process, the connection or the answer.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use lps::compose::{Attachment, Outgoing};
use lps::outbox::{Decision, Outbox, Progress, Setback, State};
use lps::send::{Notices, SendOptions, send};
use lps::{Account, Explain, Space};
use trust::tls::Profile;

use crate::people::{arrived, built, bytes, draft, lea, marie, to, tokens};
use crate::played::{Auth, Cut, GOOD, Play, losing_the_answer, played};
use crate::world::{ALPHA, World};

fn options() -> SendOptions {
    SendOptions::default()
}

fn open(world: &World) -> Outbox {
    Outbox::open(&world.path().join("outbox")).expect("opened")
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("read").count()
}

async fn put(outbox: &Outbox, message: &Outgoing) -> lps::outbox::EntryId {
    outbox.put(message, Some(Notices::all()), SystemTime::now()).await.expect("put")
}

/// How many of the patient's messages are this one, once the next one is there as well.
async fn copies(world: &World, space: &Space, message: &Outgoing) -> usize {
    arrived(world, message.message_id().as_str()).await;
    let next = built(draft(space).to(lea()).subject("Ensuite")).await;
    send(space, &marie(world, tokens(world, &[]), None), &next, &options()).await.expect("sent");
    let all = arrived(world, next.message_id().as_str()).await;
    all.iter().filter(|m| m.contains(&format!("Message-ID: {}", message.message_id()))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_is_sent_once() {
    let world = World::start().await;
    let space = world.space();
    let folder = world.path().join("outbox");
    let account = marie(&world, tokens(&world, &[]), None);
    let message = built(draft(&space).to(lea()).subject("Une fois")).await;

    // Put, and the process is gone.
    let outbox = open(&world);
    assert!(Outbox::open(&folder).is_err_and(|error| error.code() == "outbox.in-use"));
    put(&outbox, &message).await;
    let again = outbox.put(&message, None, SystemTime::now()).await;
    assert_eq!(again.expect_err("refused").code(), "outbox.already-there");
    drop(outbox);
    // What a death in the middle of putting leaves.
    std::fs::write(folder.join("7.eml"), "half").expect("written");
    std::fs::write(folder.join("8.part"), "half").expect("written");

    let outbox = open(&world);
    assert_eq!(files(&folder), 3, "lock, octets, description");
    let entries = outbox.due(SystemTime::now());
    assert_eq!((entries.len(), entries[0].size, entries[0].open), (1, message.size(), 1));
    let mine = account.address.clone();
    let find = |sender: &mssante::Address| (*sender == mine).then(|| account.clone());
    let done = outbox.run(&space, find, &options()).await;
    assert!(matches!(done[..], [(_, Ok(Progress::Sent(_)))]), "{done:?}");
    assert_eq!((outbox.entries().len(), files(&folder)), (0, 1));
    assert_eq!(copies(&world, &space, &message).await, 1);
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_the_end_and_its_answer() {
    let world = World::start().await;
    let space = world.space();
    let real = world.sandbox.description.operators[0].submission.port;
    let message = draft(&space).to(lea()).subject("Une fois");
    let message = built(message.attach(Attachment::new("a", "a/b", bytes(36_000)))).await;
    let source = tokens(&world, &[]);

    // The operator has it, its answer is lost, the process is killed.
    let outbox = open(&world);
    let id = put(&outbox, &message).await;
    let losing = marie(&world, source.clone(), Some(losing_the_answer(real, 45_000).await));
    let progress = outbox.attempt(&space, &losing, id, &options()).await.expect("tried");
    assert!(matches!(&progress, Progress::Waiting(Setback::Error(e)) if e.code() == "send.uncertain"), "{progress:?}");
    drop(outbox);
    let outbox = open(&world);
    let entry = &outbox.entries()[0];
    assert_eq!((entry.state, entry.attempts, entry.last.as_deref()), (State::Waiting, 1, Some("send.uncertain")));
    assert!(outbox.due(SystemTime::now()).is_empty(), "not at once");

    // Meanwhile a server that does not know what it had.
    let acceptor = world.acceptor("alpha", Profile::ApiLps);
    let server = played(acceptor.clone(), vec![GOOD]).await;
    let forgetful = marie(&world, source.clone(), Some(server.port));
    let progress = outbox.attempt(&space, &forgetful, id, &options()).await.expect("tried");
    assert!(matches!(&progress, Progress::Uncertain(e) if e.code() == "send.not-recognised"), "{progress:?}");
    assert_eq!(server.whole.load(Ordering::Relaxed), 0);
    let stopped = outbox.attempt(&space, &forgetful, id, &options()).await.expect_err("stopped");
    assert_eq!(stopped.code(), "outbox.stopped");
    // Somebody decides; the operator recognises it all the same.
    outbox.decide(id, Decision::SendAgain, SystemTime::now()).await.expect("decided");
    let account = marie(&world, source.clone(), None);
    let progress = outbox.attempt(&space, &account, id, &options()).await.expect("tried");
    assert!(matches!(progress, Progress::Sent(_)), "{progress:?}");
    assert_eq!(copies(&world, &space, &message).await, 1);

    // Killed while it waits for the answer: what is on disk then is a doubt.
    let other = built(draft(&space).to(to(&format!("paul.durand@{ALPHA}"))).subject("x")).await;
    let id = put(&outbox, &other).await;
    let server = played(acceptor, vec![Play { end: "", ..GOOD }, GOOD]).await;
    let silent = marie(&world, source, Some(server.port));
    let options = options();
    {
        let attempt = outbox.attempt(&space, &silent, id, &options);
        let heard = async {
            while server.whole.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            done = attempt => panic!("{done:?}"),
            () = heard => {}
        }
    }
    // Given up by the program itself, without a restart: it is known too.
    let progress = outbox.attempt(&space, &silent, id, &options).await.expect("tried");
    assert!(matches!(&progress, Progress::Uncertain(e) if e.code() == "send.not-recognised"), "{progress:?}");
    assert_eq!(server.whole.load(Ordering::Relaxed), 1);
    outbox.decide(id, Decision::Forget, SystemTime::now()).await.expect("decided");
    assert!(outbox.entries().is_empty());
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_told_to_wait_are_tried_again() {
    let world = World::start().await;
    let space = world.space();
    let acceptor = world.acceptor("alpha", Profile::ApiLps);
    let outbox = open(&world);
    let account = |port| -> Account { marie(&world, tokens(&world, &[]), Some(port)) };
    let progress = async |id, plays: Vec<Play>| {
        let server = played(acceptor.clone(), plays).await;
        let progress = outbox.attempt(&space, &account(server.port), id, &options()).await.expect("tried");
        (progress, server.whole.load(Ordering::Relaxed), server.connections.load(Ordering::Relaxed))
    };
    let message = async || built(draft(&space).to(to("x@y.mssante.fr")).subject("x")).await;

    // Cut before the end, refused for now: it waits, without doubt.
    let id = put(&outbox, &message().await).await;
    for play in [
        Play { cut: Cut::Data, ..GOOD },
        Play { auth: Auth::Later, ..GOOD },
        Play { end: "451 4.3.0 later", ..GOOD },
        Play { end: "421 4.3.2 away", ..GOOD },
    ] {
        let (progress, _, connections) = progress(id, vec![play]).await;
        assert!(matches!(progress, Progress::Waiting(_)), "{play:?}: {progress:?}");
        assert_eq!(connections, 1, "the outbox tries later, not at once");
        assert!(!progress_doubts(&outbox));
    }
    let (sent, whole, _) = progress(id, vec![GOOD]).await;
    assert!(matches!(sent, Progress::Sent(_)), "{sent:?}");
    assert_eq!(whole, 1);

    // Refused for good: kept to be seen.
    let id = put(&outbox, &message().await).await;
    let (refused, ..) = progress(id, vec![Play { end: "550 5.1.1 who", ..GOOD }]).await;
    assert!(matches!(refused, Progress::Failed(Setback::Partly(_))), "{refused:?}");
    let entry = &outbox.entries()[0];
    assert_eq!((entry.state, entry.open, entry.refused.len()), (State::Failed, 0, 1));
    assert_eq!(entry.last.as_deref(), Some("unknown"));

    // The operator: one here, one unknown. Who accepted is not written to again.
    let paul = to(&format!("paul.durand@{ALPHA}"));
    let both = built(draft(&space).to(paul).to(to(&format!("personne@{ALPHA}"))).subject("x")).await;
    let id = put(&outbox, &both).await;
    let progress =
        outbox.attempt(&space, &marie(&world, tokens(&world, &[]), None), id, &options()).await.expect("tried");
    assert!(matches!(&progress, Progress::Failed(Setback::Partly(o)) if o.len() == 2), "{progress:?}");
    outbox.decide(id, Decision::SendAgain, SystemTime::now()).await.expect("decided");
    let entry = outbox.entries().into_iter().find(|entry| entry.id == id).expect("there");
    assert_eq!((entry.state, entry.open), (State::Waiting, 1));
    world.sandbox.stop().await;
}

/// Whether an entry says that its message may have been taken.
fn progress_doubts(outbox: &Outbox) -> bool {
    outbox.entries().iter().any(|entry| entry.state == State::Uncertain)
}
