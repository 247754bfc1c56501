//! The outgoing queue (OPE-QUEUE): nothing lost, nothing twice, tried again at the right moments, given up in the end.

use std::time::Duration;

use smtp::{Enhanced, Reply};

use crate::support::{Labo, Letter, Peer, Space, attempted, drained, eventually, send};

const HOUR: i64 = 3600;

#[tokio::test(flavor = "multi_thread")]
async fn pauses_grow_and_the_message_arrives_once_when_the_server_comes_back() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let letter = Letter::new(&labo, "pauses", &["dest@beta.formation.mssante.fr"]);
    labo.send(&space, &alpha, &letter).await;
    let accepted = space.now();
    let mut last = accepted;
    for (attempts, pause) in [(1, 60), (2, 120), (3, 240), (4, 480)] {
        let entry = attempted(&alpha, attempts).await;
        let recipient = &entry.recipients[0];
        assert_eq!(recipient.attempts, attempts);
        let waits = recipient.next_attempt - last;
        // A quarter of the pause spreads what failed together.
        assert!((pause..pause + pause / 4 + 1).contains(&waits), "attempt {attempts} waits {waits}");
        assert!(recipient.last_error.as_deref().is_some_and(|e| e.contains("cannot connect")), "{recipient:?}");
        last = recipient.next_attempt;
        space.set(last);
    }
    let beta = Peer::start(&space, "beta").await;
    let entry = attempted(&alpha, 4).await;
    assert_eq!(entry.accepted_at, accepted);
    space.set(entry.recipients[0].next_attempt + 1);
    // The fifth attempt may have been made just before the server came back.
    eventually("the message", || async {
        if let Some(entry) = alpha.store.queue().await.expect("the store answers").first() {
            space.set(entry.recipients[0].next_attempt.max(space.now()));
        }
        (!beta.taken().is_empty()).then_some(())
    })
    .await;
    drained(&alpha).await;
    let taken = beta.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].recipients(), ["dest@beta.formation.mssante.fr"]);
    assert_eq!(taken[0].by, space.operator_certificate("alpha").dn().expect("a DN").to_string());
    assert!(String::from_utf8_lossy(&taken[0].octets).ends_with("\r\nLe corps du message.\r\n"));
    assert!(labo.messages(&alpha).await.is_empty(), "no notice of a delay that was short");
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_schedule() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    for number in 0..5 {
        let id = format!("restart-{number}");
        labo.send(&space, &alpha, &Letter::new(&labo, &id, &["dest@beta.formation.mssante.fr"])).await;
    }
    let waiting = |attempts: u32| {
        let store = alpha.store.clone();
        move || {
            let store = store.clone();
            async move {
                let queue = store.queue().await.expect("the store answers");
                let done = queue.len() == 5 && queue.iter().all(|e| e.recipients[0].attempts == attempts);
                done.then_some(queue)
            }
        }
    };
    let first = eventually("first attempts", waiting(1)).await;
    space.set(first.iter().map(|e| e.recipients[0].next_attempt).max().expect("five"));
    let before = eventually("second attempts", waiting(2)).await;
    alpha.stop().await;

    let beta = Peer::start(&space, "beta").await;
    let alpha = space.operator("alpha").await;
    let after = alpha.store.queue().await.expect("the store answers");
    let times = |queue: &[store::QueueEntry]| {
        queue.iter().map(|e| (e.id, e.recipients[0].next_attempt, e.recipients[0].attempts)).collect::<Vec<_>>()
    };
    assert_eq!(times(&after), times(&before));
    // Nothing is due: a start is no reason to insist.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(beta.connections(), 0);
    space.set(before.iter().map(|e| e.recipients[0].next_attempt).max().expect("five"));
    drained(&alpha).await;
    assert_eq!(beta.taken().len(), 5);
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_its_own_result() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    beta.answer("inconnu", Some(Reply::new(550, Enhanced(5, 1, 1), "No such mailbox here")));
    beta.answer("plein", Some(Reply::new(452, Enhanced(4, 2, 2), "The mailbox is full")));
    let to = ["bon@beta.formation.mssante.fr", "inconnu@beta.formation.mssante.fr", "plein@beta.formation.mssante.fr"];
    labo.send(&space, &alpha, &Letter::new(&labo, "each", &to)).await;

    let entry = attempted(&alpha, 1).await;
    assert_eq!(beta.wait(1).await[0].recipients(), [to[0]]);
    let open: Vec<String> = entry.recipients.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(open, [to[2]]);
    let notices = labo.notices(&alpha, 1).await;
    assert_eq!(notices[0].recipients.len(), 1);
    assert_eq!(notices[0].recipients[0].address, to[1]);
    assert_eq!(notices[0].recipients[0].status.to_string(), "5.1.1");
    assert_eq!(notices[0].recipients[0].remote_mta.as_deref(), Some("mx.beta.formation.mssante.fr"));

    beta.answer("plein", None);
    space.set(entry.recipients[0].next_attempt);
    drained(&alpha).await;
    let taken = beta.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[1].recipients(), [to[2]]);
    assert_eq!(taken[0].octets, taken[1].octets);
    assert_eq!(labo.messages(&alpha).await.len(), 1);
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_means_the_very_same_octets_again() {
    // RFC 1047: the other operator recognises them (see `exchange`).
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    beta.lose_answers(1);
    labo.send(&space, &alpha, &Letter::new(&labo, "lost", &["dest@beta.formation.mssante.fr"])).await;
    let entry = attempted(&alpha, 1).await;
    assert_eq!(beta.taken().len(), 1);
    space.set(entry.recipients[0].next_attempt);
    drained(&alpha).await;
    let taken = beta.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].octets, taken[1].octets);
    assert!(labo.messages(&alpha).await.is_empty());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_the_server_closes_costs_no_attempt() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::with(&space, "beta", &space.operator_certificate("beta"), 2).await;
    let mut session = labo.session(&space, &alpha).await;
    for number in 0..12 {
        let letter = Letter::new(&labo, &format!("closed-{number}"), &["dest@beta.formation.mssante.fr"]);
        send(&mut session, &letter).await.expect("accepted");
    }
    // The clock stands still: what failed once would wait for ever.
    assert_eq!(beta.wait(12).await.len(), 12);
    drained(&alpha).await;
    assert!(beta.connections() >= 6, "{}", beta.connections());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dns_says_decides() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let name = "beta.formation.mssante.fr";
    // The DNS has trouble: later.
    space.dns().break_down(name);
    labo.send(&space, &alpha, &Letter::new(&labo, "dns", &["dest@beta.formation.mssante.fr"])).await;
    let entry = attempted(&alpha, 1).await;
    assert!(entry.recipients[0].last_error.as_deref().is_some_and(|e| e.contains("does not answer")), "{entry:?}");
    // It says for sure that there is no server: never.
    space.dns().forget(name);
    space.set(entry.recipients[0].next_attempt);
    drained(&alpha).await;
    let notice = &labo.notices(&alpha, 1).await[0];
    assert_eq!(notice.recipients[0].status.to_string(), "5.1.2");
    assert_eq!(notice.recipients[0].remote_mta, None);
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_domains_are_independent() {
    let space = Space::new().await;
    space.publish(&["alpha", "beta", "gamma"]);
    space.dns().point("gamma.formation.mssante.fr", std::net::IpAddr::from([127, 0, 0, 1]));
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    let to = ["dest@beta.formation.mssante.fr", "dest@gamma.formation.mssante.fr"];
    labo.send(&space, &alpha, &Letter::new(&labo, "two", &to)).await;
    assert_eq!(beta.wait(1).await[0].recipients(), [to[0]]);
    let entry = eventually("one recipient left", || async {
        let queue = alpha.store.queue().await.expect("the store answers");
        queue.into_iter().find(|e| e.recipients.len() == 1 && e.recipients[0].attempts == 1)
    })
    .await;
    assert_eq!(entry.recipients[0].address.to_string(), to[1]);
    // Given up after five days, the other recipient not spoken of.
    space.set(entry.expires_at + HOUR);
    drained(&alpha).await;
    let notice = &labo.notices(&alpha, 1).await[0];
    assert_eq!(notice.recipients.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), [to[1]]);
    assert_eq!(beta.taken().len(), 1);
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_over_few_connections_each_once() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    let mut sessions = Vec::new();
    for part in 0..4 {
        let mut session = labo.session(&space, &alpha).await;
        let letters: Vec<Letter> = (0..40)
            .map(|n| Letter::new(&labo, &format!("many-{part}-{n}"), &["dest@beta.formation.mssante.fr"]))
            .collect();
        sessions.push(tokio::spawn(async move {
            for letter in &letters {
                send(&mut session, letter).await.expect("accepted");
            }
            letters.into_iter().map(|letter| letter.id).collect::<Vec<_>>()
        }));
    }
    let mut sent = Vec::new();
    for session in sessions {
        sent.extend(session.await.expect("no panic"));
    }
    drained(&alpha).await;
    let taken = beta.taken();
    let id = |octets: &[u8]| mail::header::find(octets, "Message-ID").expect("there");
    let mut came: Vec<String> = taken.iter().map(|taken| id(&taken.octets)).collect();
    came.sort_unstable();
    sent.sort_unstable();
    assert_eq!(came, sent);
    assert!(beta.connections() <= 8, "connections are kept: {}", beta.connections());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_no_message_so_large() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    let mut letter = Letter::new(&labo, "large", &["dest@beta.formation.mssante.fr"]);
    // The peer announces 36 MiB, alpha takes 40.
    let line = [b'x'; 76];
    while letter.text.len() < 37 * 1024 * 1024 {
        letter.text.extend_from_slice(&line);
        letter.text.extend_from_slice(b"\r\n");
    }
    letter.from.size = Some(letter.text.len() as u64);
    labo.send(&space, &alpha, &letter).await;
    drained(&alpha).await;
    let notice = &labo.notices(&alpha, 1).await[0];
    assert_eq!(notice.recipients[0].status.to_string(), "5.3.4");
    assert_eq!(beta.transactions(), 0);
    alpha.stop().await;
}
