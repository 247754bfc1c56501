//! kill -9 while it commits.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mail::Uid;
use rusqlite::Connection;

use super::super::{DATABASE, Sqlite};
use crate::body::INLINE_LIMIT;
use crate::contract::*;
use crate::*;

/// The child of the crash test: commits as fast as it can and says what was acknowledged. Not a test by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_child() {
    let Some(folder) = std::env::var_os("VAGUEMESTRE_CRASH_FOLDER") else { return };
    let store: Tested = Arc::new(Sqlite::open(Path::new(&folder)).expect("opened"));
    let mut mailboxes = Vec::new();
    for n in 1..=2 {
        let known = store.mailbox(&address(n)).await.expect("read");
        mailboxes.push(match known {
            Some(mailbox) => mailbox.id,
            None => made(&store, n).await,
        });
    }
    let round = std::env::var("VAGUEMESTRE_CRASH_ROUND").expect("given");
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8usize {
        let (store, round) = (store.clone(), round.clone());
        let id = mailboxes[writer % 2];
        tasks.spawn(async move {
            for n in 0.. {
                let text = format!("{round}/{writer}/{n}");
                let mut message = text.clone().into_bytes();
                // Every 16th is large enough for a file.
                let size = if n % 16 == 7 { INLINE_LIMIT + 1 } else { 2000 };
                message.resize(size, b' ');
                let mut spool = store.spool();
                spool.write(&message).await.expect("written");
                let content = Some(Content {
                    body: spool.finish().await.expect("finished"),
                    structure: b"s".to_vec(),
                    links: Vec::new(),
                });
                let commit = Commit { content, deliver: vec![to(id, "INBOX")], ..Commit::default() };
                let uid = uid_of(store.commit(commit).await.expect("committed").delivered[0]);
                // One write: a line is whole or absent.
                println!("ACK {} {} {text}", id.0, uid.0);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// `kill -9` while it commits: every acknowledged message is there exactly once (OPE-QUEUE).
#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut acknowledged: BTreeMap<(MailboxId, u32), String> = BTreeMap::new();
    for round in 0..4 {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "sqlite::tests::crash::crash_child", "--nocapture"])
            .env("VAGUEMESTRE_CRASH_FOLDER", dir.path())
            .env("VAGUEMESTRE_CRASH_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut seen = 0;
        for line in lines {
            let line = line.expect("read");
            // The test harness writes on the same line as the first.
            let mut words = line.split(' ').skip_while(|word| *word != "ACK").skip(1);
            let (Some(id), Some(uid), Some(text)) = (words.next(), words.next(), words.next()) else { continue };
            let key = (MailboxId(id.parse().expect("a number")), uid.parse().expect("a number"));
            assert_eq!(acknowledged.insert(key, text.to_owned()), None, "a UID was given twice");
            seen += 1;
            if seen == 60 + 70 * round {
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");
    }
    assert!(acknowledged.len() > 300);
    check(dir.path(), &acknowledged).await;
}

/// Everything acknowledged is there exactly once, and tables, views and files agree.
async fn check(folder: &Path, acknowledged: &BTreeMap<(MailboxId, u32), String>) {
    let store: Tested = Arc::new(Sqlite::open(folder).expect("opened"));
    let mut texts = Vec::new();
    for mailbox in store.mailboxes().await.expect("read") {
        let view = store.watch(mailbox.id, FolderId(1)).await.expect("watched").borrow().clone();
        let usage = Usage { octets: view.octets(), messages: view.len() as u64 };
        assert_eq!(mailbox.usage, usage);
        for entry in view.iter() {
            let octets = octets(&store, mailbox.id, entry).await;
            assert_eq!(octets.len(), entry.size as usize);
            let text = String::from_utf8(octets.trim_ascii().to_vec()).expect("text");
            if let Some(wanted) = acknowledged.get(&(mailbox.id, entry.uid.0)) {
                assert_eq!(&text, wanted);
            }
            texts.push(text);
        }
        for ((_, uid), _) in acknowledged.iter().filter(|((id, _), _)| *id == mailbox.id) {
            assert!(view.find(Uid(*uid)).is_some(), "an acknowledged message is lost");
        }
    }
    let all = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), all, "a message is there twice");
    store.close().await;
    let conn = Connection::open(folder.join(DATABASE)).expect("opened");
    let ask = |sql: &str| -> String { conn.query_row(sql, [], |row| row.get(0)).expect("answered") };
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_eq!(ask("SELECT CAST(count(*) AS TEXT) FROM body WHERE refs != 1"), "0");
    assert_eq!(
        ask("SELECT CAST((SELECT count(*) FROM body WHERE segment IS NULL) + (SELECT count(*) FROM content) AS TEXT)"),
        "0"
    );
    let named: usize = ask("SELECT CAST(count(*) AS TEXT) FROM body WHERE file IS NOT NULL").parse().expect("a number");
    let inside = |path: &Path| std::fs::read_dir(path).expect("readable").map(|e| e.expect("readable").path());
    let there: usize = inside(&folder.join("bodies")).map(|sub| inside(&sub).count()).sum();
    assert_eq!(named, there, "a file nobody names, or a name without file");
}
