//! What a plan says of each message. The whole life of messages is played in `intake::tests`.

use async_trait::async_trait;
use time::macros::datetime;

use super::*;
use crate::intake::Trouble;

const NOW: OffsetDateTime = datetime!(2026-11-22 08:00 UTC);

/// A folder of summaries; what is deleted is noted.
struct Folder(Vec<Summary>, std::sync::Mutex<Vec<u32>>);

#[async_trait]
impl Mailbox for Folder {
    async fn validity(&self, _: &str) -> Result<u32, Trouble> {
        Ok(7)
    }

    async fn list(&self, _: &str, listing: &Listing) -> Result<Vec<Summary>, Trouble> {
        let wanted = |uid| listing.uids.is_empty() || listing.uids.contains(&uid);
        Ok(self.0.iter().filter(|summary| wanted(summary.uid)).cloned().collect())
    }

    async fn fetch(&self, _: &str, _: u32, _: u64) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(None)
    }

    async fn mark(&self, _: &str, _: &[u32], _: &[&str]) -> Result<(), Trouble> {
        Ok(())
    }

    async fn expunge(&self, _: &str, uids: &[u32]) -> Result<(), Trouble> {
        self.1.lock().expect("a lock").extend(uids);
        Ok(())
    }
}

fn summary(uid: u32, id: &str, flags: &[&str]) -> Summary {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Summary::new(uid, flags, None, 10, format!("Message-ID: {id}\r\n").as_bytes())
}

#[tokio::test]
async fn only_what_is_processed_goes() {
    // ECO-CLEAN
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&folder.path().join("j"), NOW).expect("new");
    let key = |n: u32| Key::of(format!("\r\n\r\n{n}").as_bytes());
    let filed = |n| Event::Filed { key: key(n), filed: Filed::Done, at: NOW - Duration::days(3) };
    let sent = |n| Event::Sent { key: key(n) };
    for n in 1..=8 {
        let place = Place { folder: "INBOX".into(), validity: 7, uid: n };
        let begun = Event::Begun { key: key(n), place, message_id: Some(format!("<{n}@a>")), at: NOW };
        journal.record(begun).await.expect("written");
    }
    for event in [
        filed(1),
        sent(1),
        filed(3),
        Event::Queued { key: key(3) },
        Event::Filed { key: key(4), filed: Filed::Refused(vec![902]), at: NOW },
        sent(4),
        filed(5),
        sent(5),
        filed(6),
        sent(6),
        filed(7),
        Event::Answering { key: key(7), notice: "<n@b>".into(), date: NOW },
        filed(8),
        Event::NotDue { key: key(8) },
    ] {
        journal.record(event).await.expect("written");
    }
    let mut bal = Folder(
        vec![
            summary(1, "<1@a>", &["\\Seen"]),
            summary(2, "<2@a>", &[]),
            summary(3, "<3@a>", &["$Integrated"]),
            summary(4, "<4@a>", &[]),
            summary(5, "<5@a>", &["\\Flagged"]),
            summary(6, "<forged@a>", &[]),
            summary(7, "<7@a>", &[]),
            // 8 is gone.
            summary(9, "<9@a>", &["$Integrated"]),
        ],
        std::sync::Mutex::default(),
    );
    let decisions = |plan: &Plan| plan.items.iter().map(|item| item.decision).collect::<Vec<_>>();
    let recent = plan(&bal, &journal, "INBOX", Rule { keep: Duration::days(4) }, NOW).await.expect("planned");
    assert_eq!(decisions(&recent)[0], Decision::Keep(Why::Recent));
    let planned = plan(&bal, &journal, "INBOX", Rule { keep: Duration::days(2) }, NOW).await.expect("planned");
    let keep = Decision::Keep;
    assert_eq!(
        decisions(&planned),
        [
            Decision::Delete,
            keep(Why::NotFiled),
            keep(Why::NoticeNotSent),
            keep(Why::Refused),
            keep(Why::Flagged),
            keep(Why::Other),
            keep(Why::NoticeNotSent),
            keep(Why::Unknown),
        ]
    );
    assert!(bal.1.lock().expect("a lock").is_empty(), "a plan changes nothing");
    // Flagged after the plan was made: spared.
    bal.0[0] = summary(1, "<1@a>", &["\\Flagged"]);
    let spared = planned.carry_out(&bal, &journal, NOW).await.expect("carried out");
    assert_eq!((spared.deleted, spared.spared), (0, 1));
    assert!(journal.get(&key(8)).expect("known").places.is_empty(), "what is gone is noted");
    bal.0[0] = summary(1, "<1@a>", &[]);
    let cleaned = planned.carry_out(&bal, &journal, NOW).await.expect("carried out");
    assert_eq!((cleaned.deleted, cleaned.octets), (1, 10));
    assert_eq!(*bal.1.lock().expect("a lock"), [1]);
}
