//! kill -9 while a data folder of an earlier format is brought up to date.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::*;

/// The child of the test below: brings a folder up to date, and says when it begins and when all is done. Not a test by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_child() {
    let Some(folder) = std::env::var_os("VAGUEMESTRE_UPGRADE_FOLDER") else { return };
    println!("BEGINS");
    let _store = Sqlite::open(Path::new(&folder)).expect("brought up to date");
    settled(Path::new(&folder)).await;
    println!("DONE");
    std::future::pending::<()>().await;
}

/// Brings a folder up to date in a process that is killed (`kill -9`) so long after it began, or when all is done. Whether it was.
fn killed_while_brought_up(dir: &tempfile::TempDir, after: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "sqlite::tests::upgrade::killed::upgrade_child", "--nocapture"])
        .env("VAGUEMESTRE_UPGRADE_FOLDER", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut told = |word: &str| lines.any(|line| line.expect("read").ends_with(word));
    assert!(told("BEGINS"));
    std::thread::sleep(after);
    child.kill().expect("killed");
    child.wait().expect("ended");
    told("DONE")
}

/// Killed again and again, a little later each time: in the middle of its new tables, of the encryption of what was there in clear, of the wiping.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_after_a_kill() {
    let mut in_the_middle = 0;
    for (fixture, large, bodies, next_mailbox) in [("v2.tar.gz", true, 23, 8), ("v3.tar.gz", false, 21, 7)] {
        for step in 0.. {
            let dir = unpacked(fixture);
            let mut done = false;
            for again in 1..=2 {
                done = killed_while_brought_up(&dir, Duration::from_millis(4 * step * again));
            }
            let is_earlier = is_of_earlier_format(&dir.path().join(DATABASE)).expect("read");
            in_the_middle += usize::from(!is_earlier && left(dir.path()) > 0);
            let store = check_brought_up(&dir, large, bodies).await;
            check_used(&store, next_mailbox).await;
            if done {
                break;
            }
        }
    }
    assert!(in_the_middle > 0, "never killed while there was something left");
}
