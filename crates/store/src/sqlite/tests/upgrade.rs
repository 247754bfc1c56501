//! Data folders of earlier formats, as the code of that time left them (`tests/fixtures/make_v1.rs` and those after it), open with every fact
//! in them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Entry, Flags, ModSeq, SpecialUse, Uid};
use mssante::MailboxKind;

use super::super::schema::{MIGRATIONS, is_of_earlier_format};
use super::super::{DATABASE, Options, Sqlite};
use crate::contract::*;
use crate::*;

mod killed;

fn unpacked(fixture: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let tar = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status().expect("tar is there");
    assert!(tar.success());
    dir
}

fn open(dir: &tempfile::TempDir) -> Tested {
    Arc::new(Sqlite::open(dir.path()).expect("brought up to date"))
}

/// Unpacks a fixture and opens it.
fn opened(fixture: &str) -> (Tested, tempfile::TempDir) {
    let dir = unpacked(fixture);
    (open(&dir), dir)
}

/// The message of `make_v1.rs` with that number.
fn numbered(n: u32) -> String {
    let body = "x".repeat(n as usize);
    format!("From: <a{n}@beta.formation.mssante.fr>\r\nSubject: message {n}\r\n\r\n{body}\r\n")
}

/// A message row: UID, number of the message, flags, MODSEQ, date after NOW, keywords.
type Row = (u32, u32, Flags, u64, i64, &'static [&'static str]);

async fn check_folder(store: &Tested, mailbox: MailboxId, wanted: &str, next: u32, highest: u64, rows: &[Row]) {
    let id = folder(store, mailbox, wanted).await.id;
    let view = store.watch(mailbox, id).await.expect("watched").borrow().clone();
    assert_eq!((view.uid_next, view.highest_modseq), (Uid(next), ModSeq(highest)), "{wanted}");
    assert_eq!(view.len(), rows.len(), "{wanted}");
    for (entry, (uid, n, flags, modseq, after, keywords)) in view.iter().zip(rows) {
        let system = Flags::from_bits(entry.flags.bits() & ((1 << Flags::FIRST_KEYWORD) - 1));
        assert_eq!((entry.uid, entry.modseq), (Uid(*uid), ModSeq(*modseq)), "{wanted}");
        assert_eq!((system, entry.internal_date), (*flags, NOW + after), "{wanted} {uid}");
        let names: Vec<&str> = entry.flags.without(system).names(&view.keywords).collect();
        assert_eq!(names, *keywords, "{wanted} {uid}");
        assert_eq!(i64::from(entry.saved), entry.internal_date, "nothing better is known");
        assert_eq!(octets(store, mailbox, entry).await, numbered(*n), "{wanted} {uid}");
        assert_eq!(entry.size as usize, numbered(*n).len());
        let structure = store.structures(mailbox, &[entry.body]).await.expect("read").remove(0).expect("there");
        assert_eq!(*structure, *format!("structure {n}").as_bytes());
    }
}

async fn check_large(store: &Tested, mailbox: MailboxId, entry: &Entry) {
    assert_eq!(entry.size, 300_000);
    assert!(octets(store, mailbox, entry).await == vec![0; 300_000]);
    let structure = store.structures(mailbox, &[entry.body]).await.expect("read").remove(0);
    assert_eq!(structure.as_deref(), Some(&b"large"[..]));
}

/// Names, uses, subscriptions, and whether they can be selected.
async fn tree(store: &Tested, mailbox: MailboxId) -> Vec<(String, Option<SpecialUse>, bool, bool)> {
    let all = store.folders(mailbox).await.expect("listed");
    all.into_iter().map(|f| (f.name.to_string(), f.special_use, f.subscribed, f.selectable)).collect()
}

#[tokio::test]
async fn a_folder_of_format_1_opens_whole() {
    let (store, dir) = opened("v1.tar.gz");
    check_mailboxes(&store, true).await;
    check_mail(&store, true).await;
    check_queue(&store).await;
    // The fourth mailbox was erased.
    check_onward(&store, 5).await;
    check_one_large_left(&store).await;
    // And opened once more, it is of the present format.
    store.close().await;
    drop(store);
    let store: Tested = Arc::new(Sqlite::open(dir.path()).expect("opened again"));
    assert_eq!(entries(&store, MailboxId(1), "INBOX").await.len(), 10);
}

/// Numbers go on where they were.
async fn check_onward(store: &Tested, next_mailbox: u32) {
    let (one, next) = (now(store, 1).await.id, made(store, next_mailbox).await);
    assert_eq!(next, MailboxId(next_mailbox.into()));
    assert_eq!(put(store, one, "INBOX", "next").await, Uid(14));
    let again = Commit { duplicate_key: Some([14; 16]), ..delivery("14", vec![to(MailboxId(2), "INBOX")]) };
    assert_eq!(store.commit(again).await.expect("answered").delivered, [Delivered::Duplicate]);
    let commit = Commit { enqueue: Some(super::model::entry()), ..delivery("x", Vec::new()) };
    assert_eq!(store.commit(commit).await.expect("queued").queued, Some(QueueId(3)));
}

/// Large bodies still go with their last message, and only then.
async fn check_one_large_left(store: &Tested) {
    store.delete_mailbox(MailboxId(2)).await.expect("deleted");
    store.maintain(NOW).await.expect("maintained");
    check_large(store, MailboxId(3), &entries(store, MailboxId(3), "Archive").await[0]).await;
}

/// The files that hold mail in clear, in the database's free pages too.
fn in_clear(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("listed") {
        let path = file.expect("listed").path();
        if path.is_dir() {
            found.extend(in_clear(&path));
            continue;
        }
        let octets = std::fs::read(&path).expect("read");
        let text = octets.windows(16).any(|w| w == b"Subject: message")
            || octets.windows(11).any(|w| w.starts_with(b"structure ") && w[10].is_ascii_digit());
        // The large body is nothing but zeros.
        if text || octets.len() == 300_000 && octets.iter().all(|octet| *octet == 0) {
            found.push(path.file_name().expect("a file").to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

/// Waits until what earlier formats left to be done is done: mail and queue encrypted, clear text wiped, garbage given back.
async fn settled(folder: &Path) {
    let deadline = Instant::now() + patience::PATIENCE;
    while left(folder) > 0 {
        assert!(Instant::now() < deadline, "{} are left", left(folder));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How much is left to be done in a folder of the present format.
fn left(folder: &Path) -> i64 {
    let conn = rusqlite::Connection::open(folder.join(DATABASE)).expect("opened");
    let left = "SELECT (SELECT count(*) FROM content) + (SELECT count(*) FROM body WHERE segment IS NULL)
        + (SELECT count(*) FROM queue_entry WHERE segment IS NULL) + (SELECT count(*) FROM clear_text)
        + (SELECT count(*) FROM garbage) + (SELECT count(*) FROM dead_key)";
    conn.query_row(left, [], |row| row.get(0)).expect("counted")
}

/// Closes the store; what is in the folder is consistent, with so many bodies.
async fn check_consistent(dir: &tempfile::TempDir, store: Tested, bodies: usize) {
    store.close().await;
    drop(store);
    let report = Sqlite::fsck(dir.path(), false, Options::default()).expect("looked over");
    assert!(report.clean(), "{report:?}");
    assert_eq!(report.bodies as usize, bodies, "{report:?}");
}

/// What `make_v2.rs` and `make_v3.rs` made: the folder of format 1, brought up by the code of then, and the mailboxes 5 and 6. `large`:
/// whether the large body is in it. `bodies`: how many there are.
async fn check_brought_up(dir: &tempfile::TempDir, large: bool, bodies: usize) -> Tested {
    let all = [1, 2, 3, 5, 6].map(MailboxId);
    let mut store = open(dir);
    for settle in [true, false] {
        let mut wanted = vec![(1, "Archive", 2), (1, "INBOX", 9), (1, "Sent", 1), (1, "Trash", 2)];
        wanted.extend(if large { vec![(2, "INBOX", 3), (3, "Archive", 1)] } else { vec![(2, "INBOX", 2)] });
        wanted.extend([(5, "Archive", 2), (5, "INBOX", 6), (5, "Sent", 1), (6, "INBOX", 1)]);
        assert_eq!(counts(&store, dir, &all).await, counted(&wanted));
        check_mailboxes(&store, large).await;
        check_mail(&store, large).await;
        check_queue(&store).await;
        assert_eq!(told(&store, MailboxId(5), MailboxId(6)).await, TOLD);
        check_beside(&store, MailboxId(5)).await;
        if settle {
            settled(dir.path()).await;
            check_consistent(dir, store, bodies).await;
            assert_eq!(in_clear(dir.path()), [""; 0], "no mail is left in clear");
            store = open(dir);
        }
    }
    store
}

/// The rest of the life of such a folder; `next_mailbox` was never given.
async fn check_used(store: &Tested, next_mailbox: u32) {
    check_onward(store, next_mailbox).await;
    // A reply joins the conversation of then, another message begins the next one.
    let five = MailboxId(5);
    for (link, n) in [(2, 9), (31, 10)] {
        let links = vec![LinkKey(30 + n), LinkKey(link)];
        let content = Some(Content { links, ..content("new").expect("a message") });
        let commit = Commit { content, deliver: vec![to(five, "INBOX")], ..Commit::default() };
        store.commit(commit).await.expect("delivered");
    }
    let new: Vec<_> =
        entries(store, five, "INBOX").await[6..].iter().map(|e| (e.uid.0, e.modseq.0, e.body, e.thread)).collect();
    assert_eq!(new, [(9, 12, 10, 2), (10, 13, 11, 9)]);
    // Bodies of copies go with the last copy.
    let (inbox, archive) = (folder(store, five, "INBOX").await.id, folder(store, five, "Archive").await.id);
    mark(store, five, "INBOX", &[2], Flags::DELETED).await;
    assert_eq!(store.expunge(five, inbox, Some(vec![Uid(2)])).await.expect("expunged"), [Uid(2)]);
    let copy = entries(store, five, "Archive").await[0];
    assert_eq!((copy.body, octets(store, five, &copy).await), (2, numbered(2).into()));
    mark(store, five, "Archive", &[1], Flags::DELETED).await;
    assert_eq!(store.expunge(five, archive, None).await.expect("expunged"), [Uid(1)]);
    assert!(store.body(five, 2).await.expect("read").is_none());
    assert_eq!(octets(store, five, &entries(store, five, "Archive").await[0]).await, numbered(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_format_2_opens_whole() {
    let clear = ["443acfec4fa6a43149141cf160a9ac58", "ea60b899759cb259eb20b3ee1182062d", "store.db"];
    // It has no `copies` (`v2_copies.sql`): like the first folders of format 3, and any that was opened before they were looked for.
    for version in [2, 3, MIGRATIONS.len()] {
        let dir = unpacked("v2.tar.gz");
        let conn = rusqlite::Connection::open(dir.path().join(DATABASE)).expect("opened");
        for step in &MIGRATIONS[2..version] {
            conn.execute_batch(step).expect("brought up");
        }
        conn.pragma_update(None, "user_version", version as i64).expect("noted");
        drop(conn);
        let is_earlier = || is_of_earlier_format(&dir.path().join(DATABASE)).expect("read");
        assert!(is_earlier(), "another process brings it up alone");
        assert_eq!(in_clear(dir.path()), clear);
        let store = check_brought_up(&dir, true, 23).await;
        assert!(!is_earlier());
        // Two hundred were expunged when the server stopped, others went with the mailbox 7: their bodies are given back.
        let trash = folder(&store, MailboxId(6), "Trash").await.id;
        let gone = store.vanished(MailboxId(6), trash, ModSeq(0)).await.expect("read");
        assert_eq!((gone.uids, gone.complete), ((1..=200).map(Uid).collect(), true));
        assert_eq!(put(&store, MailboxId(6), "Trash", "next").await, Uid(201));
        check_used(&store, 8).await;
        check_one_large_left(&store).await;
        // Four came, one went with its last copy, three with the mailbox 2.
        check_consistent(&dir, store, 23 + 4 - 1 - 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_format_3_opens_whole() {
    let dir = unpacked("v3.tar.gz");
    assert_eq!(in_clear(dir.path()), ["store.db"]);
    let store = check_brought_up(&dir, false, 21).await;
    check_used(&store, 7).await;
    // Three came, one went with its last copy.
    check_consistent(&dir, store, 21 + 3 - 1).await;
}

/// What `make_v2.rs` to `make_v6.rs` put into two mailboxes: number of the message, UID, flags, MODSEQ, date, body, SAVEDATE, conversation.
type Told = (u32, u32, u64, u64, i64, u64, u32, u32);

const TOLD: [Told; 10] = [
    (1, 1, 0, 2, 1, 1, 101, 1),
    (2, 2, 0, 3, 2, 2, 102, 2),
    (3, 3, 257, 4, 3, 3, 103, 3),
    (6, 6, 8, 10, 6, 6, 106, 6),
    (7, 7, 0, 8, 7, 7, 107, 1),
    (8, 8, 0, 9, 8, 8, 108, 7),
    (2, 1, 0, 2, 2, 2, 500, 2),
    (3, 2, 257, 2, 3, 3, 500, 3),
    (9, 1, 0, 2, 0, 9, 0, 8),
    (9, 1, 0, 2, 0, 1, 0, 1),
];

async fn told(store: &Tested, one: MailboxId, two: MailboxId) -> Vec<Told> {
    let mut all = Vec::new();
    for (mailbox, folder) in [(one, "INBOX"), (one, "Archive"), (one, "Sent"), (two, "INBOX")] {
        for entry in entries(store, mailbox, folder).await {
            let text = octets(store, mailbox, &entry).await;
            let structure = store.structures(mailbox, &[entry.body]).await.expect("read").remove(0).expect("there");
            let (Entry { uid, flags, modseq, internal_date, body, saved, thread, .. }, after) = (entry, NOW as u32);
            let saved = saved.saturating_sub(after);
            let n = (1..=9).find(|n| numbered(*n) == text).expect("one of them");
            assert_eq!(*structure, *format!("structure {n}").as_bytes());
            all.push((n, uid.0, flags.bits(), modseq.0, internal_date - NOW, body, saved, thread));
        }
    }
    all
}

/// What there is beside those messages: access, an annotation, expunges, a duplicate key.
async fn check_beside(store: &Tested, one: MailboxId) {
    let inbox = folder(store, one, "INBOX").await.id;
    let access = AccessEntry { folder: inbox, grantee: Grantee::Anyone, rights: mail::Rights::READ };
    assert_eq!(format!("{:?}", store.access(one).await.expect("read")), format!("{:?}", [access]));
    let notes = store.annotations(one, Some(inbox), "").await.expect("read");
    assert_eq!((notes.len(), &*notes[0].entry, &*notes[0].value), (1, "/comment", &b"note"[..]));
    let gone = store.vanished(one, inbox, ModSeq(0)).await.expect("read");
    assert_eq!((gone.uids, gone.complete), (vec![Uid(4), Uid(5)], true));
    let again = Commit { duplicate_key: Some([8; 16]), ..delivery("8", vec![to(one, "INBOX")]) };
    assert_eq!(store.commit(again).await.expect("answered").delivered, [Delivered::Duplicate]);
}

/// 20 once more, from the mailbox 1.
fn once(at: i64) -> Commit {
    Commit {
        duplicate_key: Some([20; 16]),
        enqueue: Some(NewQueueEntry {
            sender: Some(MailboxId(1)),
            recipients: vec![NewQueueRecipient { address: address(6), notify: Notify::default(), original: None }],
            accepted_at: at,
            ..super::model::entry()
        }),
        ..delivery("20", Vec::new())
    }
}

fn failed(entry: QueueId, n: u32) -> Commit {
    Commit { settle: Some(Settlement { entry, recipients: vec![(n, Outcome::Failed)] }), ..Commit::default() }
}

#[tokio::test]
async fn a_folder_of_format_4_opens_whole() {
    let (store, dir) = opened("v4.tar.gz");
    let one = MailboxId(1);
    assert_eq!(told(&store, one, MailboxId(2)).await, TOLD);
    check_beside(&store, one).await;

    // The queue: 20, of which one recipient is open, and a notice.
    let queue = store.queue().await.expect("read");
    let open: Vec<_> = queue.iter().map(|e| (e.id.0, e.recipients.len(), e.recipients[0].index)).collect();
    assert_eq!(open, [(1, 1, 1), (2, 1, 0)]);
    // The key was not kept: what the sender did in that second is forgotten.
    store.commit(failed(QueueId(1), 1)).await.expect("settled");
    store.commit(failed(QueueId(2), 0)).await.expect("settled");
    assert_eq!(store.commit(once(NOW + 2)).await.expect("queued").queued, Some(QueueId(3)));
    assert_eq!(store.commit(once(NOW + 3)).await.expect("answered").queued, None);
    // Opened once more, it is of the present format.
    store.close().await;
    drop(store);
    let store: Tested = Arc::new(Sqlite::open(dir.path()).expect("opened again"));
    assert_eq!(told(&store, one, MailboxId(2)).await, TOLD);
    assert_eq!(store.commit(once(NOW + 4)).await.expect("answered").queued, None);
    store.commit(failed(QueueId(3), 0)).await.expect("settled");
    assert_eq!(store.commit(once(NOW + 5)).await.expect("queued").queued, Some(QueueId(4)));
}

#[tokio::test]
async fn a_folder_of_format_5_opens_whole() {
    let (store, dir) = opened("v5.tar.gz");
    let one = MailboxId(1);
    assert_eq!(told(&store, one, MailboxId(2)).await, TOLD);
    // What the sender did is known as such: the recipient given up may be written to again, in that very second.
    assert_eq!(store.commit(once(NOW + 1)).await.expect("answered").queued, None, "it is under way");
    store.commit(failed(QueueId(1), 1)).await.expect("settled");
    assert_eq!(store.commit(once(NOW + 1)).await.expect("queued").queued, Some(QueueId(3)));
    // Flags of neighbours are one row from now on, over the rows of then.
    let inbox = folder(&store, one, "INBOX").await.id;
    let change = FlagChange {
        uids: (1..=8).map(Uid).collect(),
        how: FlagOperation::Add,
        flags: Flags::FLAGGED,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    let set = store.set_flags(one, inbox, change).await.expect("set");
    assert_eq!(set.now.len(), 6);
    let flagged: Vec<Told> = TOLD
        .iter()
        .enumerate()
        .map(|(place, told)| {
            let (n, uid, flags, modseq, date, body, saved, thread) = *told;
            if place >= 6 {
                *told
            } else {
                (n, uid, flags | Flags::FLAGGED.bits(), modseq.max(12), date, body, saved, thread)
            }
        })
        .collect();
    assert_eq!(told(&store, one, MailboxId(2)).await, flagged);
    store.close().await;
    drop(store);
    let store: Tested = Arc::new(Sqlite::open(dir.path()).expect("opened again"));
    assert_eq!(told(&store, one, MailboxId(2)).await, flagged);
    store.maintain(NOW).await.expect("maintained");
    assert_eq!(told(&store, one, MailboxId(2)).await, flagged);
}

/// What is told of a folder before its messages are read.
async fn outline(store: &Tested, mailbox: MailboxId, of: &Folder) -> mail::Outline {
    match store.open_folder(mailbox, of.id).await.expect("opened") {
        Opening::Whole(view) => mail::Outline::from(&**view.borrow()),
        Opening::Reading(reading) => reading.outline().clone(),
    }
}

/// A mailbox, one of its folders, and how many messages it has.
type Count = (u64, String, usize);

/// Every folder says at once how many messages it has: those that have any. Before any of them is opened, since a wrong number is set
/// right then.
async fn counts(store: &Tested, dir: &tempfile::TempDir, mailboxes: &[MailboxId]) -> Vec<Count> {
    let said: Vec<Count> = {
        let conn = rusqlite::Connection::open(dir.path().join(DATABASE)).expect("opened");
        let mut select = conn
            .prepare("SELECT mailbox, name, messages FROM folder WHERE messages != 0 ORDER BY mailbox, name")
            .expect("prepared");
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get::<_, i64>(2)? as usize));
        let rows = select.query_map([], row).expect("read");
        rows.collect::<Result<_, _>>().expect("read")
    };
    let mut counts = Vec::new();
    for mailbox in mailboxes {
        for of in store.folders(*mailbox).await.expect("listed").iter().filter(|of| of.selectable) {
            let outline = outline(store, *mailbox, of).await;
            let view = store.watch(*mailbox, of.id).await.expect("watched").borrow().clone();
            assert_eq!(outline, mail::Outline::from(&*view));
            if outline.messages > 0 {
                counts.push((mailbox.0, of.name.to_string(), outline.messages));
            }
        }
    }
    assert_eq!(said, counts);
    counts
}

fn counted(all: &[(u64, &str, usize)]) -> Vec<Count> {
    all.iter().map(|(mailbox, name, messages)| (*mailbox, (*name).to_owned(), *messages)).collect()
}

#[tokio::test]
async fn a_folder_of_format_6_opens_whole() {
    let (store, dir) = opened("v6.tar.gz");
    let (one, two) = (MailboxId(1), MailboxId(2));
    let archive = folder(&store, two, "Archive").await;
    for _ in 0..2 {
        let wanted = counted(&[
            (1, "Archive", 2),
            (1, "INBOX", 6),
            (1, "Sent", 1),
            (2, "Archive", 65),
            (2, "INBOX", 1),
            (2, "Name/Below", 1),
        ]);
        assert_eq!(counts(&store, &dir, &[one, two]).await, wanted);
        assert_eq!(told(&store, one, MailboxId(2)).await, TOLD);
        // Neighbours marked together are.
        let view = store.watch(two, archive.id).await.expect("watched").borrow().clone();
        assert_eq!((view.uid_next, view.highest_modseq, view.unseen()), (Uid(67), ModSeq(70), 1));
        assert!(view.iter().all(|e| e.uid == Uid(66) || (e.flags, e.modseq) == (Flags::SEEN, ModSeq(68))));
        let gone = store.vanished(two, archive.id, ModSeq(0)).await.expect("read");
        assert_eq!((gone.uids, gone.complete), (vec![Uid(65)], true));
        store.maintain(NOW).await.expect("maintained");
    }
    // A name that only holds folders becomes a folder again, an empty one.
    let made = store.create_folder(two, &name("Name"), None).await.expect("made");
    assert_eq!(outline(&store, two, &made).await.messages, 0);
    store.close().await;
    drop(store);
    let report = Sqlite::fsck(dir.path(), false, Options::default()).expect("looked over");
    assert!(report.clean(), "{report:?}");
}

/// The mailboxes of `make_v1.rs`, which come first. `large`: whether the large body is still in two of them.
async fn check_mailboxes(store: &Tested, large: bool) {
    let all = store.mailboxes().await.expect("read");
    let larges = u64::from(large);
    let wanted = [
        Mailbox {
            id: MailboxId(1),
            address: address(1),
            kind: MailboxKind::Per,
            holder: Holder::Person(person()),
            label: "BAL 1".into(),
            quota: Quota::default(),
            usage: Usage { octets: 973, messages: 14 },
            created_at: NOW,
            last_authentication: Some(NOW + 77),
        },
        Mailbox {
            id: MailboxId(2),
            address: address(2),
            kind: MailboxKind::Org,
            holder: Holder::Structure("1750000001".parse().expect("a structure")),
            label: "Secrétariat de cardiologie".into(),
            quota: Quota { octets: Some(5_000_000), messages: Some(1000) },
            usage: Usage { octets: 155 + 300_000 * larges, messages: 2 + larges },
            created_at: NOW + 60,
            last_authentication: None,
        },
        Mailbox {
            id: MailboxId(3),
            address: address(3),
            kind: MailboxKind::Cab,
            holder: Holder::Person(person()),
            label: "BAL 3".into(),
            quota: Quota::default(),
            usage: Usage { octets: 300_000 * larges, messages: larges },
            created_at: NOW,
            last_authentication: None,
        },
    ];
    assert_eq!(all[..3], wanted);
    let right = |person, role, from, until| vec![Right { person, role, from, until }];
    let other = "899700000025".parse().expect("an identifier");
    let rights = async |n| store.rights(MailboxId(n)).await.expect("read");
    assert_eq!(rights(1).await, right(person(), Role::Delegate, 30, Some(NOW + 5)));
    assert_eq!(rights(2).await, right(person(), Role::Member, 10, None));
    assert_eq!(rights(3).await, right(other, Role::CoHolder, 20, Some(NOW)));

    let wanted = [
        ("Archive", Some(SpecialUse::Archive), true, true),
        ("Dossiers", None, false, true),
        ("Dossiers/2026", None, false, false),
        ("Dossiers/2026/Été", None, false, true),
        ("Drafts", Some(SpecialUse::Drafts), false, true),
        ("Essais", None, false, true),
        ("INBOX", None, true, true),
        ("Indésirables", Some(SpecialUse::Junk), true, true),
        ("Sent", Some(SpecialUse::Sent), true, true),
        ("Trash", Some(SpecialUse::Trash), true, true),
    ];
    let wanted = wanted.map(|(name, special_use, subscribed, there)| (name.to_owned(), special_use, subscribed, there));
    assert_eq!(tree(store, MailboxId(1)).await, wanted);
    let epochs: Vec<u32> =
        store.folders(MailboxId(1)).await.expect("listed").iter().map(|f| f.uid_validity.0 - NOW as u32).collect();
    assert_eq!(epochs, [2, 79, 80, 81, 3, 83, 1, 82, 5, 6]);
}

async fn check_mail(store: &Tested, large: bool) {
    let (one, two, three) = (MailboxId(1), MailboxId(2), MailboxId(3));
    let none = Flags::NONE;
    let answered = Flags::SEEN.with(Flags::ANSWERED);
    let rows: [Row; 9] = [
        (1, 1, Flags::SEEN, 15, 1, &[]),
        (2, 2, Flags::SEEN, 15, 2, &[]),
        (3, 3, answered, 4, 3, &["$Forwarded", "clé3"]),
        (4, 4, answered, 5, 4, &["$Forwarded", "clé4"]),
        (5, 5, none, 6, 5, &[]),
        (10, 10, Flags::DELETED, 17, 10, &[]),
        (11, 11, none, 12, 11, &[]),
        (12, 12, none, 13, 12, &[]),
        (13, 13, none, 14, 0, &[]),
    ];
    check_folder(store, one, "INBOX", 14, 20, &rows).await;
    let rows: [Row; 2] = [(1, 3, answered, 2, 3, &["$Forwarded", "clé3"]), (2, 5, none, 2, 5, &[])];
    check_folder(store, one, "Archive", 3, 2, &rows).await;
    check_folder(store, one, "Sent", 2, 2, &[(1, 13, none, 2, 0, &[])]).await;
    check_folder(store, one, "Trash", 3, 2, &[(1, 6, none, 2, 6, &[]), (2, 7, none, 2, 7, &[])]).await;
    check_folder(store, one, "Dossiers/2026/Été", 1, 1, &[]).await;
    let (inbox, archive) = (entries(store, one, "INBOX").await, entries(store, one, "Archive").await);
    assert_eq!((inbox[2].body, inbox[4].body), (archive[0].body, archive[1].body), "copies share");
    let gone = store.vanished(one, folder(store, one, "INBOX").await.id, ModSeq(0)).await.expect("read");
    assert_eq!((gone.uids, gone.complete), ((6..=9).map(Uid).collect(), true));
    let inbox = entries(store, two, "INBOX").await;
    assert_eq!(octets(store, two, &inbox[0]).await, numbered(13));
    assert_eq!(octets(store, two, &inbox[1]).await, numbered(14));
    if large {
        check_large(store, two, &inbox[2]).await;
        check_large(store, three, &entries(store, three, "Archive").await[0]).await;
    }
}

async fn check_queue(store: &Tested) {
    let queue = store.queue().await.expect("read");
    assert_eq!(queue.iter().map(|entry| entry.id).collect::<Vec<_>>(), [QueueId(1), QueueId(2)]);
    let (first, second) = (&queue[0], &queue[1]);
    let parameters =
        |utf8| MailParameters { return_full: Some(true), envelope_id: Some("env+2B1".into()), eight_bit: true, utf8 };
    assert_eq!((first.sender, &first.return_path), (Some(MailboxId(1)), &Some(address(1))));
    assert_eq!((second.sender, &second.return_path), (None, &None));
    assert_eq!((&first.parameters, &second.parameters), (&parameters(true), &parameters(false)));
    assert_eq!((first.accepted_at, first.expires_at), (NOW, NOW + 172_800));
    assert_eq!((second.accepted_at, second.expires_at), (NOW + 1, NOW + 172_801));
    for (entry, n) in [(first, 20), (second, 21)] {
        let body = store.queue_body(entry.id).await.expect("read").expect("there");
        assert_eq!(body.read_all().await.expect("read"), numbered(n));
        assert_eq!(entry.size as usize, numbered(n).len());
    }
    let recipient = |index, n, attempts, next_attempt, last_error: Option<&str>, delay_told| QueueRecipient {
        index,
        address: address(n),
        notify: Notify { success: true, failure: true, delay: false, explicit: true },
        original: Some(format!("rfc822;bal{n}@alpha.formation.mssante.fr")),
        attempts,
        next_attempt,
        last_error: last_error.map(Into::into),
        delay_told,
    };
    let text = |recipients: &[QueueRecipient]| format!("{recipients:?}");
    let wanted = [recipient(1, 6, 1, NOW + 900, Some("451 later"), true), recipient(2, 7, 0, NOW, None, false)];
    assert_eq!(text(&first.recipients), text(&wanted));
    assert_eq!(text(&second.recipients), text(&[recipient(0, 8, 0, NOW + 1, None, false)]));
}
