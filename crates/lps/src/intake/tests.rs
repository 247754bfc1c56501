//! An intake and a clean-up killed at every place, against a played BAL, outbox and record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mssante::label::Label;
use mssante::receipt::Code;
use mssante::xdm::{self, Package, Sender, Software};
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use trust::SystemClock;

use super::*;
use crate::clean::{self, Decision, Rule, Why};
use crate::compose::Outgoing;
use crate::read::{Integration, Kind};
use crate::session::Summary;

const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");

/// What survives a kill.
#[derive(Default)]
struct World {
    messages: BTreeMap<u32, (Vec<u8>, BTreeSet<String>)>,
    validity: u32,
    outbox: Vec<(String, Vec<u8>)>,
    sent: Vec<(String, Vec<u8>)>,
    record: Vec<String>,
    given: usize,
    noted: usize,
    down: bool,
    /// Effects until the kill.
    fuse: Option<usize>,
}

#[derive(Clone, Default)]
struct Played(Arc<Mutex<World>>);

impl Played {
    fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An effect, with a kill before or after it when the time has come.
    fn effect<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let burn = |world: &mut World| match &mut world.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        assert!(!self.with(burn), "killed");
        let done = self.with(act);
        assert!(!self.with(burn), "killed");
        done
    }
}

#[async_trait]
impl Mailbox for Played {
    async fn validity(&self, _: &str) -> Result<u32, Trouble> {
        Ok(self.with(|world| world.validity))
    }

    async fn list(&self, _: &str, listing: &Listing) -> Result<Vec<Summary>, Trouble> {
        let wanted = |uid: u32| {
            uid >= listing.from && uid <= listing.to && (listing.uids.is_empty() || listing.uids.contains(&uid))
        };
        Ok(self.with(|world| {
            let found = world.messages.iter().filter(|(uid, _)| wanted(**uid));
            found
                .map(|(uid, (octets, flags))| {
                    Summary::new(*uid, flags.iter().cloned().collect(), None, octets.len() as u64, octets)
                })
                .collect()
        }))
    }

    async fn fetch(&self, _: &str, uid: u32, _: u64) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(self.effect(|world| world.messages.get(&uid).map(|(octets, _)| octets.clone())))
    }

    async fn mark(&self, _: &str, uids: &[u32], add: &[&str]) -> Result<(), Trouble> {
        self.effect(|world| {
            for uid in uids {
                if let Some((_, flags)) = world.messages.get_mut(uid) {
                    flags.extend(add.iter().map(|flag| (*flag).to_owned()));
                }
            }
        });
        Ok(())
    }

    async fn expunge(&self, _: &str, uids: &[u32]) -> Result<(), Trouble> {
        self.effect(|world| uids.iter().for_each(|uid| drop(world.messages.remove(uid))));
        Ok(())
    }
}

#[async_trait]
impl Post for Played {
    async fn put(&self, message: &Outgoing) -> Result<(), Trouble> {
        let mut octets = Vec::new();
        message.reader().read_to_end(&mut octets).await.expect("in memory");
        self.effect(|world| world.outbox.push((message.message_id().to_string(), octets)));
        Ok(())
    }

    fn waiting(&self) -> HashSet<String> {
        self.with(|world| world.outbox.iter().map(|(id, _)| id.clone()).collect())
    }

    async fn run(&self) -> Result<(), Trouble> {
        while self.with(|world| !world.outbox.is_empty()) {
            self.effect(|world| {
                let first = world.outbox.remove(0);
                world.sent.push(first);
            });
        }
        Ok(())
    }
}

/// A record that looks for the key when it is told that it may have it.
struct Record(Played);

#[async_trait]
impl Filer for Record {
    async fn file(&mut self, arrival: &Arrival<'_>) -> Verdict {
        if self.0.with(|world| world.down) {
            return Verdict::Later;
        }
        if let Some(refusal) = arrival.suggested_refusal() {
            return Verdict::Refused(vec![refusal]);
        }
        let key = arrival.key.to_string();
        self.0.with(|world| world.given += 1);
        if !arrival.again || !self.0.with(|world| world.record.contains(&key)) {
            self.0.effect(|world| world.record.push(key));
        }
        Verdict::Filed
    }

    async fn told(&mut self, _: &Arrival<'_>) -> bool {
        self.0.effect(|world| world.noted += 1);
        true
    }
}

fn mail(n: u32, subject: &str, asked: bool, zip: Option<&[u8]>) -> Vec<u8> {
    let asked = if asked { "Disposition-Notification-To: a@cha.mssante.fr\r\n" } else { "" };
    let mut text = format!(
        "Return-Path: <a@cha.mssante.fr>\r\nReceived: by {n}\r\n{asked}From: a@cha.mssante.fr\r\nTo: service@chb.mssante.fr\r\nSubject: {subject}\r\nMessage-ID: <{n}@cha>\r\nContent-Type: multipart/mixed; boundary=BB\r\n\r\n--BB\r\n\r\ntext\r\n"
    );
    if let Some(zip) = zip {
        text += "--BB\r\nContent-Type: application/zip; name=IHE_XDM.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        for line in zip.chunks(57) {
            text += &format!("{}\r\n", openssl::base64::encode_block(line));
        }
    }
    (text + "--BB--\r\n").into_bytes()
}

fn archive() -> Vec<u8> {
    let package = Package {
        documents: &[N1],
        sender: Sender { name: "Dr".into(), organization: "H".into(), postal_address: None, phone: None },
        software: Software { name: "V".into(), version: "1".into(), vendor: "V".into() },
        source_id: "1.2.250.1.999.1.1",
        content_type: None,
        created: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
    };
    xdm::build(&package).expect("a sound document").archive
}

const SUBJECT: &str = "XDM/1.0/DDM+CR d'examens biologiques COURRIER-ESSAI JEANNE 15/06/1955";

/// 1: documents, receipt asked; 2: documents, none asked; 3: a damaged archive, asked; 4: words; 5: a notice; 6: 1 once more.
fn world() -> Played {
    let zip = archive();
    let played = Played::default();
    played.with(|world| {
        world.validity = 7;
        let notice = include_str!("../../../../tests/fixtures/mail/mdn-ok.eml").replace('\n', "\r\n").into_bytes();
        let again = String::from_utf8(mail(1, SUBJECT, true, Some(&zip))).expect("ASCII").replace("by 1", "by another");
        let all = [
            mail(1, SUBJECT, true, Some(&zip)),
            mail(2, SUBJECT, false, Some(&zip)),
            mail(3, SUBJECT, true, Some(b"PK damaged")),
            mail(4, "Bonjour", false, None),
            notice,
            again.into_bytes(),
        ];
        for (uid, octets) in (1..).zip(all) {
            world.messages.insert(uid, (octets, BTreeSet::new()));
        }
    });
    played
}

fn intake(played: &Played, path: &Path) -> Intake<Played, Played> {
    let respondent = Respondent {
        sender: crate::compose::Sender {
            address: "service@chb.mssante.fr".parse().expect("an address"),
            label: Label::entity("Hôpital B").expect("a name"),
        },
        nil: "3734".parse().expect("a NIL"),
        software: "V".into(),
        limit: crate::receipt::LIMIT,
        folder: None,
    };
    let journal = Journal::open(path, OffsetDateTime::now_utc()).expect("a journal");
    Intake::new(played.clone(), played.clone(), journal, respondent, Settings::default(), SystemClock::shared())
}

/// A whole life: resume, two passes, a clean-up.
async fn live(played: Played, path: &Path) -> (Pass, Vec<(u32, Decision)>) {
    let mut intake = intake(&played, path);
    let mut record = Record(played.clone());
    intake.resume(&mut record).await.expect("resumed");
    let pass = intake.run(&mut record).await.expect("passed");
    intake.run(&mut record).await.expect("passed");
    let now = OffsetDateTime::now_utc() + time::Duration::seconds(2);
    let plan = clean::plan(&played, intake.journal(), "INBOX", Rule::default(), now).await.expect("planned");
    plan.carry_out(&played, intake.journal(), now).await.expect("carried out");
    (pass, plan.items.iter().map(|item| (item.uid, item.decision)).collect())
}

/// What must be true whatever happened.
fn check(played: &Played) {
    played.with(|world| {
        let unique: BTreeSet<&String> = world.record.iter().collect();
        assert_eq!((world.record.len(), unique.len()), (2, 2), "each document once");
        assert_eq!(world.messages.keys().copied().collect::<Vec<_>>(), [3, 4], "what is not processed stays");
        assert!(world.messages[&3].1.contains(REFUSED) && !world.messages[&3].1.contains("\\Seen"));
        assert!(world.messages[&4].1.is_empty());
        let mut told: Vec<String> = Vec::new();
        for (_, octets) in &world.sent {
            let message = Message::open(octets.clone(), Limits::default()).expect("small");
            let Kind::Notice(notice) = &message.kind else { panic!("{:?}", message.kind) };
            let outcome = match &notice.outcome {
                Integration::Done => "done",
                Integration::Failed(errors) if errors[0].code == Code::OTHER => "failed",
                Integration::Failed(_) => "?",
            };
            told.push(format!("{} {outcome}", notice.about.message_ids[0]));
        }
        told.sort();
        assert_eq!(told, ["<1@cha> done", "<3@cha> failed"], "each answered once");
        let ids: BTreeSet<&String> = world.sent.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 2);
    });
}

#[tokio::test]
async fn a_quiet_life() {
    // ECO-RECEIPT, ECO-CLEAN
    let (played, folder) = (world(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("journal");
    let (pass, plan) = live(played.clone(), &path).await;
    assert_eq!(pass, Pass { filed: 2, refused: 1, noted: 1, left: 1, known: 1, sent: 2, ..Pass::default() });
    assert_eq!(
        plan,
        [
            (1, Decision::Delete),
            (2, Decision::Delete),
            (3, Decision::Keep(Why::Refused)),
            (4, Decision::Keep(Why::Unknown)),
            (5, Decision::Delete),
            (6, Decision::Delete),
        ]
    );
    check(&played);
    // A message cleaned away that comes again is neither filed nor answered again.
    played.with(|world| world.messages.insert(9, (mail(1, SUBJECT, true, Some(&archive())), BTreeSet::new())));
    let (pass, _) = live(played.clone(), &path).await;
    assert_eq!((pass.filed, pass.known), (0, 1));
    check(&played);
}

#[tokio::test]
async fn killed_at_every_place_nothing_is_filed_or_answered_twice() {
    let mut kills = 0;
    for fuse in 0..200 {
        let (played, folder) = (world(), tempfile::tempdir().expect("a folder"));
        let path = folder.path().join("journal");
        // Killed there, and again as soon after; then let live.
        for fuse in [Some(fuse), Some(fuse / 3), None] {
            played.with(|world| world.fuse = fuse);
            let (played, path) = (played.clone(), path.clone());
            let lived = tokio::spawn(async move { live(played, &path).await }).await;
            kills += usize::from(lived.is_err());
        }
        check(&played);
        if played.with(|world| world.given) == 2 && kills > 0 && fuse > 60 {
            // The fuse is longer than a life.
            assert!(kills > 60, "{kills}");
            return;
        }
    }
    panic!("a life has fewer effects than that");
}

#[tokio::test]
async fn a_record_that_is_down_is_asked_again_and_a_folder_made_anew_is_known() {
    let (played, folder) = (world(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("journal");
    played.with(|world| world.down = true);
    let mut intake = intake(&played, &path);
    let mut record = Record(played.clone());
    let pass = intake.run(&mut record).await.expect("passed");
    assert_eq!((pass.later, pass.filed), (4, 0));
    played.with(|world| world.down = false);
    let pass = intake.run(&mut record).await.expect("passed");
    assert_eq!((pass.filed, pass.known), (2, 1));
    // UIDVALIDITY changes: nothing is filed again, and a plan of before is not carried out.
    let now = OffsetDateTime::now_utc() + time::Duration::seconds(2);
    let plan = clean::plan(&played, intake.journal(), "INBOX", Rule::default(), now).await.expect("planned");
    played.with(|world| world.validity = 8);
    assert!(matches!(plan.carry_out(&played, intake.journal(), now).await, Err(clean::CleanError::FolderChanged)));
    let plan = clean::plan(&played, intake.journal(), "INBOX", Rule::default(), now).await.expect("planned");
    assert_eq!(plan.deletions().count(), 0, "nothing is known under another UIDVALIDITY");
    let pass = intake.run(&mut record).await.expect("passed");
    assert_eq!((pass.filed, pass.noted, pass.known), (0, 0, 5));
    let plan = clean::plan(&played, intake.journal(), "INBOX", Rule::default(), now).await.expect("planned");
    assert_eq!(plan.deletions().count(), 4);
}
