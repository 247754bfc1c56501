//! Two people who write to each other while the server drops every connection again and again and their tokens live ten seconds: no
//! error is shown, nothing is lost, nothing is sent twice. Against our operator, and against Postfix with Dovecot. Issue 4, ECO.1.2.7.
//!
//! `LPS_LONG=120` is the run of the issue: a drop every 5 seconds for two minutes. Without it, ten seconds with a drop every second.
//!
//! One thing cannot be had from a server that does not recognise a message it has had (ADR 3): when it is cut off between the end of a
//! message and its answer, nobody can know (RFC 1047). The outbox then says so and sends nothing again; the test does what a person
//! would, looks whether the message came, and decides. How often that was is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use imap::client::{Command, Patience, Sasl, open};
use lps::compose::{Draft, Origin, Outgoing, Sender};
use lps::outbox::{Decision, Outbox, Progress, Setback};
use lps::send::SendOptions;
use lps::session::{Event, Known, Listing, Query, Session, Summary};
use lps::thread::{self, Entry};
use lps::{Account, Authentication, Credentials, Endpoint, EntryPoints, Explain, Space, TokenSource};
use mssante::label::Label;
use sandbox::psc::Flaw;

use crate::dovecot::{Dovecot, Introspection};
use crate::people::{built, to};
use crate::postfix::Postfix;
use crate::session::{HER_BOX, MARIE, Minted, endpoint, message, put};
use crate::world::{World, dropper};

const PAUL: &str = "899700000021";
const HIS_BOX: &str = "paul.durand@alpha.formation.mssante.fr";
/// How long their tokens live.
const TOKEN: Duration = Duration::from_secs(10);
/// A folder of ten thousand messages, made by ten copies of ten.
const MANY: (&str, usize) = ("Dix mille", 10_240);
/// What waits for a message that is on its way.
const ARRIVAL: Duration = patience::PATIENCE;

/// The servers of both.
struct Target {
    imap: Endpoint,
    smtp: Endpoint,
    /// Whether a message that comes again is recognised.
    recognises: bool,
}

/// Somebody with software that drops in and out.
#[derive(Clone)]
struct Person {
    space: Arc<Space>,
    /// Through connections that break.
    account: Account,
    tokens: Arc<Minted>,
    outbox: Arc<Outbox>,
    sender: Sender,
    /// How the other one is looked up by a person, over a connection that holds.
    other: Account,
    recognises: bool,
    doubts: Arc<AtomicUsize>,
}

impl Person {
    fn draft(&self) -> Draft {
        Draft::new(self.space.software.nil.clone(), self.sender.clone())
    }

    /// Handed over, however often the connection breaks.
    async fn hand_over(&self, message: &Outgoing) {
        let id = self.outbox.put(message, None, self.space.clock.now()).await.expect("kept");
        loop {
            let tried = self.outbox.attempt(&self.space, &self.account, id, &SendOptions::default()).await;
            match tried.expect("an outbox that can be used") {
                Progress::Sent(outcomes) => {
                    assert!(outcomes.iter().all(lps::send::Outcome::is_accepted), "{outcomes:?}");
                    return;
                }
                // It stays in the outbox, nobody is told.
                Progress::Waiting(Setback::Error(error)) => {
                    assert!(error.is_temporary() || error.may_be_delivered(), "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Progress::Uncertain(error) => {
                    assert!(!self.recognises, "{error}");
                    self.doubts.fetch_add(1, Ordering::Relaxed);
                    let decision = if self.arrived(message).await { Decision::Forget } else { Decision::SendAgain };
                    self.outbox.decide(id, decision, self.space.clock.now()).await.expect("decided");
                    if decision == Decision::Forget {
                        return;
                    }
                }
                other => panic!("an error was shown: {other:?}"),
            }
        }
    }

    /// Whether the other one has it, some seconds later.
    async fn arrived(&self, message: &Outgoing) -> bool {
        let session = Session::open(self.space.clone(), self.other.clone()).await.expect("open");
        let query = Query::message_id(message.message_id().as_str());
        for _ in 0..100 {
            if !session.search("INBOX", &query).await.expect("searched").is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

/// Answers each message that comes, once, until `end` and until as many came as were sent.
async fn answers(paul: Person, mut watch: lps::session::Watch, sent: Arc<AtomicUsize>, end: Arc<AtomicBool>) -> usize {
    let session = Session::open(paul.space.clone(), paul.account.clone()).await.expect("open");
    let mut answered = BTreeSet::new();
    let mut last = Instant::now();
    while !end.load(Ordering::Relaxed) || answered.len() < sent.load(Ordering::Relaxed) {
        assert!(last.elapsed() < ARRIVAL || !end.load(Ordering::Relaxed), "{} of {sent:?} came", answered.len());
        let Ok(event) = tokio::time::timeout(Duration::from_millis(200), watch.next()).await else { continue };
        let Event::Arrived(uids) = event.expect("no error shown") else { continue };
        for uid in uids {
            let octets = session.fetch_bytes("INBOX", uid, 1 << 20).await.expect("read");
            let origin = Origin::of_header(&octets);
            let id = origin.message_id().expect("it has one").to_string();
            assert!(answered.insert(id), "told twice");
            let answer = built(paul.draft().to(to(HER_BOX)).answer(origin).text("Oui.")).await;
            paul.hand_over(&answer).await;
            session.mark("INBOX", &[uid], &["\\Answered"], &[]).await.expect("marked");
        }
        last = Instant::now();
    }
    answered.len()
}

/// Tells of each arrival in her mailbox.
async fn watched(mut watch: lps::session::Watch, told: Arc<std::sync::Mutex<BTreeSet<u32>>>) {
    loop {
        if let Event::Arrived(uids) = watch.next().await.expect("no error shown") {
            for uid in uids {
                assert!(told.lock().expect("nobody panics").insert(uid), "told twice");
            }
        }
    }
}

/// Ten thousand messages in a folder of hers, by a client of its own.
async fn fill(space: &Arc<Space>, world: &World, imap: &Endpoint, session: &Session) {
    session.create(MANY.0, None).await.expect("created");
    for number in 1..=10 {
        put(session, MANY.0, &message(number)).await;
    }
    let connector = space.connector(None).expect("a connector");
    let stream = space.dial(imap).await.expect("reached");
    let mut client = open(stream, &imap.host, &connector, Patience::default()).await.expect("open");
    let token = Minted::of(world, MARIE, Duration::from_secs(60), Flaw::None).token().await.expect("a token");
    client.authenticate(&Sasl::XOAuth2 { user: HER_BOX, token: token.expose() }).await.expect("in");
    client.select(MANY.0, None, &mut |_| {}).await.expect("selected");
    for _ in 0..10 {
        let copy = Command::new("UID COPY").text(" 1:* ").string(&imap::utf7::encode(MANY.0));
        client.run(&copy, &mut |_| {}).await.expect("copied");
    }
}

async fn proof(world: &World, target: Target) {
    let long = std::env::var("LPS_LONG").ok().and_then(|seconds| seconds.parse().ok());
    let (length, every) = match long {
        Some(seconds) => (Duration::from_secs(seconds), Duration::from_secs(5)),
        None => (Duration::from_secs(10), Duration::from_secs(1)),
    };
    let space = world.space();
    let through = async |endpoint: &Endpoint| Endpoint {
        host: endpoint.host.clone(),
        port: dropper(("127.0.0.1".to_owned(), endpoint.port), every).await,
    };
    let (imap, smtp) = (through(&target.imap).await, through(&target.smtp).await);
    let account = |address: &str, tokens: &Arc<Minted>, imap: &Endpoint, smtp: &Endpoint| Account {
        address: address.parse().expect("an address"),
        entry: EntryPoints { imap: imap.clone(), smtp: smtp.clone(), authentication: Authentication::Psc },
        credentials: Credentials::Psc(tokens.clone()),
    };
    let steady = |id, address| account(address, &Minted::of(world, id, TOKEN, Flaw::None), &target.imap, &target.smtp);
    let person = |id, address: &str, name: (&str, &str), other: Account, folder: &str| {
        let tokens = Minted::of(world, id, TOKEN, Flaw::None);
        Person {
            space: space.clone(),
            account: account(address, &tokens, &imap, &smtp),
            tokens,
            outbox: Arc::new(Outbox::open(&Path::new(world.path()).join(folder)).expect("an outbox")),
            sender: Sender {
                address: address.parse().expect("an address"),
                label: Label::personal(Some("Dr"), name.0, name.1, None).expect("a label"),
            },
            other,
            recognises: target.recognises,
            doubts: Arc::default(),
        }
    };
    let marie = person(MARIE, HER_BOX, ("Marie", "Martin"), steady(PAUL, HIS_BOX), "outbox-marie");
    let paul = person(PAUL, HIS_BOX, ("Paul", "Durand"), steady(MARIE, HER_BOX), "outbox-paul");

    let session = Session::open(space.clone(), marie.account.clone()).await.expect("open");
    let large = [message(0), vec![b'x'; 3_000_000]].concat();
    session.create("Sent", None).await.expect("there");
    session.create("Gros", None).await.expect("created");
    let large_uid = put(&session, "Gros", &large).await.expect("UIDPLUS");
    fill(&space, world, &target.imap, &session).await;

    // He answers; her software hears of what comes.
    let (sent, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let his = Session::open(space.clone(), paul.account.clone()).await.expect("open");
    let watch = his.watch("INBOX").await.expect("watched");
    let answering = tokio::spawn(answers(paul.clone(), watch, sent.clone(), end.clone()));
    let told = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let watch = session.watch("INBOX").await.expect("watched");
    let watching = tokio::spawn(watched(watch, told.clone()));

    let began = Instant::now();
    let (mut known, mut seen, mut ids, mut lists) = (Known::default(), BTreeSet::new(), Vec::new(), 0);
    while began.elapsed() < length {
        let number = ids.len() + 1;
        let mail = built(marie.draft().to(to(HIS_BOX)).subject(format!("Avis {number}")).text("Bonjour ?")).await;
        marie.hand_over(&mail).await;
        session.append("Sent", &["\\Seen"], None, mail.size(), &mut mail.reader()).await.expect("a copy");
        ids.push(mail.message_id().to_string());
        sent.store(ids.len(), Ordering::Relaxed);
        seen.extend(session.sync("INBOX", &mut known).await.expect("synchronised").arrived);
        if number % 5 == 1 {
            let listed = session.list(MANY.0, &Listing::all()).await.expect("listed");
            assert_eq!(listed.len(), MANY.1);
            assert!(listed.windows(2).all(|pair| pair[0].uid < pair[1].uid));
            lists += 1;
            assert!(session.fetch_bytes("Gros", large_uid, 1 << 23).await.expect("read") == large);
        }
        if let Some(last) = seen.last() {
            let answer = session.fetch_bytes("INBOX", *last, 1 << 20).await.expect("read");
            assert!(answer.windows(4).any(|w| w == b"Oui."));
            session.mark("INBOX", &[*last], &["\\Seen"], &[]).await.expect("marked");
        }
    }
    let lasted = began.elapsed();
    end.store(true, Ordering::Relaxed);
    assert_eq!(answering.await.expect("no error shown"), ids.len());

    // All that was sent is there once, each with its answer, once.
    let listed = async |session: &Session, folder: &str, count: usize| {
        let begun = Instant::now();
        loop {
            let listed = session.list(folder, &Listing::all()).await.expect("listed");
            if listed.len() >= count || begun.elapsed() > ARRIVAL {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let id = |summary: &Summary| summary.message_id().expect("it has one");
    let each = |listed: &[Summary]| listed.iter().map(id).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let wanted = sorted(ids.clone());
    assert_eq!(sorted(each(&listed(&his, "INBOX", ids.len()).await)), wanted, "what he received");
    let copies = listed(&session, "Sent", ids.len()).await;
    assert_eq!(sorted(each(&copies)), wanted, "her copies");
    let replies = listed(&session, "INBOX", ids.len()).await;
    assert_eq!(sorted(replies.iter().flat_map(Summary::in_reply_to).collect()), wanted, "his answers");
    assert_eq!(each(&replies).iter().collect::<BTreeSet<_>>().len(), ids.len());
    // The conversations: question, answer.
    let entries = copies.iter().map(|s| Entry::new(("Sent", s.uid), s));
    let entries: Vec<_> = entries.chain(replies.iter().map(|s| Entry::new(("INBOX", s.uid), s))).collect();
    let threads = thread::threads(&entries);
    assert_eq!(threads.len(), ids.len());
    for thread in &threads {
        let shape: Vec<_> = thread.nodes.iter().map(|node| (node.keys[0].0, node.depth)).collect();
        assert_eq!(shape, [("Sent", 0), ("INBOX", 1)]);
    }
    // Nothing was missed by the watch nor by the synchronisation.
    seen.extend(session.sync("INBOX", &mut known).await.expect("synchronised").arrived);
    let all: BTreeSet<u32> = replies.iter().map(|s| s.uid).collect();
    assert_eq!(seen, all);
    let begun = Instant::now();
    while *told.lock().expect("nobody panics") != all {
        assert!(begun.elapsed() < ARRIVAL && !watching.is_finished(), "{told:?} of {all:?} told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    watching.abort();
    let given: BTreeMap<_, _> = [("Marie", &marie), ("Paul", &paul)]
        .map(|(name, person)| (name, person.tokens.given.load(Ordering::Relaxed)))
        .into();
    assert!(given.values().all(|tokens| *tokens >= 4), "{given:?} connections: they were not dropped");
    let doubts = marie.doubts.load(Ordering::Relaxed) + paul.doubts.load(Ordering::Relaxed);
    assert!(marie.outbox.entries().is_empty() && paul.outbox.entries().is_empty());
    println!(
        "{lasted:.0?}, all dropped every {every:?}: {} messages and their answers, {lists} lists of {}, {given:?} tokens, {doubts} doubts decided",
        ids.len(),
        MANY.1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_again_and_again_by_our_operator() {
    let world = World::start().await;
    let alpha = &world.sandbox.description.operators[0];
    let smtp = Endpoint { host: alpha.submission.name.clone(), port: alpha.submission.port };
    proof(&world, Target { imap: endpoint(&world, false), smtp, recognises: true }).await;
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_again_and_again_by_postfix_and_dovecot() {
    let world = World::start().await;
    let Some(dovecot) = Dovecot::start(&world, Introspection::Sandbox).await else { return };
    let Some(postfix) = Postfix::start(&world, &dovecot).await else { return };
    let host = endpoint(&world, false).host;
    let imap = Endpoint { host: host.clone(), port: dovecot.port };
    let smtp = Endpoint { host: world.sandbox.description.operators[0].submission.name.clone(), port: postfix.port };
    proof(&world, Target { imap, smtp, recognises: false }).await;
    drop(postfix);
    world.sandbox.stop().await;
}
