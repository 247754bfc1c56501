//! A BAL over IMAP against our operator: what a session does, and what it survives. ECO-CONN, ECO-REOPEN, ECO-ERR.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use imap::client::{self, Appended, Command, Connection, Patience, Sasl};
use lps::session::{Event, Known, Listing, Query, Session, SessionError};
use lps::trace::{Trace, Tracer};
use lps::{
    Account, Authentication, Credentials, Endpoint, EntryPoints, Explain, Fault, Space, TokenError, TokenSource,
};
use psc::Secret;
use sandbox::Description;
use sandbox::psc::{Flaw, Order, mint};
use tokio::net::TcpStream;
use trust::tls::{Identity, TlsStream};

use crate::world::World;

/// Dr Marie MARTIN of alpha, and her mailbox.
pub const MARIE: &str = "899700000017";
pub const HER_BOX: &str = "marie.martin@alpha.formation.mssante.fr";

/// Tokens of a person, made one by one as PSC would.
pub struct Minted {
    folder: std::path::PathBuf,
    id: &'static str,
    ttl: Duration,
    flaw: Flaw,
    pub given: AtomicU64,
}

impl Minted {
    pub fn of(world: &World, id: &'static str, ttl: Duration, flaw: Flaw) -> Arc<Minted> {
        Arc::new(Minted { folder: world.path().to_owned(), id, ttl, flaw, given: AtomicU64::new(0) })
    }
}

#[async_trait]
impl TokenSource for Minted {
    async fn token(&self) -> Result<Secret, TokenError> {
        self.given.fetch_add(1, Ordering::Relaxed);
        let order = Order { ttl: self.ttl, flaw: self.flaw, ..Order::of(self.id.parse().expect("an identifier")) };
        Ok(Secret::new(mint(&self.folder, &order, SystemTime::now()).expect("a sandbox's folder")))
    }

    fn author(&self) -> Option<String> {
        Some(self.id.to_owned())
    }
}

struct Nobody;

#[async_trait]
impl TokenSource for Nobody {
    async fn token(&self) -> Result<Secret, TokenError> {
        Err(TokenError::LoginNeeded)
    }

    fn author(&self) -> Option<String> {
        None
    }
}

#[derive(Default)]
pub struct Traces(pub Mutex<Vec<Trace>>);

impl Tracer for Traces {
    fn record(&self, trace: Trace) {
        self.0.lock().expect("nobody panics").push(trace);
    }
}

/// The certificate of alpha's laboratory.
fn application(world: &World) -> Identity {
    let description = Description::read(world.path()).expect("written");
    let labo = description.applications.iter().find(|a| a.operator == "alpha").expect("alpha has one");
    Identity::from_files(&world.path().join(&labo.certificate), &world.path().join(&labo.key)).expect("a certificate")
}

/// Where alpha listens: for people, or for applications.
pub fn endpoint(world: &World, app: bool) -> Endpoint {
    let description = Description::read(world.path()).expect("written");
    let alpha = description.operators.iter().find(|o| o.name == "alpha").expect("alpha");
    let place = if app { &alpha.imap_app } else { &alpha.imap };
    Endpoint { host: place.host.clone(), port: place.port }
}

pub fn account(address: &str, imap: Endpoint, credentials: Credentials) -> Account {
    let authentication = match &credentials {
        Credentials::Psc(_) => Authentication::Psc,
        Credentials::Certificate(_) => Authentication::Certificate,
    };
    let entry = EntryPoints { smtp: imap.clone(), imap, authentication };
    Account { address: address.parse().expect("an address"), entry, credentials }
}

fn marie(world: &World, imap: Endpoint) -> Account {
    let source = Minted::of(world, MARIE, Duration::from_secs(60), Flaw::None);
    account(HER_BOX, imap, Credentials::Psc(source))
}

pub fn message(number: usize) -> Vec<u8> {
    format!(
        "From: =?utf-8?Q?Ren=C3=A9?= <rene@alpha.formation.mssante.fr>\r\nTo: {HER_BOX}\r\nSubject: Message {number}\r\n\
         Message-ID: <{number}@test>\r\nDate: Sun, 22 Nov 2026 06:40:10 +0100\r\nX-MSS-NIL: 3734\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nBonjour {number}\r\n--x\r\n\
         Content-Type: application/zip; name=IHE_XDM.ZIP\r\nContent-Disposition: attachment; filename=IHE_XDM.ZIP\r\n\r\n\
         {}\r\n--x--\r\n",
        "octets ".repeat(number % 300)
    )
    .into_bytes()
}

pub async fn put(session: &Session, folder: &str, octets: &[u8]) -> Option<u32> {
    session.append(folder, &[], None, octets.len() as u64, &mut &octets[..]).await.expect("put")
}

/// Another client, that keeps no state of ours.
pub async fn other(space: &Arc<Space>, world: &World, imap: &Endpoint) -> Connection<TlsStream<TcpStream>> {
    let stream = space.dial(imap).await.expect("reached");
    let connector = space.connector(None).expect("a connector");
    let mut client = client::open(stream, &imap.host, &connector, Patience::default()).await.expect("open");
    let token = Minted::of(world, MARIE, Duration::from_secs(60), Flaw::None).token().await.expect("a token");
    client.authenticate(&Sasl::XOAuth2 { user: HER_BOX, token: token.expose() }).await.expect("in");
    client.select("INBOX", None, &mut |_| {}).await.expect("selected");
    client
}

#[tokio::test]
async fn a_mailbox_is_read_and_changed() {
    let world = World::start().await;
    let traces = Arc::new(Traces::default());
    let space = world.space().with_tracer(traces.clone());
    let imap = endpoint(&world, false);
    let session = Session::open(space.clone(), marie(&world, imap.clone())).await.expect("open");

    assert!(session.folders().await.expect("folders").iter().any(|f| f.name == "INBOX" && f.selectable));
    session.create("Été & Co", None).await.expect("created");
    session.create("Été & Co", None).await.expect("as good");
    assert!(session.folders().await.expect("folders").iter().any(|f| f.name == "Été & Co"));
    let sent = session.special(mail::SpecialUse::Sent).await.expect("asked").expect("there is one");

    let mut uids = Vec::new();
    for number in 1..=5 {
        uids.push(put(&session, "INBOX", &message(number)).await.expect("UIDPLUS"));
    }
    assert_eq!(session.status("INBOX").await.expect("status").messages, 5);
    put(&session, &sent, &vec![b'a'; 700_000]).await.expect("a large one");

    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(listed.iter().map(|s| s.uid).collect::<Vec<_>>(), uids);
    let third = &listed[2];
    assert_eq!(third.subject(), "Message 3");
    assert_eq!(third.from()[0].name, "René");
    assert_eq!((third.message_id().as_deref(), third.size), (Some("<3@test>"), message(3).len() as u64));
    assert_eq!(third.attachments, ["IHE_XDM.ZIP"]);
    assert!(third.internal_date.is_some() && third.modseq > 0 && third.raw("X-MSS-NIL").is_some());
    let some = |listing: Listing| {
        let session = &session;
        async move {
            let listed = session.list("INBOX", &listing).await.expect("listed");
            listed.into_iter().map(|s| s.uid).collect::<Vec<_>>()
        }
    };
    assert_eq!(some(Listing::all().last(2)).await, uids[3..]);
    assert_eq!(some(Listing::from_uid(uids[1]).first(2)).await, uids[1..3]);
    assert_eq!(some(Listing::uids(&[uids[4], uids[0], 4000])).await, [uids[0], uids[4]]);
    assert_eq!(some(Listing::uids(&[])).await, [0u32; 0]);
    assert_eq!(some(Listing::range(uids[1], uids[2])).await, uids[1..=2]);

    assert_eq!(session.fetch_bytes("INBOX", uids[1], 1 << 20).await.expect("read"), message(2));
    let large = session.fetch_bytes("INBOX", uids[1], 10).await.expect_err("too large");
    assert!(matches!(large, SessionError::TooLarge { limit: 10 }));
    let gone = session.fetch_bytes("INBOX", 4000, 10).await.expect_err("gone");
    assert_eq!((gone.code(), gone.fault()), ("session.no-message", Fault::User));
    let header = session.header("INBOX", uids[0], &["Message-ID"]).await.expect("read");
    assert_eq!(String::from_utf8_lossy(&header).trim(), "Message-ID: <1@test>");
    let mut many = Vec::new();
    session
        .fetch_each("INBOX", &[uids[2], uids[0]], 1 << 20, &mut |uid, octets| many.push((uid, octets)))
        .await
        .expect("read");
    assert_eq!(many, [(uids[0], Some(message(1).into())), (uids[2], Some(message(3).into()))]);

    assert_eq!(session.search("INBOX", &Query::subject("message 4")).await.expect("found"), [uids[3]]);
    assert_eq!(session.search("INBOX", &Query::from("René")).await.expect("found"), uids);
    assert_eq!(session.search("INBOX", &Query::message_id("<2@test>")).await.expect("found"), [uids[1]]);
    session.mark("INBOX", &uids[..2], &["\\Seen", "$Integrated"], &[]).await.expect("marked");
    session.mark("INBOX", &uids[..1], &[], &["\\Seen"]).await.expect("unmarked");
    assert_eq!(session.search("INBOX", &Query::Flag("\\Seen".into())).await.expect("found"), [uids[1]]);
    let either = Query::Or(Box::new(Query::Flag("$Integrated".into())), Box::new(Query::Uids(uids[4], uids[4])));
    assert_eq!(session.search("INBOX", &either).await.expect("found"), [uids[0], uids[1], uids[4]]);

    // Of what is marked, only what is named goes.
    session.mark("INBOX", &[uids[4]], &["\\Deleted"], &[]).await.expect("marked");
    session.expunge("INBOX", &[uids[0]]).await.expect("gone");
    session.move_to("INBOX", &[uids[1]], "Été & Co").await.expect("moved");
    assert_eq!(some(Listing::all()).await, uids[2..]);
    let nowhere = session.move_to("INBOX", &[uids[2]], "Nowhere").await.expect_err("no folder");
    assert!(matches!(nowhere, SessionError::NoFolder(name) if name == "Nowhere"));
    let nowhere = session.list("Nowhere", &Listing::all()).await.expect_err("no folder");
    assert_eq!(nowhere.code(), "session.no-folder");
    session.close().await;

    let traces = traces.0.lock().expect("nobody panics");
    assert!(traces.iter().any(|t| t.request.contains("UID EXPUNGE INBOX") && t.done && t.author == MARIE));
    assert!(traces.iter().any(|t| !t.done && t.request.contains("Nowhere")));
    assert!(traces.iter().all(|t| !format!("{t:?}").contains("Bonjour") && !format!("{t:?}").contains("Message 1")));
}

#[tokio::test]
async fn changes_of_others_are_told() {
    let world = World::start().await;
    let space = world.space();
    let imap = endpoint(&world, false);
    let session = Session::open(space.clone(), marie(&world, imap.clone())).await.expect("open");
    let mut known = Known::default();
    assert!(session.sync("INBOX", &mut known).await.expect("synchronised").is_empty());
    for number in 1..=6 {
        put(&session, "INBOX", &message(number)).await;
    }
    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!((changes.arrived.len(), changes.reset), (6, false));
    let uids = changes.arrived;
    assert!(session.sync("INBOX", &mut known).await.expect("synchronised").is_empty());

    let mut watch = session.watch("INBOX").await.expect("watched");
    let mut other = other(&space, &world, &imap).await;
    other.uid_store(&uids[0].to_string(), '+', &["\\Seen", "$Fait"]).await.expect("stored");
    other.uid_store(&format!("{}:{}", uids[2], uids[3]), '+', &["\\Deleted"]).await.expect("stored");
    other.uid_expunge(&format!("{}:{}", uids[2], uids[3]), &mut |_| {}).await.expect("gone");
    assert_eq!(watch.next().await.expect("news"), Event::Changed);
    let seventh = message(7);
    other
        .append(
            "INBOX",
            &Appended { flags: &["\\Flagged"], size: seventh.len() as u64, ..Appended::default() },
            &mut &seventh[..],
            &mut false,
        )
        .await
        .expect("put");
    let arrived = loop {
        match watch.next().await.expect("news") {
            Event::Arrived(uids) => break uids,
            event => assert_eq!(event, Event::Changed),
        }
    };

    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!(changes.arrived, arrived);
    assert_eq!((changes.marked, changes.vanished), (vec![uids[0]], vec![uids[2], uids[3]]));
    assert_eq!(known.flags(uids[0]).expect("known"), ["\\Seen", "$Fait"]);
    assert_eq!(known.flags(arrived[0]).expect("known"), ["\\Flagged"]);
    assert_eq!(known.len(), 5);

    // Cancelled while it waits, again and again, the watch misses nothing.
    for _ in 0..5 {
        assert!(tokio::time::timeout(Duration::from_millis(20), watch.next()).await.is_err());
    }
    let eighth = put(&session, "INBOX", &message(8)).await.expect("UIDPLUS");
    assert_eq!(watch.next().await.expect("news"), Event::Arrived(vec![eighth]));
    watch.close().await;

    // Without what QRESYNC needs, the same by looking at everything.
    let text = serde_json::to_string(&known).expect("JSON");
    let modseq = format!("\"modseq\":{}", serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["modseq"]);
    let mut old: Known = serde_json::from_str(&text.replace(&modseq, "\"modseq\":0")).expect("JSON");
    other.uid_store(&uids[1].to_string(), '+', &["\\Answered"]).await.expect("stored");
    other.uid_store(&uids[0].to_string(), '+', &["\\Deleted"]).await.expect("stored");
    other.uid_expunge(&uids[0].to_string(), &mut |_| {}).await.expect("gone");
    let by_windows = session.sync("INBOX", &mut old).await.expect("synchronised");
    let by_qresync = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!(by_windows, by_qresync);
    assert_eq!(
        (by_windows.arrived, by_windows.marked, by_windows.vanished),
        (vec![eighth], vec![uids[1]], vec![uids[0]])
    );
    assert_eq!(old, known);

    // Another UIDVALIDITY: all is new.
    let text = serde_json::to_string(&known)
        .expect("JSON")
        .replace(&format!("\"validity\":{}", known.validity()), "\"validity\":1");
    let mut foreign: Known = serde_json::from_str(&text).expect("JSON");
    let changes = session.sync("INBOX", &mut foreign).await.expect("synchronised");
    assert!(changes.reset && changes.arrived.len() == known.len());
    assert_eq!(foreign.uids().collect::<Vec<_>>(), known.uids().collect::<Vec<_>>());
}

#[tokio::test]
async fn refusals_surface_at_once() {
    let world = World::start().await;
    let space = world.space();
    let imap = endpoint(&world, false);
    let refused = |account: Account| {
        let space = space.clone();
        async move { Session::open(space, account).await.err().expect("refused") }
    };
    // The last one, to count how often it was asked for a token.
    let tokens = |flaw| Minted::of(&world, MARIE, Duration::from_secs(60), flaw);
    let psc = |tokens: &Arc<Minted>| Credentials::Psc(tokens.clone());
    let good = tokens(Flaw::None);
    let not_hers = refused(account("paul.durand@alpha.formation.mssante.fr", imap.clone(), psc(&good))).await;
    assert_eq!(
        (not_hers.code(), not_hers.fault(), not_hers.is_temporary()),
        ("session.not-allowed", Fault::User, false)
    );
    let over = tokens(Flaw::Expired);
    let expired = refused(account(HER_BOX, imap.clone(), psc(&over))).await;
    assert_eq!(expired.code(), "session.not-allowed");
    let nobody = refused(account(HER_BOX, imap.clone(), Credentials::Psc(Arc::new(Nobody)))).await;
    assert_eq!((nobody.code(), nobody.fault()), ("login.needed", Fault::User));
    // A token at the door of certificates, a certificate at the door of tokens.
    let app = Credentials::Certificate(application(&world));
    let wrong_door = refused(account("labo@alpha.formation.mssante.fr", imap.clone(), app.clone())).await;
    assert_eq!((wrong_door.code(), wrong_door.fault()), ("session.no-mechanism", Fault::Host));
    let closed = Endpoint { host: imap.host.clone(), port: 1 };
    let nowhere = refused(account(HER_BOX, closed, psc(&good))).await;
    assert_eq!((nowhere.code(), nowhere.is_temporary()), ("connect.unreachable", true));

    // The right door.
    let labo = account("labo@alpha.formation.mssante.fr", endpoint(&world, true), app);
    let session = Session::open(space.clone(), labo).await.expect("open");
    assert_eq!(session.status("INBOX").await.expect("status").messages, 0);
}

#[tokio::test]
async fn ten_thousand_messages_are_listed() {
    let world = World::start().await;
    let space = world.space();
    let imap = endpoint(&world, false);
    let session = Session::open(space.clone(), marie(&world, imap.clone())).await.expect("open");
    for number in 1..=10 {
        put(&session, "INBOX", &message(number)).await;
    }
    let mut other = other(&space, &world, &imap).await;
    for _ in 0..10 {
        other.run(&Command::new("UID COPY").text(" 1:* \"INBOX\""), &mut |_| {}).await.expect("copied");
    }
    let began = Instant::now();
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    println!("{} messages listed in {:?}", listed.len(), began.elapsed());
    assert_eq!(listed.len(), 10_240);
    assert!(listed.windows(2).all(|pair| pair[0].uid < pair[1].uid));
    assert!(listed.iter().all(|s| s.subject().starts_with("Message ") && s.attachments.len() == 1));
    let mut known = Known::default();
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived.len(), 10_240);
    other.run(&Command::new("STORE").text(" 1:5000 +FLAGS.SILENT (\\Deleted)"), &mut |_| {}).await.expect("marked");
    other.run(&Command::new("EXPUNGE"), &mut |_| {}).await.expect("gone");
    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!((changes.vanished.len(), changes.arrived.len(), known.len()), (5_000, 0, 5_240));
}
