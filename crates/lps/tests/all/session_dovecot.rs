//! The same session on a server that is not ours: Debian's Dovecot ([`crate::dovecot`]).

use std::time::Duration;

use lps::session::{Event, Known, Listing, Query, Session};
use lps::{Credentials, Endpoint, Explain};
use sandbox::psc::Flaw;

use crate::dovecot::{Dovecot, Introspection};
use crate::session::{HER_BOX, MARIE, Minted, account, endpoint, message, other as other_client, put};
use crate::world::World;

#[tokio::test]
async fn the_same_on_dovecot() {
    let world = World::start().await;
    let Some(dovecot) = Dovecot::start(&world, Introspection::Sandbox).await else { return };
    let space = world.space();
    let imap = Endpoint { host: endpoint(&world, false).host, port: dovecot.port };
    let psc = |flaw| Credentials::Psc(Minted::of(&world, MARIE, Duration::from_secs(60), flaw));

    let refused = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::BadSignature))).await;
    assert_eq!(refused.err().map(|e| e.code()), Some("session.not-allowed"), "{}", dovecot.log());

    let session = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::None))).await;
    let session = session.unwrap_or_else(|e| panic!("{e}\n{}", dovecot.log()));
    assert_eq!(session.special(mail::SpecialUse::Sent).await.expect("asked").as_deref(), Some("Sent"));
    session.create("Été", None).await.expect("created");
    let mut known = Known::default();
    session.sync("INBOX", &mut known).await.expect("synchronised");
    let mut watch = session.watch("INBOX").await.expect("watched");
    let mut uids = Vec::new();
    for number in 1..=6 {
        uids.push(put(&session, "INBOX", &message(number)).await.expect("UIDPLUS"));
    }
    let mut told = Vec::new();
    while told.len() < uids.len() {
        if let Event::Arrived(uids) = watch.next().await.expect("news") {
            told.extend(uids);
        }
    }
    assert_eq!(told, uids);
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(listed.iter().map(|s| s.uid).collect::<Vec<_>>(), uids);
    assert_eq!(
        (listed[2].subject().as_str(), &listed[2].attachments[..]),
        ("Message 3", &["IHE_XDM.ZIP".to_owned()][..])
    );
    assert_eq!(session.fetch_bytes("INBOX", uids[1], 1 << 20).await.expect("read"), message(2));
    assert_eq!(session.search("INBOX", &Query::from("René")).await.expect("found"), uids);

    // What another session does is told by QRESYNC.
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived, uids);
    let other = Session::open(space.clone(), account(HER_BOX, imap.clone(), psc(Flaw::None))).await.expect("open");
    other.mark("INBOX", &uids[..1], &["\\Seen", "$Integrated"], &[]).await.expect("marked");
    other.expunge("INBOX", &uids[2..4]).await.expect("gone");
    other.move_to("INBOX", &uids[4..5], "Été").await.expect("moved");
    let changes = session.sync("INBOX", &mut known).await.expect("synchronised");
    assert_eq!((changes.arrived, changes.marked, changes.vanished), (vec![], vec![uids[0]], uids[2..5].to_vec()));
    assert_eq!(known.flags(uids[0]).expect("known"), ["\\Seen", "$Integrated"]);
    assert_eq!(other.list("Été", &Listing::all()).await.expect("listed").len(), 1);

    // What came by another session is found, read and marked without a synchronisation.
    let seventh = put(&other, "INBOX", &message(7)).await.expect("UIDPLUS");
    assert_eq!(session.fetch_bytes("INBOX", seventh, 1 << 20).await.expect("read"), message(7));
    let eighth = put(&other, "INBOX", &message(8)).await.expect("UIDPLUS");
    session.mark("INBOX", &[eighth], &["\\Flagged"], &[]).await.expect("marked");
    assert_eq!(other.search("INBOX", &Query::Flag("\\Flagged".into())).await.expect("found"), [eighth]);
    let ninth = put(&other, "INBOX", &message(9)).await.expect("UIDPLUS");
    session.expunge("INBOX", &[seventh, eighth, ninth]).await.expect("gone");
    assert_eq!(other.list("INBOX", &Listing::all()).await.expect("listed").len(), 3);

    // Ten thousand, which Dovecot answers several windows of before it ends the first.
    let mut raw = other_client(&space, &world, &imap).await;
    for _ in 0..12 {
        raw.run(&imap::client::Command::new("UID COPY").text(" 1:* \"INBOX\""), &mut |_| {}).await.expect("copied");
    }
    let listed = session.list("INBOX", &Listing::all()).await.expect("listed");
    assert_eq!(listed.len(), 3 << 12);
    assert!(listed.windows(2).all(|pair| pair[0].uid < pair[1].uid));
    assert_eq!(session.sync("INBOX", &mut known).await.expect("synchronised").arrived.len(), (3 << 12) - 3);
}
