//! Sending: to the sandbox's operator, and to played ones that cut at every stage.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lps::compose::{Attachment, Draft, Limits, Outgoing, Recipient, Sender};
use lps::send::{Cause, Notices, SendError, SendOptions, keep_copy, send};
use lps::session::Listing;
use lps::trace::{Trace, Tracer};
use lps::{Account, Explain};
use mssante::label::Label;
use sandbox::psc::Flaw;
use trust::tls::Profile;

use crate::people::{INS, MARIE, application, arrived, built, bytes, draft, lea, marie, to, tokens};
use crate::played::{Auth, Cut, GOOD, Play, losing_the_answer, played};
use crate::world::{ALPHA, World, eventually};

#[derive(Default)]
struct Kept(Mutex<Vec<Trace>>);

impl Tracer for Kept {
    fn record(&self, trace: Trace) {
        self.0.lock().expect("lock").push(trace);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_the_sandbox() {
    let world = World::start().await;
    let kept = Arc::new(Kept::default());
    let space = world.space().with_tracer(kept.clone());
    let options = SendOptions { notices: Some(Notices::all()), ..SendOptions::default() };
    let account = marie(&world, tokens(&world, &[]), None);

    // To a colleague here, one elsewhere, and one who is not there (ECO.2.3.1).
    let unknown = format!("personne@{ALPHA}");
    let message = draft(&space)
        .to(to(&format!("paul.durand@{ALPHA}")))
        .cc(to("sophie.leroy@beta.formation.mssante.fr"))
        .bcc(to(&unknown))
        .subject("Avis demandé");
    let message = built(message).await;
    let sent = send(&space, &account, &message, &options).await.expect("sent");
    assert!(sent.notices && sent.attempts == 1);
    let refused: Vec<_> = sent.refused().map(|o| (o.address.to_string(), o.cause)).collect();
    assert_eq!(refused, [(unknown.clone(), Some(Cause::Unknown))]);

    // The sender's copy, and the operator's notices (ECO.2.3.1).
    let session = lps::session::Session::open(world.space(), account.clone()).await.expect("opened");
    let uid = keep_copy(&session, &message).await.expect("kept").expect("told");
    let kept_copy = session.fetch_bytes("Sent", uid, 1 << 20).await.expect("fetched");
    let mut octets = Vec::new();
    message.write_to(&mut octets).await.expect("written");
    assert!(kept_copy == octets);
    let copies = session.list("Sent", &Listing::all()).await.expect("listed");
    assert!(copies.len() == 1 && copies[0].has("\\Seen"));
    let notices = eventually("two notices", async || {
        let notices = session.list("INBOX", &Listing::all()).await.expect("listed");
        (notices.len() >= 2).then_some(notices)
    })
    .await;
    assert_eq!(notices.len(), 2, "one of the delivery here, one of that elsewhere");
    for notice in &notices {
        let report = session.fetch_bytes("INBOX", notice.uid, 1 << 20).await.expect("fetched");
        let report = String::from_utf8_lossy(&report);
        assert!(report.contains("\r\nAction: delivered\r\n"), "{report}");
        // What it is known by.
        assert!(report.contains(&format!("Original-Envelope-Id: {}", message.message_id().inner())), "{report}");
    }
    session.close().await;

    // ECO.4.1.2: what was asked and answered, no address, no content.
    let traces = kept.0.lock().expect("lock").clone();
    assert_eq!(traces.len(), 1);
    assert_eq!(traces[0].request, format!("MAIL to 3 recipients, {} octets", message.size()));
    assert!(traces[0].done && traces[0].answer.starts_with("1 of 3 refused; 250 "), "{:?}", traces[0]);
    assert_eq!(
        (traces[0].author.as_str(), traces[0].message_id.as_deref()),
        (MARIE, Some(message.message_id().as_str()))
    );
    assert!(!format!("{traces:?}").contains("durand"));

    // Nobody at all.
    let error = |message: Outgoing| {
        let (space, account, options) = (&space, &account, &options);
        async move { send(space, account, &message, options).await.expect_err("refused") }
    };
    let nobody = error(built(draft(&space).to(to(&unknown)).subject("x")).await).await;
    assert_eq!((nobody.code(), nobody.outcomes().len()), ("send.unknown-recipient", 1));
    let outside = error(built(draft(&space).to(to("x@example.com")).subject("x")).await).await;
    assert_eq!(outside.code(), "send.outside-white-list");
    assert!(!outside.is_temporary());
    // Under mssante.fr too, and beside others who are accepted.
    let unlisted = "quelquun@horsliste.formation.mssante.fr";
    let outside = error(built(draft(&space).to(to(unlisted)).subject("x")).await).await;
    assert_eq!((outside.code(), outside.outcomes()[0].reply.code()), ("send.outside-white-list", 550));
    let both = draft(&space).to(to(unlisted)).to(to(&format!("paul.durand@{ALPHA}"))).subject("x");
    let sent = send(&space, &account, &built(both).await, &options).await.expect("sent");
    assert_eq!(sent.refused().map(|o| o.cause).collect::<Vec<_>>(), [Some(Cause::OutsideWhiteList)]);

    // To a patient, who may not answer (ECO.2.2.8, ECO-PATIENT).
    let fin = built(draft(&space).to(lea()).subject("Fin de prise en charge").end_of_exchange()).await;
    send(&space, &account, &fin, &options).await.expect("sent");
    let messages = arrived(&world, fin.message_id().as_str()).await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("\r\nX-MSS-MES: FIN\r\n") && messages[0].contains("\r\nX-MSS-NIL: 3734\r\n"));
    let note = world.path().join(&world.sandbox.description.mes.folder).join(INS);
    let note = std::fs::read_dir(note).expect("read").map(|e| e.expect("an entry").path());
    let note =
        note.filter(|p| p.extension().is_some_and(|e| e == "json")).map(|p| std::fs::read_to_string(p).expect("read"));
    assert!(note.collect::<String>().contains("\"fin\": true"));

    // Too large for the patient, which the operator knows; for the operator, which EHLO says.
    let large = |to: Recipient, size| {
        let limits = Limits { patient: u64::MAX, ..Limits::default() };
        draft(&space).to(to).subject("x").limits(limits).attach(Attachment::new(
            "a.bin",
            "application/x-a",
            bytes(size),
        ))
    };
    let too_large = error(built(large(lea(), 20_000_000)).await).await;
    assert_eq!((too_large.code(), too_large.outcomes()[0].reply.code()), ("send.too-large", 552));
    let too_large = error(built(large(to(&format!("paul.durand@{ALPHA}")), 31_000_000)).await).await;
    assert!(matches!(too_large, SendError::TooLarge { .. }), "{too_large}");
    assert_eq!(too_large.code(), "send.too-large");
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_certificate() {
    // LPS-APP
    let world = World::start().await;
    let kept = Arc::new(Kept::default());
    let space = world.space().with_tracer(kept.clone());
    let account = application(&world, "alpha");
    let from = |account: &Account| {
        let label = Label::entity("Laboratoire Alpha").expect("a label");
        Draft::new(space.software.nil.clone(), Sender { address: account.address.clone(), label }).text("Résultat.")
    };
    let message =
        built(from(&account).to(to("sophie.leroy@beta.formation.mssante.fr")).to(lea()).subject("Fini")).await;
    let sent = send(&space, &account, &message, &SendOptions::default()).await.expect("sent");
    assert_eq!((sent.refused().count(), sent.attempts), (0, 1));
    assert_eq!(arrived(&world, message.message_id().as_str()).await.len(), 1);
    let traces = kept.0.lock().expect("lock").clone();
    assert_eq!(traces[0].author, account.author());
    assert!(!traces[0].author.is_empty() && traces[0].done);

    // Another mailbox than the certificate's, another operator's certificate, a token's door, and one that is revoked.
    let refused = async |account: &Account| {
        let message = built(from(account).to(to(&format!("paul.durand@{ALPHA}"))).subject("x")).await;
        send(&space, account, &message, &SendOptions::default()).await.expect_err("refused")
    };
    let own = &account;
    let not_its = Account { address: format!("marie.martin@{ALPHA}").parse().expect("an address"), ..own.clone() };
    let error = refused(&not_its).await;
    assert_eq!((error.code(), error.is_temporary()), ("send.login-refused", false));
    let foreign = Account { credentials: application(&world, "beta").credentials, ..own.clone() };
    assert_eq!(refused(&foreign).await.code(), "send.login-refused");
    let mut wrong_door = own.clone();
    wrong_door.entry.smtp = marie(&world, tokens(&world, &[]), None).entry.smtp;
    assert_eq!(refused(&wrong_door).await.code(), "send.no-mechanism");
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_asked_anew_once() {
    // ECO.1.2.7
    let world = World::start().await;
    let space = world.space();
    let message = built(draft(&space).to(to(&format!("paul.durand@{ALPHA}"))).subject("x")).await;
    let with = |flaws: &[Flaw]| {
        let source = tokens(&world, flaws);
        (marie(&world, source.clone(), None), source)
    };
    let (account, source) = with(&[Flaw::Expired]);
    send(&space, &account, &message, &SendOptions::default()).await.expect("sent with the second");
    assert_eq!(source.given.load(Ordering::Relaxed), 2);
    let (account, source) = with(&[Flaw::Expired, Flaw::BadSignature]);
    let error = send(&space, &account, &message, &SendOptions::default()).await.expect_err("refused");
    assert_eq!((error.code(), source.given.load(Ordering::Relaxed)), ("send.login-refused", 2));
    assert!(!error.is_temporary() && !error.may_be_delivered());
    // Somebody else's mailbox.
    let mut account = with(&[]).0;
    account.address = format!("paul.durand@{ALPHA}").parse().expect("an address");
    let error = send(&space, &account, &message, &SendOptions::default()).await.expect_err("refused");
    assert_eq!(error.code(), "send.login-refused");
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_lost_is_no_message_twice() {
    let world = World::start().await;
    let space = world.space();
    let real = world.sandbox.description.operators[0].submission.port;
    // One chunk, whose answer is the first thing said after its octets.
    let large = |draft: Draft| draft.attach(Attachment::new("a.bin", "application/x-a", bytes(36_000)));
    let message = built(large(draft(&space).to(lea()).subject("Une fois"))).await;
    let port = losing_the_answer(real, 45_000).await;
    let account = marie(&world, tokens(&world, &[]), Some(port));
    let sent = send(&space, &account, &message, &SendOptions::default()).await.expect("sent");
    assert_eq!(sent.attempts, 2, "the operator recognises what it had");
    // The next one comes behind it in the queue.
    let next = built(draft(&space).to(lea()).subject("Ensuite")).await;
    send(&space, &account, &next, &SendOptions::default()).await.expect("sent");
    arrived(&world, message.message_id().as_str()).await;
    let all = arrived(&world, next.message_id().as_str()).await;
    assert_eq!(all.iter().filter(|m| m.contains(message.message_id().as_str())).count(), 1);
    // One attempt only: the doubt is told.
    let other = built(large(draft(&space).to(lea()).subject("Peut-être"))).await;
    let port = losing_the_answer(real, 45_000).await;
    let account = marie(&world, tokens(&world, &[]), Some(port));
    let options = SendOptions { attempts: 1, ..SendOptions::default() };
    let error = send(&space, &account, &other, &options).await.expect_err("lost");
    assert_eq!(error.code(), "send.uncertain");
    assert!(error.may_be_delivered() && !error.is_temporary());
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_stage() {
    let world = World::start().await;
    let space = world.space();
    // The certificate holds every name of alpha.
    let acceptor = world.acceptor("alpha", Profile::ApiLps);
    let message = draft(&space).to(to("x@y.mssante.fr")).subject("x");
    // More than what waits in buffers.
    let message = built(message.attach(Attachment::new("a", "a/b", bytes(1_000_000)))).await;
    let pause = Duration::from_millis(10);
    let options = SendOptions { notices: Some(Notices::all()), pause, ..SendOptions::default() };
    let try_with = async |plays: Vec<Play>| {
        let server = played(acceptor.clone(), plays).await;
        let account = marie(&world, tokens(&world, &[]), Some(server.port));
        let result = send(&space, &account, &message, &options).await;
        (result, server.whole.load(Ordering::Relaxed), server.connections.load(Ordering::Relaxed))
    };
    let stages = [
        Cut::Connected,
        Cut::Greeting,
        Cut::Hello,
        Cut::StartTls,
        Cut::Inside,
        Cut::Auth,
        Cut::Mail,
        Cut::Rcpt,
        Cut::Data,
        Cut::Body,
    ];
    for cut in stages {
        // Before the end, the message is simply sent again.
        let (result, whole, connections) = try_with(vec![Play { cut, ..GOOD }, GOOD]).await;
        let sent = result.unwrap_or_else(|error| panic!("{cut:?}: {error}"));
        assert_eq!((sent.attempts, whole, connections), (2, 1, 2), "{cut:?}");
    }
    // A server that always closes: three times, then that is told.
    let (result, whole, connections) = try_with(vec![Play { cut: Cut::Mail, ..GOOD }]).await;
    let error = result.expect_err("closed");
    assert_eq!((error.code(), whole, connections), ("send.interrupted", 0, 3));
    assert!(error.is_temporary() && !error.may_be_delivered());
    // After the end: never again, unless the server recognises it.
    let lost = Play { cut: Cut::End, ..GOOD };
    let (result, whole, connections) = try_with(vec![lost, GOOD]).await;
    assert_eq!((result.expect_err("doubt").code(), whole, connections), ("send.uncertain", 1, 1));
    let recognising = |play| Play { once: true, ..play };
    let (result, whole, _) = try_with(vec![recognising(lost), recognising(GOOD)]).await;
    assert_eq!((result.expect("sent").attempts, whole), (2, 2));
    // It does no longer when we come back.
    let (result, whole, connections) = try_with(vec![recognising(lost), GOOD]).await;
    assert_eq!((result.expect_err("doubt").code(), whole, connections), ("send.uncertain", 1, 2));
    // It refuses when we come back: the doubt stays.
    let refusing = recognising(Play { end: "550 5.7.1 no", ..GOOD });
    let (result, ..) = try_with(vec![recognising(lost), refusing]).await;
    assert_eq!(result.expect_err("doubt").code(), "send.uncertain");
    // A clear answer is no doubt.
    for (end, code, temporary) in [
        ("451 4.3.0 later", "send.later", true),
        ("554 5.6.0 no", "send.refused", false),
        ("421 4.3.2 away", "send.answer", true),
    ] {
        let (result, ..) = try_with(vec![Play { end, ..GOOD }]).await;
        let error = result.expect_err("refused");
        assert_eq!((error.code(), error.is_temporary()), (code, temporary), "{end}");
        assert!(!error.may_be_delivered());
    }
    // Both ways to refuse a token; and not now.
    for (auth, code) in
        [(Auth::Challenge, "send.login-refused"), (Auth::Straight, "send.login-refused"), (Auth::Later, "send.answer")]
    {
        let (result, whole, _) = try_with(vec![Play { auth, ..GOOD }]).await;
        let error = result.expect_err("refused");
        assert_eq!((error.code(), error.is_temporary(), whole), (code, auth == Auth::Later, 0), "{auth:?}");
    }
    // Not the operator: nothing is said.
    for certificate in ["negative/revoked", "negative/expired", "beta"] {
        let server = played(world.acceptor(certificate, Profile::ApiLps), vec![GOOD]).await;
        let source = tokens(&world, &[]);
        let account = marie(&world, source.clone(), Some(server.port));
        let error = send(&space, &account, &message, &options).await.expect_err("refused");
        assert!(error.code().starts_with("tls."), "{certificate}: {error}");
        assert_eq!(server.whole.load(Ordering::Relaxed), 0);
    }
    world.sandbox.stop().await;
}
