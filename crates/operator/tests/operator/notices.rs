//! What senders are told (RFC 3461, RFC 3464), read back by the reader of reports.

use mail::date::Moment;
use mail::report::{Action, ReadReport};
use smtp::{Enhanced, Notify, Orcpt, Reply, Ret, Xtext};

use crate::support::{Labo, Letter, Peer, Space, attempted, drained, eventually};

const DEST: &str = "dest@beta.formation.mssante.fr";
const HOUR: i64 = 3600;

#[tokio::test(flavor = "multi_thread")]
async fn told_once_of_the_delay_then_of_the_failure() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let accepted = space.now();
    let mut letter = Letter::new(&labo, "late", &[DEST]);
    letter.from.envid = Xtext::encode("dossier+12=a");
    letter.from.ret = Some(Ret::Full);
    letter.to[0].orcpt = Some(Orcpt::rfc822(&"Premier+adresse@beta.formation.mssante.fr".parse().expect("an address")));
    labo.send(&space, &alpha, &letter).await;
    attempted(&alpha, 1).await;
    // Before four hours: nothing.
    space.set(accepted + 4 * HOUR - 1);
    attempted(&alpha, 2).await;
    assert!(labo.messages(&alpha).await.is_empty());
    // At four hours: the delay, once.
    let entry = attempted(&alpha, 2).await;
    space.set(entry.recipients[0].next_attempt);
    attempted(&alpha, 3).await;
    let delayed = labo.wait(&alpha, 1).await.remove(0);
    let notice = ReadReport::parse(&delayed).expect("a notice");
    assert_eq!(notice.reporting_mta.as_deref(), Some("mx.alpha.formation.mssante.fr"));
    assert_eq!(notice.envelope_id.as_deref(), Some("dossier+12=a"));
    assert_eq!(notice.message_id.as_deref(), Some(letter.id.as_str()));
    assert_eq!(notice.arrival, Some(Moment::utc(accepted)));
    let recipient = &notice.recipients[0];
    assert_eq!((recipient.action, recipient.status.to_string().as_str()), (Action::Delayed, "4.4.1"));
    assert_eq!(recipient.address, DEST);
    assert_eq!(recipient.will_retry_until, Some(Moment::utc(accepted + 120 * HOUR)));
    let original = recipient.original.as_ref().expect("ORCPT");
    assert_eq!(
        (original.kind.as_str(), original.address.as_str()),
        ("rfc822", "Premier+adresse@beta.formation.mssante.fr")
    );
    let text = String::from_utf8_lossy(&delayed);
    assert!(text.starts_with("Return-Path: <>\r\n"), "{text}");
    assert!(text.contains("Auto-Submitted: auto-replied\r\n"));
    assert!(!text.contains("Le corps du message"), "RET=FULL is for failures only");

    for attempts in 4..7 {
        let entry = attempted(&alpha, attempts - 1).await;
        space.set(entry.recipients[0].next_attempt);
        attempted(&alpha, attempts).await;
    }
    assert_eq!(labo.messages(&alpha).await.len(), 1, "told of the delay once");

    // The last attempt is at the expiry and not an hour later.
    space.set(entry.expires_at - 60);
    let entry = attempted(&alpha, 7).await;
    assert_eq!(entry.recipients[0].next_attempt, entry.expires_at);
    space.set(entry.expires_at);
    drained(&alpha).await;
    let failed = labo.wait(&alpha, 2).await.remove(1);
    let notice = ReadReport::parse(&failed).expect("a notice");
    let recipient = &notice.recipients[0];
    assert_eq!((recipient.action, recipient.status.to_string().as_str()), (Action::Failed, "5.4.7"));
    assert_eq!(recipient.will_retry_until, None);
    assert!(String::from_utf8_lossy(&failed).contains("Le corps du message"), "RET=FULL");
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_or_header_as_asked() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    beta.answer("dest", Some(Reply::new(550, Enhanced(5, 7, 1), "Not you\u{e9}")));
    for (number, (ret, whole)) in
        [(None, false), (Some(Ret::Headers), false), (Some(Ret::Full), true)].into_iter().enumerate()
    {
        let mut letter = Letter::new(&labo, &format!("ret-{number}"), &[DEST]);
        letter.from.ret = ret;
        labo.send(&space, &alpha, &letter).await;
        drained(&alpha).await;
        let octets = labo.wait(&alpha, number + 1).await.remove(number);
        let notice = ReadReport::parse(&octets).expect("a notice");
        assert_eq!(notice.message_id.as_deref(), Some(letter.id.as_str()));
        assert_eq!(notice.recipients[0].status.to_string(), "5.7.1");
        assert!(notice.recipients[0].diagnostic.as_deref().is_some_and(|d| d.starts_with("550 5.7.1 Not you")));
        let text = String::from_utf8_lossy(&octets);
        assert_eq!(text.contains("Le corps du message"), whole, "{ret:?}");
        assert_eq!(text.contains("message/rfc822"), whole, "{ret:?}");
    }
    assert!(beta.taken().is_empty());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_is_never() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    beta.answer("dest", Some(Reply::new(550, Enhanced(5, 1, 1), "No such mailbox here")));
    labo.send(&space, &alpha, &Letter::new(&labo, "never", &[DEST]).notify(Notify::Never)).await;
    drained(&alpha).await;
    let success = Notify::When { success: true, failure: false, delay: false };
    labo.send(&space, &alpha, &Letter::new(&labo, "success-only", &[DEST]).notify(success)).await;
    drained(&alpha).await;
    // One that is told, behind them.
    labo.send(&space, &alpha, &Letter::new(&labo, "told", &[DEST])).await;
    let notices = labo.notices(&alpha, 1).await;
    drained(&alpha).await;
    assert_eq!(notices[0].message_id.as_deref(), Some("<told@lps.test>"));
    assert_eq!(labo.messages(&alpha).await.len(), 1);
    // And nobody is told of a delay who did not ask for it.
    drop(beta);
    let failure = Notify::When { success: false, failure: true, delay: false };
    labo.send(&space, &alpha, &Letter::new(&labo, "no-delay", &[DEST]).notify(failure)).await;
    attempted(&alpha, 1).await;
    space.set(space.now() + 5 * HOUR);
    attempted(&alpha, 2).await;
    assert_eq!(labo.messages(&alpha).await.len(), 1);
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_goes_on_to_a_server_that_reports() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    let both = Notify::When { success: true, failure: true, delay: false };
    let mut letter = Letter::new(&labo, "asked", &[DEST]).notify(both);
    letter.from.envid = Xtext::encode("dossier 7");
    letter.from.ret = Some(Ret::Headers);
    letter.to[0].orcpt = Some(Orcpt::rfc822(&DEST.parse().expect("an address")));
    labo.send(&space, &alpha, &letter).await;
    drained(&alpha).await;
    let taken = beta.taken().remove(0);
    assert_eq!(taken.from.envid, letter.from.envid);
    assert_eq!(taken.from.ret, Some(Ret::Headers));
    assert_eq!(taken.to[0].notify, Some(both));
    assert_eq!(taken.to[0].orcpt, letter.to[0].orcpt);
    assert!(labo.messages(&alpha).await.is_empty(), "the other server took the duty over");
    // Nothing is made up where nothing was asked.
    labo.send(&space, &alpha, &Letter::new(&labo, "plain", &[DEST])).await;
    let plain = beta.wait(2).await.remove(1);
    assert_eq!((plain.to[0].notify, &plain.from.envid, plain.from.ret), (None, &None, None));
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_told_by_the_operator_that_delivers() {
    // RFC 3461 §5.2.2: EHLO of the operator interface announces DSN.
    let space = Space::new().await;
    let (alpha, beta) = (space.operator("alpha").await, space.operator("beta").await);
    let (here, there) = (Labo::open(&space, &alpha, "alpha").await, Labo::open(&space, &beta, "beta").await);
    let success = Notify::When { success: true, failure: true, delay: false };
    let mut letter = Letter::new(&here, "success", &[&there.address.to_string()]).notify(success);
    letter.from.envid = Xtext::encode("env 1");
    here.send(&space, &alpha, &letter).await;
    there.wait(&beta, 1).await;
    let octets = here.wait(&alpha, 1).await.remove(0);
    let notice = ReadReport::parse(&octets).expect("a notice");
    assert_eq!(notice.reporting_mta.as_deref(), Some("mx.beta.formation.mssante.fr"));
    assert_eq!(notice.envelope_id.as_deref(), Some("env 1"));
    assert_eq!(notice.recipients[0].action, Action::Delivered);
    assert_eq!(notice.recipients[0].status.to_string(), "2.1.5");
    let from = mail::header::find(&octets, "From").expect("From");
    assert!(from.contains("<postmaster@beta.formation.mssante.fr>"), "{from}");
    drained(&beta).await;

    // To oneself: by the operator itself.
    let own = Letter::new(&here, "own", &[&here.address.to_string()]).notify(success);
    here.send(&space, &alpha, &own).await;
    let all = here.wait(&alpha, 3).await;
    let notices: Vec<_> = all.iter().filter_map(|octets| ReadReport::parse(octets)).collect();
    assert_eq!(notices.len(), 2);
    assert_eq!(notices[1].reporting_mta.as_deref(), Some("mx.alpha.formation.mssante.fr"));
    alpha.stop().await;
    beta.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_notice_about_a_notice() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let beta = Peer::start(&space, "beta").await;
    beta.answer("dest", Some(Reply::new(550, Enhanced(5, 1, 1), "No such mailbox here")));
    let mut letter = Letter::new(&labo, "null", &[DEST]);
    letter.from.path = smtp::ReversePath::Null;
    labo.send(&space, &alpha, &letter).await;
    drained(&alpha).await;
    assert_eq!(beta.transactions(), 1);
    assert!(labo.messages(&alpha).await.is_empty());
    alpha.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_room_does_not_hold_the_queue_up() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let quota = store::Quota { octets: Some(1), messages: None };
    alpha.store.set_quota(labo.id, quota).await.expect("the store answers");
    let beta = Peer::start(&space, "beta").await;
    beta.answer("dest", Some(Reply::new(550, Enhanced(5, 1, 1), "No such mailbox here")));
    labo.send(&space, &alpha, &Letter::new(&labo, "full", &[DEST])).await;
    drained(&alpha).await;
    assert!(labo.messages(&alpha).await.is_empty());
    // The trace tells what the notice could not.
    let traces = space.folder_of("alpha").join("data/traces");
    eventually("the trace", || async {
        let files = std::fs::read_dir(&traces).expect("a folder").flatten();
        let text: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        let relayed =
            text.lines().any(|line| line.contains("\"relay\"") && line.contains("5.1.1") && line.contains(DEST));
        relayed.then_some(())
    })
    .await;
    alpha.stop().await;
}

/// A notice of success is there, and once for the same recipients, however often its message comes: also when only the notice was lost.
#[tokio::test(flavor = "multi_thread")]
async fn success_is_told_once() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let labo = Labo::open(&space, &alpha, "alpha").await;
    let (one, two) =
        (Labo::named(&space, &alpha, "alpha", "un").await, Labo::named(&space, &alpha, "alpha", "deux").await);
    let success = Notify::When { success: true, failure: false, delay: false };
    let letter = |to: &[&str]| Letter::new(&labo, "told", to).notify(success);
    let (first, second) = (one.address.to_string(), two.address.to_string());
    let told = async |count| {
        let mut told = Vec::new();
        for notice in labo.notices(&alpha, count).await {
            told.push(notice.recipients.iter().map(|r| r.address.clone()).collect::<Vec<_>>());
        }
        told
    };
    for _ in 0..2 {
        labo.send(&space, &alpha, &letter(&[&first])).await;
        assert_eq!(told(1).await, [[first.clone()]]);
    }
    labo.send(&space, &alpha, &letter(&[&first, &second])).await;
    assert_eq!(told(2).await, [[first.clone()], [second.clone()]]);
    assert_eq!((one.messages(&alpha).await.len(), two.messages(&alpha).await.len()), (1, 1));
    // The mail was delivered and the server killed before the notice: to the store that is as if none had been asked for.
    labo.send(&space, &alpha, &Letter::new(&labo, "lost", &[&first])).await;
    assert_eq!(told(2).await.len(), 2);
    for _ in 0..2 {
        labo.send(&space, &alpha, &Letter::new(&labo, "lost", &[&first]).notify(success)).await;
        assert_eq!(told(3).await[2], std::slice::from_ref(&first));
    }
    alpha.stop().await;
}
