//! A whole exchange between two operators: Dr Marie Martin sends documents to the laboratory of beta, whose platform files them,
//! answers and cleans; she reads what became of them. ECO-RECEIPT, ECO-CLEAN, ECO-THREAD.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lps::account::{Authentication, Credentials, Endpoint, EntryPoints};
use lps::clean::{self, Decision, Rule, Why};
use lps::compose::Sender;
use lps::documents::{DocumentSet, Given, Preparation};
use lps::intake::{Arrival, Filer, INTEGRATED, Intake, OutboxPost, Settings, Verdict};
use lps::journal::Journal;
use lps::outbox::Outbox;
use lps::read::{Belief, Form, Integration, Kind, Limits, Message};
use lps::receipt::{MDN_SENT, Respondent};
use lps::send::{SendOptions, send};
use lps::session::{Listing, Session, Summary};
use lps::thread::{self, Entry};
use lps::{Account, Space};
use mssante::label::Label;
use mssante::receipt::{Code, IntegrationError};
use mssante::xdm;
use sandbox::Description;
use time::OffsetDateTime;
use trust::tls::Identity;

use crate::send::{built, draft, marie, to, tokens};
use crate::world::World;

const LABO: &str = "labo@beta.formation.mssante.fr";
const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");
const N3: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n3-lettre-liaison.xml");

/// The laboratory of beta, by its certificate.
fn labo(world: &World) -> Account {
    let description = Description::read(world.path()).expect("written");
    let beta = description.operators.iter().find(|o| o.name == "beta").expect("beta");
    let own = description.applications.iter().find(|a| a.operator == "beta").expect("beta has one");
    let identity = Identity::from_files(&world.path().join(&own.certificate), &world.path().join(&own.key));
    let endpoint = |e: &sandbox::Endpoint| Endpoint { host: e.name.clone(), port: e.port };
    Account {
        address: LABO.parse().expect("an address"),
        entry: EntryPoints {
            imap: endpoint(&beta.imap_app),
            smtp: endpoint(&beta.submission_app),
            authentication: Authentication::Certificate,
        },
        credentials: Credentials::Certificate(identity.expect("a certificate")),
    }
}

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
    for _ in 0..600 {
        let listed = session.list(folder, &Listing::all()).await.expect("listed");
        if listed.len() >= count {
            return listed;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{count} messages never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_go_out_and_what_became_of_them_comes_back() {
    let world = World::start().await;
    let space: Arc<Space> = world.space();
    let account = marie(&world, tokens(&world, &[]), None);
    let sender = xdm::Sender {
        name: "Dr Marie MARTIN".into(),
        organization: "Hôpital Alpha".into(),
        postal_address: None,
        phone: None,
    };
    let how = Preparation::new(&space.software, sender, OffsetDateTime::now_utc());
    let mut sent = Vec::new();
    for document in [N1, N3] {
        let set = DocumentSet::prepare(&[Given::bytes(document)], &how).expect("sound");
        let message = built(draft(&space).to(to(LABO)).documents(&set).ask_receipt()).await;
        send(&space, &account, &message, &SendOptions::default()).await.expect("sent");
        sent.push(message.message_id().to_string());
    }

    // The platform.
    let own = labo(&world);
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
