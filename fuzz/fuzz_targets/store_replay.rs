//! A data folder after a crash whose log was changed: it is opened or refused, and mended or not, and nothing panics. The input
//! is changes (place, kind, octet) to a segment of real mail; with an odd length, checksums are made right afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use store::contract::{Tested, address, made, put};
use store::sqlite::{Options, Sqlite};
use store::{MailParameters, NewQueueEntry, NewQueueRecipient, Notify, Store};
use tokio::runtime::{Builder, Runtime};

struct Bench {
    runtime: Runtime,
    root: PathBuf,
    segment: Vec<u8>,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name");
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).expect("copied")),
        }
    }
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let root = parent.join(format!("vaguemestre-replay-{}", std::process::id()));
        let data = root.join("data");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let segment = runtime.block_on(async {
            let store: Tested = Arc::new(Sqlite::open(&data).expect("opened"));
            let (one, two) = (made(&store, 1).await, made(&store, 2).await);
            put(&store, one, "INBOX", "Subject: before\r\n\r\nbody").await;
            store.close().await;
            drop(store);
            copy(&data, &root.join("before"));
            let store: Tested = Arc::new(Sqlite::open(&data).expect("opened"));
            put(&store, one, "INBOX", "Subject: one\r\n\r\nbody").await;
            put(&store, two, "Sent", "Subject: two\r\n\r\nbody").await;
            let entry = NewQueueEntry {
                sender: Some(one),
                return_path: Some(address(1)),
                parameters: MailParameters::default(),
                recipients: vec![NewQueueRecipient { address: address(3), notify: Notify::default(), original: None }],
                accepted_at: 1_790_000_000,
                expires_at: 1_790_000_005,
            };
            let content = store::contract::content("Subject: three\r\n\r\nbody");
            store.commit(store::Commit { content, enqueue: Some(entry), ..Default::default() }).await.expect("queued");
            store.close().await;
            std::fs::read(data.join("segments/00000001.seg")).expect("the first segment")
        });
        Bench { runtime, root, segment }
    })
}

fuzz_target!(|input: &[u8]| {
    let Bench { runtime, root, segment } = bench();
    let mut octets = segment.clone();
    for change in input.chunks_exact(4).take(32) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % octets.len();
        match change[2] % 4 {
            0 => octets[at] ^= change[3],
            1 => octets[at] = change[3],
            2 => octets[at..].iter_mut().take(8).for_each(|octet| *octet = change[3]),
            _ => octets.truncate(at.max(1)),
        }
    }
    if input.len() % 2 == 1 {
        store::sqlite::fuzzing::mend(&mut octets);
    }
    let work = root.join("work");
    let _ = std::fs::remove_dir_all(&work);
    copy(&root.join("before"), &work);
    std::fs::write(work.join("segments/00000001.seg"), &octets).expect("written");
    let used = || {
        let Ok(store) = Sqlite::open(&work) else { return };
        runtime.block_on(async {
            for mailbox in store.mailboxes().await.unwrap_or_default() {
                for folder in store.folders(mailbox.id).await.unwrap_or_default() {
                    let Ok(view) = store.watch(mailbox.id, folder.id).await else { continue };
                    let bodies: Vec<u64> = view.borrow().iter().map(|entry| entry.body).collect();
                    let _ = store.structures(mailbox.id, &bodies).await;
                    let _ = store.bodies(mailbox.id, &bodies).await;
                }
            }
            store.close().await;
        });
    };
    used();
    let _ = Sqlite::fsck(&work, true, Options::default());
    used();
});
