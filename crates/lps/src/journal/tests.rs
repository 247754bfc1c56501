//! Journals written, cut, damaged, shared and grown old.

use std::io::Write;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-22 08:00 UTC);

fn place(uid: u32) -> Place {
    Place { folder: "INBOX".into(), validity: 7, uid }
}

fn key(n: u32) -> Key {
    Key::of(format!("Message-ID: <{n}@a>\r\n\r\nx").as_bytes())
}

fn begun(n: u32) -> Event {
    Event::Begun { key: key(n), place: place(n), message_id: Some(format!("<{n}@a>")), at: NOW }
}

#[test]
fn keys_do_not_mind_the_way() {
    let sent = b"Subject: a\r\nMessage-ID: <1@a>\r\n\r\nbody";
    let received = b"Received: by x\r\nReturn-Path: <a>\r\nMessage-ID: <1@a>\r\n\r\nbody";
    assert_eq!(Key::of(sent), Key::of(received));
    assert_ne!(Key::of(sent), Key::of(b"Message-ID: <1@a>\r\n\r\nother"));
    assert_ne!(Key::of(sent), Key::of(b"Message-ID: <2@a>\r\n\r\nbody"));
}

#[test]
fn what_was_recorded_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::open(&path, NOW).expect("new");
    assert!(matches!(Journal::open(&path, NOW), Err(JournalError::InUse)));
    for event in [
        begun(1),
        Event::Filed { key: key(1), filed: Filed::Done, at: NOW },
        Event::Answering { key: key(1), notice: "<n@b>".into(), date: NOW },
        Event::Queued { key: key(1) },
        begun(2),
        Event::Filed { key: key(2), filed: Filed::Refused(vec![902]), at: NOW },
    ] {
        journal.record_blocking(&event).expect("written");
    }
    assert!(!journal.get(&key(1)).expect("known").is_processed());
    journal.record_blocking(&Event::Sent { key: key(1) }).expect("written");
    let before = (journal.get(&key(1)), journal.get(&key(2)));
    assert!(before.0.as_ref().expect("known").is_processed() && !before.1.as_ref().expect("known").is_processed());
    assert_eq!(journal.at(&place(2)).map(|(key, _)| key), Some(key(2)));
    drop(journal);
    // A crash in the middle of a line.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("there")
        .write_all(b"{\"event\":\"sent\",\"ke")
        .expect("written");
    let journal = Journal::open(&path, NOW).expect("mended");
    assert_eq!((journal.get(&key(1)), journal.get(&key(2))), before);
    journal.record_blocking(&begun(3)).expect("written");
    drop(journal);
    assert!(Journal::open(&path, NOW).expect("whole").get(&key(3)).is_some());
    let text = std::fs::read_to_string(&path).expect("UTF-8").replace("\"refused\":[902]", "\"refused\":oops");
    std::fs::write(&path, text).expect("written");
    assert!(matches!(Journal::open(&path, NOW), Err(JournalError::Line(6))));
}

#[test]
#[cfg(unix)]
fn nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("j");
    let _journal = Journal::open(&path, NOW).expect("new");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_old_and_gone_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("j");
    let mut text = String::new();
    let mut line = |event: &Event| text += &format!("{}\n", serde_json::to_string(event).expect("JSON"));
    for n in 1..=600 {
        line(&begun(n));
        line(&Event::Filed { key: key(n), filed: Filed::Done, at: NOW });
        line(&Event::NotDue { key: key(n) });
        line(&Event::Marked { key: key(n) });
        if n <= 500 {
            line(&Event::Cleaned { key: key(n), place: place(n), at: NOW });
        }
    }
    std::fs::write(&path, &text).expect("written");
    let journal = Journal::open(&path, NOW + REMEMBERED).expect("whole");
    assert!(journal.get(&key(1)).is_some());
    drop(journal);
    let later = Journal::open(&path, NOW + REMEMBERED + Duration::days(1)).expect("whole");
    assert!(later.get(&key(1)).is_none());
    let kept = later.get(&key(600));
    drop(later);
    assert!(std::fs::metadata(&path).expect("there").len() < text.len() as u64 / 2);
    assert_eq!(Journal::open(&path, NOW).expect("whole").get(&key(600)), kept);
}

fn any_event() -> impl Strategy<Value = Event> {
    (0u32..3, 0usize..10, 1u32..4).prop_map(|(n, which, uid)| match which {
        0 | 1 => Event::Begun { key: key(n), place: place(uid), message_id: None, at: NOW },
        2 => Event::Filed { key: key(n), filed: Filed::Done, at: NOW },
        3 => Event::Answering { key: key(n), notice: "<n@b>".into(), date: NOW },
        4 => Event::NotDue { key: key(n) },
        5 => Event::Queued { key: key(n) },
        6 => Event::Sent { key: key(n) },
        7 => Event::Marked { key: key(n) },
        8 => Event::Met { key: key(n), place: place(uid) },
        _ => Event::Cleaned { key: key(n), place: place(uid), at: NOW },
    })
}

proptest! {
    #[test]
    fn a_compact_journal_says_the_same(events in proptest::collection::vec(any_event(), 0..30)) {
        let mut whole = HashMap::new();
        for event in &events {
            take(&mut whole, event);
        }
        // A message is begun before anything else.
        whole.retain(|_, entry: &mut Entry| entry.begun_at == NOW);
        let mut compact = HashMap::new();
        for (key, entry) in &whole {
            for event in entry.events(key) {
                take(&mut compact, &event);
            }
        }
        for (key, mut entry) in compact {
            entry.places.retain(|place| place.validity != 0);
            prop_assert_eq!(Some(&entry), whole.get(&key));
        }
    }
}
