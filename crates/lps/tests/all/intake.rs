//! A whole exchange between two operators: Dr Marie Martin sends documents to the laboratory of beta, whose platform files them,
//! answers and cleans; she reads what became of them. ECO-RECEIPT, ECO-CLEAN, ECO-THREAD.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lps::clean::{self, Decision, Rule, Why};
use lps::compose::Sender;
use lps::documents::{DocumentSet, Given};
use lps::intake::{Arrival, Filer, INTEGRATED, Intake, OutboxPost, Settings, Verdict};
use lps::journal::Journal;
use lps::outbox::Outbox;
use lps::read::{Belief, Form, Integration, Kind, Limits, Message};
use lps::receipt::{MDN_SENT, Respondent};
use lps::send::{SendOptions, send};
use lps::session::{Listing, Session, Summary};
use lps::thread::{self, Entry};
use lps::{Endpoint, Explain, Space};
use mssante::label::Label;
use mssante::receipt::{Code, IntegrationError};
use patience::PATIENCE;
use time::OffsetDateTime;

use crate::people::{application, built, draft, marie, preparation, to, tokens};
use crate::world::{World, dropper, eventually};

const LABO: &str = "labo@beta.formation.mssante.fr";
const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n3-lettre-liaison.xml");

/// Files everything but letters: their patient is not known here.
#[derive(Default)]
struct Platform {
    filed: Vec<Vec<u8>>,
}

#[async_trait]
impl Filer for Platform {
    async fn file(&mut self, arrival: &Arrival<'_>) -> Verdict {
        assert!(!arrival.needs_a_person(), "{:?}", arrival.message.warnings);
        let documents: Vec<_> = arrival.message.documents().collect();
        if documents.iter().any(|d| d.header.as_ref().is_none_or(|header| header.code.code == "11490-0")) {
            return Verdict::Refused(vec![IntegrationError::of(Code::UNKNOWN_PATIENT)]);
        }
        assert!(documents.iter().all(|d| d.copy.is_some()), "the PDF copy lies beside");
        self.filed.extend(documents.iter().map(|d| d.octets().to_vec()));
        Verdict::Filed
    }
}

/// The folder once it holds that many messages.
async fn once(session: &Session, folder: &str, count: usize) -> Vec<Summary> {
    eventually(&format!("{count} messages"), async || {
        let listed = session.list(folder, &Listing::all()).await.expect("listed");
        (listed.len() >= count).then_some(listed)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_go_out_and_what_became_of_them_comes_back() {
    let world = World::start().await;
    let space: Arc<Space> = world.space();
    let account = marie(&world, tokens(&world, &[]), None);
    let how = preparation(&space);
    let mut sent = Vec::new();
    for document in [N1, N3] {
        let set = DocumentSet::prepare(&[Given::bytes(document)], &how).expect("sound");
        let message = built(draft(&space).to(to(LABO)).documents(&set).ask_receipt()).await;
        send(&space, &account, &message, &SendOptions::default()).await.expect("sent");
        sent.push(message.message_id().to_string());
    }

    // The platform.
    let own = application(&world, "beta");
    let session = Arc::new(Session::open(space.clone(), own.clone()).await.expect("open"));
    once(&session, "INBOX", 2).await;
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&folder.path().join("journal"), OffsetDateTime::now_utc()).expect("a journal");
    let post = OutboxPost {
        space: space.clone(),
        account: own.clone(),
        outbox: Arc::new(Outbox::open(&folder.path().join("outbox")).expect("an outbox")),
        options: SendOptions::default(),
    };
    let label = Label::entity("Maison de santé Beta – Laboratoire").expect("a label");
    let respondent = Respondent::new(&space, Sender { address: own.address.clone(), label });
    let mut intake =
        Intake::new(session.clone(), post, journal.clone(), respondent, Settings::default(), space.clock.clone());
    let mut platform = Platform::default();
    intake.resume(&mut platform).await.expect("resumed");
    let pass = intake.run(&mut platform).await.expect("passed");
    assert_eq!((pass.filed, pass.refused, pass.sent), (1, 1, 2), "{pass:?}");
    assert_eq!(platform.filed, [N1]);
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    let done = listed.iter().find(|summary| summary.has(INTEGRATED)).expect("one is filed");
    assert!(done.has(MDN_SENT) && done.has("\\Seen"));

    // The clean-up.
    let now = OffsetDateTime::now_utc() + time::Duration::seconds(2);
    let plan = clean::plan(&session, &journal, "INBOX", Rule::default(), now).await.expect("planned");
    let decisions: Vec<Decision> = plan.items.iter().map(|item| item.decision).collect();
    assert!(decisions.contains(&Decision::Delete) && decisions.contains(&Decision::Keep(Why::Refused)));
    let cleaned = plan.carry_out(&session, &journal, now).await.expect("carried out");
    assert_eq!((cleaned.deleted, session.list("INBOX", &Listing::all()).await.expect("listed").len()), (1, 1));
    let pass = intake.run(&mut platform).await.expect("passed");
    assert_eq!(pass, lps::intake::Pass::default(), "nothing is done twice");

    // What she sees.
    let hers = Session::open(space.clone(), account).await.expect("open");
    let listed = once(&hers, "INBOX", 2).await;
    let mut told = Vec::new();
    let mut abouts = Vec::new();
    for summary in &listed {
        let octets = hers.fetch_bytes("INBOX", summary.uid, 10_000_000).await.expect("fetched");
        let message = Message::open(octets, Limits::default()).expect("small");
        let Kind::Notice(notice) = &message.kind else { panic!("{:?}", message.kind) };
        assert_eq!((notice.form, notice.recipient.as_str()), (Form::Mdn, LABO));
        assert_eq!(notice.about.belief(|id| sent.iter().any(|own| own == id)), Belief::Ours);
        assert!(
            message.original().is_some_and(|original| original.len() > N1.len()),
            "the whole message is given back"
        );
        told.push(match &notice.outcome {
            Integration::Done => (sent.iter().position(|id| notice.about.message_ids[0] == *id), None),
            Integration::Failed(errors) => {
                (sent.iter().position(|id| notice.about.message_ids[0] == *id), Some(errors[0].code))
            }
        });
        abouts.push(notice.about.message_ids.clone());
    }
    told.sort();
    assert_eq!(told, [(Some(0), None), (Some(1), Some(Code::UNKNOWN_PATIENT))]);

    // The conversations: her own messages are where the host program keeps them; here their headers are enough.
    let own: Vec<Summary> = sent
        .iter()
        .zip(1..)
        .map(|(id, uid)| Summary::new(uid, Vec::new(), None, 0, format!("Message-ID: {id}\r\n").as_bytes()))
        .collect();
    let mut entries: Vec<Entry<'_, (&str, u32)>> = own.iter().map(|s| Entry::new(("Sent", s.uid), s)).collect();
    for (summary, about) in listed.iter().zip(&abouts) {
        entries.push(Entry { key: ("INBOX", summary.uid), summary, about });
    }
    let threads = thread::threads(&entries);
    assert_eq!(threads.len(), 2);
    assert!(threads.iter().all(|thread| thread.nodes.len() == 2 && thread.nodes[0].keys[0].0 == "Sent"));
}

/// The loop of a platform: what is there, then what comes, through connections that break; then the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_until_it_is_told_to_stop() {
    let world = World::start().await;
    let space: Arc<Space> = world.space();
    let account = marie(&world, tokens(&world, &[]), None);
    let how = preparation(&space);
    let mail = async |document: &'static [u8]| {
        let set = DocumentSet::prepare(&[Given::bytes(document)], &how).expect("sound");
        let message = built(draft(&space).to(to(LABO)).documents(&set).ask_receipt()).await;
        send(&space, &account, &message, &SendOptions::default()).await.expect("sent");
    };
    mail(N1).await;

    let mut own = application(&world, "beta");
    let real = own.entry.imap.clone();
    let port = dropper(("127.0.0.1".to_owned(), real.port), Duration::from_millis(700)).await;
    own.entry.imap = Endpoint { port, ..real };
    let session = Arc::new(Session::open(space.clone(), own.clone()).await.expect("open"));
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&folder.path().join("journal"), OffsetDateTime::now_utc()).expect("a journal");
    let post = OutboxPost {
        space: space.clone(),
        account: own.clone(),
        outbox: Arc::new(Outbox::open(&folder.path().join("outbox")).expect("an outbox")),
        options: SendOptions::default(),
    };
    let label = Label::entity("Laboratoire Beta").expect("a label");
    let respondent = Respondent::new(&space, Sender { address: own.address.clone(), label });
    let mut intake = Intake::new(session, post, journal, respondent, Settings::default(), space.clock.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (passed, mut passes) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(async move {
        let mut platform = Platform::default();
        let mut stopped = Box::pin(async { drop(stopped.await) });
        let mut seen = |pass: Result<&lps::intake::Pass, &lps::intake::IntakeError>| {
            let _ = passed.send(pass.cloned().map_err(|error| error.code()));
        };
        let ended = intake.watch(&mut platform, &mut stopped, &mut seen).await;
        (ended.map_err(|error| error.code()), platform.filed.len())
    });
    let mut settled = async |filed: usize, refused: usize, sent: usize| {
        let (mut all, mut waited) = ((0, 0, 0), PATIENCE / 2);
        while all != (filed, refused, sent) {
            let begun = std::time::Instant::now();
            let pass = tokio::time::timeout(waited, passes.recv()).await.expect("in time").expect("it goes on");
            waited = waited.saturating_sub(begun.elapsed());
            let pass = pass.expect("no trouble");
            all = (all.0 + pass.filed, all.1 + pass.refused, all.2 + pass.sent);
        }
    };
    settled(1, 0, 1).await;
    // What comes while it waits: IDLE tells of it, a poll would only after five minutes, and by then this test has failed.
    mail(N3).await;
    settled(0, 1, 1).await;
    mail(N1).await;
    settled(1, 0, 1).await;
    stop.send(()).expect("it listens");
    assert_eq!(watching.await.expect("it ends"), (Ok(()), 2));
}
