//! The platform of the tutorial, `examples/pfi.rs`, run as a program: documents come, are filed, answered and cleaned away.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lps::documents::{DocumentSet, Given};
use lps::send::{SendOptions, send};
use lps::session::{Listing, Session};
use patience::PATIENCE;

use crate::people::{application, built, draft, marie, preparation, to, tokens};
use crate::world::{World, eventually};

const N1: &[u8] = include_bytes!("../../../../tests/fixtures/cda-n1-biologie.xml");

/// Cargo builds examples beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let program = test.parent().and_then(Path::parent).expect("target/debug").join("examples/pfi");
    assert!(program.exists(), "{} is built with the tests of this crate", program.display());
    program
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut all = Vec::new();
    for path in found.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_of_the_tutorial() {
    let world = World::start().await;
    let space = world.space();
    let labo = application(&world, "beta");
    let own = &world.sandbox.description.applications.iter().find(|a| a.operator == "beta").expect("one").clone();
    let records = world.path().join("dossiers");
    let child = tokio::process::Command::new(program())
        .arg(world.path().join("lps.toml"))
        .arg(labo.address.to_string())
        .args([world.path().join(&own.certificate), world.path().join(&own.key), records.clone()])
        .arg("Laboratoire Beta")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");

    let account = marie(&world, tokens(&world, &[]), None);
    let how = preparation(&space);
    let set = DocumentSet::prepare(&[Given::bytes(N1)], &how).expect("sound");
    let message = built(draft(&space).to(to(&labo.address.to_string())).documents(&set).ask_receipt()).await;
    send(&space, &account, &message, &SendOptions::default()).await.expect("sent");

    // It is filed, and she reads so.
    let hers = Session::open(space.clone(), account).await.expect("open");
    eventually("the notice", async || {
        let listed = hers.list("INBOX", &Listing::all()).await.expect("listed");
        (!listed.is_empty()).then_some(())
    })
    .await;
    let filed = files(&records);
    assert_eq!(filed.len(), 1, "{filed:?}");
    assert_eq!(std::fs::read(&filed[0]).expect("read"), N1);

    // Ctrl-C: it cleans, and says so.
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().expect("it runs")).expect("a number"));
    let session = Session::open(space, labo).await.expect("open");
    assert_eq!(session.list("INBOX", &Listing::all()).await.expect("listed").len(), 1);
    rustix::process::kill_process(pid.expect("a process"), rustix::process::Signal::INT).expect("told");
    let done = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends");
    let done = done.expect("it ran");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("filed: 1 document(s)") && said.contains("deleted 1, spared 0"), "{said}");
    assert_eq!(session.list("INBOX", &Listing::all()).await.expect("listed").len(), 0);
    world.sandbox.stop().await;
}
