//! Backups, restores, keys apart, and what a repair takes from a backup.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::keys::MasterKey;

/// A data folder, a master key and places for what leaves it.
struct Site {
    dir: tempfile::TempDir,
    master: String,
}

impl Site {
    fn new() -> Site {
        Site { dir: tempfile::tempdir().expect("a folder"), master: "5a".repeat(32) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> Options {
        Options::with_keeper(MasterKey::parse(&self.master).expect("a key"))
    }

    fn open(&self, data: &str) -> Tested {
        std::fs::create_dir_all(self.at(data)).expect("made");
        Arc::new(Sqlite::open_with(&self.at(data).join("store"), self.options()).expect("opened"))
    }

    fn backup(&self, data: &str, target: &str, served: bool) -> Result<BackedUp> {
        let making = Making { data: &self.at(data), target: &self.at(target), served, verify: false, program: "test" };
        backup(&making, &mut || true, &mut |done, total| assert!(done <= total))
    }

    fn export(&self, data: &str) -> u64 {
        Sqlite::export_keys(&self.at(data).join("store"), &self.at("keys"), self.options()).expect("exported")
    }

    fn restoring<T>(&self, from: &str, data: &str, then: impl FnOnce(Restoring<'_>) -> T) -> T {
        then(Restoring {
            from: &self.at(from),
            data: &self.at(data),
            keys: &self.at("keys"),
            master_key: None,
            options: self.options(),
            without_queue: false,
            empty_without_key: false,
        })
    }

    fn restore(&self, from: &str, data: &str) -> Result<Restored> {
        self.restoring(from, data, |how| restore(&how, &mut |_, _| {}))
    }

    fn fsck(&self, data: &str, repair: bool, backup: Option<&str>) -> Report {
        let backup = backup.map(|name| self.at(name));
        let how = Checking {
            store: &self.at(data).join("store"),
            repair,
            backup: backup.as_deref(),
            options: self.options(),
        };
        Sqlite::fsck_with(&how, &mut |done, total| assert!(done <= total)).expect("looked over")
    }
}

async fn large(store: &Tested, id: MailboxId, octet: u8) {
    let mut spool = store.spool();
    spool.write(&vec![octet; INLINE_LIMIT * 2 + 3]).await.expect("written");
    let body = spool.finish().await.expect("finished");
    let content = Some(Content { body, structure: b"large".to_vec(), links: Vec::new() });
    store.commit(Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() }).await.expect("committed");
}

fn files(folder: &Path) -> HashSet<PathBuf> {
    let mut all = HashSet::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path);
        }
    }
    all
}

async fn erased(store: &Tested, id: MailboxId, n: u32) {
    let entry = entries(store, id, "INBOX").await[0];
    store.delete_mailbox(id).await.expect("deleted");
    assert!(store.mailbox(&address(n)).await.expect("read").is_none());
    assert!(store.body(id, entry.body).await.is_ok_and(|body| body.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_moment_and_comes_back() {
    let site = Site::new();
    let store = site.open("data");
    let one = made(&store, 1).await;
    put(&store, one, "INBOX", "before").await;
    large(&store, one, b'L').await;
    let first = entries(&store, one, "INBOX").await;
    // While mail comes, before it begins and after it has ended.
    let (enough, more) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
    let busy = tokio::spawn({
        let (store, enough, more) = (store.clone(), enough.clone(), more.clone());
        async move {
            let mut number = 0u32;
            while number < 50 || !enough.load(Ordering::Relaxed) {
                put(&store, one, "INBOX", format!("during {number}")).await;
                if number.is_multiple_of(40) {
                    large(&store, one, number as u8).await;
                }
                if number == 20 {
                    more.notify_one();
                }
                number += 1;
            }
            put(&store, one, "INBOX", "after").await;
        }
    });
    more.notified().await;
    let done = {
        let _hold = store.hold().expect("files");
        site.backup("data", "copy", true).expect("copied")
    };
    assert_eq!(done.missing, 0);
    assert!(matches!(site.backup("data", "copy", false), Err(StoreError::Unusable(_))), "a server uses it");
    enough.store(true, Ordering::Relaxed);
    busy.await.expect("no panic");
    assert!(!site.at("copy/store/keys").exists());
    assert_eq!(site.export("data"), 2);
    let all = entries(&store, one, "INBOX").await;
    let restored = site.restore("copy", "new").expect("restored");
    assert_eq!(restored.about, done.about);
    assert!(matches!(site.restore("copy", "new"), Err(StoreError::Unusable(_))), "never over mail");
    let report = site.fsck("new", false, None);
    assert!(report.clean(), "{report:?}");
    let again = site.open("new");
    let found = entries(&again, one, "INBOX").await;
    assert_eq!(found.len() as u64, done.about.messages);
    assert!(found.len() >= 2 && found.len() < all.len());
    for (found, known) in found.iter().zip(&all) {
        assert_eq!((found.uid, found.body, found.size), (known.uid, known.body, known.size));
        assert_eq!(octets(&again, one, found).await, octets(&store, one, known).await);
    }
    assert_eq!(octets(&again, one, &found[1]).await, octets(&store, one, &first[1]).await);
    // Nothing given since the backup is given again, and a client that knew later states asks for all of them.
    let id = folder(&again, one, "INBOX").await.id;
    let (then, view) = (
        store.watch(one, id).await.expect("watched").borrow().clone(),
        again.watch(one, id).await.expect("watched").borrow().clone(),
    );
    assert_eq!(view.uid_validity, then.uid_validity);
    assert!(view.uid_next > then.uid_next && view.highest_modseq > then.highest_modseq);
    assert!(view.iter().all(|entry| entry.modseq > then.highest_modseq));
    assert!(!again.vanished(one, id, then.highest_modseq).await.expect("told").complete);
    assert!(again.vanished(one, id, view.highest_modseq).await.expect("told").complete);
    let next = put(&again, one, "INBOX", "only in the copy").await;
    assert!(next >= view.uid_next);
    assert!(made(&again, 2).await.0 > made(&store, 2).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_backup_is_not_copied_again_and_the_former_one_stays_whole() {
    let site = Site::new();
    let store = site.open("data");
    let one = made(&store, 1).await;
    for n in 0..300 {
        put(&store, one, "INBOX", vec![n as u8; INLINE_LIMIT - 100]).await;
    }
    large(&store, one, b'L').await;
    let full = site.backup("data", "copy", true).expect("copied");
    assert!(full.copied.0 >= 4, "two segments, a large body, the database: {full:?}");
    put(&store, one, "INBOX", "more").await;
    let before = files(&site.at("copy"));
    let second = site.backup("data", "copy", true).expect("copied");
    assert_eq!(second.files.0, full.files.0);
    assert_eq!(second.copied.0, 2, "the last segment and the database: {second:?}");
    assert!(second.copied.1 < full.copied.1 / 2);
    assert_eq!(files(&site.at("copy")).len(), before.len(), "what nobody names went");
    // One that is cut off by a crash or a full disk leaves the one before as it was.
    std::fs::write(site.at("copy/store/segments/copying.new"), "half").expect("written");
    std::fs::write(site.at("copy/store.db.new"), "half").expect("written");
    site.export("data");
    site.restore("copy", "new").expect("restored");
    let third = site.backup("data", "copy", true).expect("copied");
    assert!(third.copied.0 <= 2);
    assert!(!site.at("copy/store/segments/copying.new").exists() && !site.at("copy/store.db.new").exists());
    // One that rots is found by `verify` and by a restore.
    let segment =
        files(&site.at("copy")).into_iter().find(|p| p.to_string_lossy().contains("00000001.seg")).expect("there");
    let mut octets = std::fs::read(&segment).expect("read");
    octets[5000] ^= 1;
    std::fs::write(&segment, octets).expect("written");
    assert!(matches!(site.restore("copy", "other"), Err(StoreError::Damaged(_))));
    assert!(!site.at("other/store").exists());
    let (data, target) = (site.at("data"), site.at("copy"));
    let making = Making { data: &data, target: &target, served: true, verify: true, program: "test" };
    assert_eq!(backup(&making, &mut || true, &mut |_, _| {}).expect("copied").renewed, 1);
    site.restore("copy", "other").expect("restored");
    assert!(site.fsck("other", false, None).clean());
    // Not into a folder of other things, nor into the data folder.
    std::fs::create_dir(site.at("home")).expect("made");
    std::fs::write(site.at("home/letter"), "mine").expect("written");
    assert!(matches!(site.backup("data", "home", true), Err(StoreError::Unusable(_))));
    assert!(matches!(site.backup("data", "data/copy", true), Err(StoreError::Unusable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_while_they_are_held() {
    let site = Site::new();
    let store = site.open("data");
    let one = made(&store, 1).await;
    let bodies = site.at("data/store/bodies");
    large(&store, one, b'L').await;
    let hold = store.hold().expect("files");
    erased(&store, one, 1).await;
    store.maintain(NOW).await.expect("maintained");
    assert_eq!(files(&bodies).len(), 1, "somebody copies it");
    drop(hold);
    assert_eq!(files(&bodies).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_does_not_come_back() {
    let site = Site::new();
    let store = site.open("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put(&store, one, "INBOX", "to be forgotten").await;
    put(&store, two, "INBOX", "kept").await;
    assert_eq!(site.export("data"), 3);
    let old_export = std::fs::read(site.at("keys")).expect("read");
    site.backup("data", "copy", true).expect("copied");
    erased(&store, one, 1).await;
    assert_eq!(site.export("data"), 2, "in place of the former one");
    store.close().await;
    drop(store);
    // The wrapped key is nowhere in the data folder, nor in the new export, nor in the backup: without it nothing decrypts.
    let wrapped = &old_export[16 + 10 + 60 + 10..16 + 10 + 60 + 10 + 60];
    for file in files(&site.at("data")).into_iter().chain(files(&site.at("copy"))).chain([site.at("keys")]) {
        let octets = std::fs::read(&file).expect("read");
        assert!(!octets.windows(wrapped.len()).any(|w| w == wrapped), "{}", file.display());
        assert!(!octets.windows(15).any(|w| w == b"to be forgotten"), "{}", file.display());
    }
    let restored = site.restore("copy", "new").expect("restored");
    assert_eq!((restored.erased, restored.emptied.len()), (1, 0));
    let again = site.open("new");
    assert!(again.mailbox(&address(1)).await.expect("read").is_none());
    assert_eq!(octets(&again, two, &entries(&again, two, "INBOX").await[0]).await, "kept");
    // Its address may be given again; nothing of before is in it.
    let anew = made(&again, 1).await;
    assert!(anew != one && entries(&again, anew, "INBOX").await.is_empty());
    again.close().await;
    drop(again);
    assert!(site.fsck("new", false, None).clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_older_than_the_backup_says_whose_mail_is_lost() {
    let site = Site::new();
    let store = site.open("data");
    made(&store, 1).await;
    site.export("data");
    let two = made(&store, 2).await;
    put(&store, two, "INBOX", "without a key").await;
    site.backup("data", "copy", true).expect("copied");
    let error = site.restore("copy", "new").expect_err("refused");
    assert!(error.to_string().contains(&address(2).to_string()), "{error}");
    let restored =
        site.restoring("copy", "new", |how| restore(&Restoring { empty_without_key: true, ..how }, &mut |_, _| {}));
    assert_eq!(restored.expect("restored").emptied, [address(2).to_string()]);
    let again = site.open("new");
    assert!(entries(&again, two, "INBOX").await.is_empty());
    put(&again, two, "INBOX", "goes on").await;
    again.close().await;
    drop(again);
    assert!(site.fsck("new", false, None).clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_wrapped_anew_all_or_none() {
    let mut site = Site::new();
    let store = site.open("data");
    let (one, two) = (made(&store, 1).await, made(&store, 2).await);
    put(&store, one, "INBOX", "kept").await;
    put(&store, two, "INBOX", "x").await;
    erased(&store, two, 2).await;
    let folder = site.at("data/store");
    let new = || Arc::new(MasterKey::parse(&"c3".repeat(32)).expect("a key"));
    assert!(matches!(Sqlite::rewrap_keys(&folder, site.options(), new()), Err(StoreError::Unusable(_))), "served");
    store.close().await;
    drop(store);
    site.export("data");
    let wrong = Options::with_keeper(MasterKey::parse(&"11".repeat(32)).expect("a key"));
    let before = std::fs::read(folder.join("keys/data.keys")).expect("read");
    assert!(Sqlite::rewrap_keys(&folder, wrong.clone(), new()).is_err());
    assert!(Sqlite::export_keys(&folder, &site.at("wrong"), wrong).is_err() && !site.at("wrong").exists());
    assert_eq!(std::fs::read(folder.join("keys/data.keys")).expect("read"), before);
    assert_eq!(Sqlite::rewrap_keys(&folder, site.options(), new()).expect("wrapped"), 2);
    assert!(Sqlite::open_with(&folder, site.options()).is_err(), "the former master key opens nothing");
    site.master = "c3".repeat(32);
    assert!(Sqlite::import_keys(&folder, &site.at("keys"), site.options()).is_err(), "wrapped by the former one");
    site.export("data");
    let known = Sqlite::import_keys(&folder, &site.at("keys"), site.options()).expect("nothing to do");
    assert_eq!(known, KeysBrought { brought: 0, known: 2, destroyed: 1 });
    let store = site.open("data");
    assert_eq!(octets(&store, one, &entries(&store, one, "INBOX").await[0]).await, "kept");
    // A file of other things is not overwritten; a torn export is no export.
    std::fs::write(site.at("letter"), "a letter to somebody").expect("written");
    assert!(Sqlite::export_keys(&folder, &site.at("letter"), site.options()).is_err());
    let whole = std::fs::read(site.at("keys")).expect("read");
    store.close().await;
    drop(store);
    for cut in 0..whole.len() {
        std::fs::write(site.at("torn"), &whole[..cut]).expect("written");
        assert!(Sqlite::import_keys(&folder, &site.at("torn"), site.options()).is_err(), "{cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_takes_what_is_lost_from_a_backup() {
    let site = Site::new();
    let store = site.open("data");
    let one = made(&store, 1).await;
    for n in 0..20 {
        put(&store, one, "INBOX", format!("message {n} {}", "x".repeat(500))).await;
    }
    large(&store, one, b'L').await;
    site.backup("data", "copy", true).expect("copied");
    put(&store, one, "INBOX", "after the backup").await;
    let then = entries(&store, one, "INBOX").await;
    store.close().await;
    drop(store);
    // Octets of a segment, a large body, and then the database.
    let segment = site.at("data/store/segments/00000001.seg");
    let mut damaged = std::fs::read(&segment).expect("read");
    damaged[350] ^= 0x10;
    std::fs::write(&segment, &damaged).expect("written");
    let body = files(&site.at("data/store/bodies")).into_iter().next().expect("there");
    std::fs::write(&body, b"short").expect("written");
    let found = site.fsck("data", false, None);
    assert_eq!(found.damaged.len(), 2, "{found:?}");
    assert_eq!(site.fsck("data", true, None).damaged, found.damaged, "named, and nothing lost");
    let report = site.fsck("data", true, Some("copy"));
    assert_eq!((report.rescued, report.damaged.len()), (2, 0), "{report:?}");
    assert!(site.fsck("data", false, None).clean());
    for what in ["gone", "rotten"] {
        let database = site.at("data/store/store.db");
        match what {
            "gone" => std::fs::remove_file(&database).expect("removed"),
            _ => std::fs::write(&database, vec![7; 40_000]).expect("written"),
        }
        let how = Checking { store: &site.at("data/store"), repair: true, backup: None, options: site.options() };
        assert!(matches!(Sqlite::fsck_with(&how, &mut |_, _| {}), Err(StoreError::Unusable(_))), "{what}");
        let report = site.fsck("data", true, Some("copy"));
        assert!(report.database_brought && report.damaged.is_empty(), "{what} {report:?}");
        let again = site.fsck("data", false, None);
        assert!(again.clean(), "{what} {again:?}");
        let store = site.open("data");
        let now = entries(&store, one, "INBOX").await;
        assert_eq!(
            now.iter().map(|e| e.uid).collect::<Vec<_>>(),
            then.iter().map(|e| e.uid).collect::<Vec<_>>(),
            "{what}"
        );
        assert_eq!(octets(&store, one, &now[21]).await, "after the backup");
        for (n, entry) in now[..20].iter().enumerate() {
            assert!(octets(&store, one, entry).await.starts_with(format!("message {n} ").as_bytes()));
        }
        let id = folder(&store, one, "INBOX").await.id;
        assert!(store.watch(one, id).await.expect("watched").borrow().uid_next.0 > 1_000_000, "{what}");
        store.close().await;
    }
}
