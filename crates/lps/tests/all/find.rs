//! Correspondents, found in the sandbox's directory: by the interface, offline, by both. DIR-READ, SC.MSS/CONF.20

use std::sync::{Arc, Mutex};

use directory::Source;
use lps::Explain;
use lps::find::{Finder, Query, Sources};
use lps::trace::{Trace, Tracer};
use mssante::MailboxKind;

use crate::world::World;

#[derive(Default)]
struct Kept(Mutex<Vec<Trace>>);

impl Tracer for Kept {
    fn record(&self, trace: Trace) {
        self.0.lock().expect("no panic").push(trace);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_interface_offline_and_by_both() {
    let world = World::start().await;
    let kept = Arc::new(Kept::default());
    let finder = Finder::open(&world.space().with_tracer(kept.clone())).expect("configured");
    let who = Query::by_name("Leroy");
    let found = finder.find(&who, Sources::Auto, "899700000017").await.expect("found");
    assert_eq!(found.entries[0].address.to_string(), "sophie.leroy@beta.formation.mssante.fr");
    assert!(found.complete && found.doubts.is_empty());
    assert!(found.entries.iter().all(|entry| entry.source == Source::Api));

    // Offline, before and after the extraction is there.
    let error = finder.find(&who, Sources::Extraction, "").await.expect_err("no index yet");
    assert_eq!(error.code(), "find.no-index");
    finder.update(|_| {}, "").await.expect("brought in");
    let offline = finder.find(&who, Sources::Extraction, "").await.expect("found");
    assert!(offline.entries.iter().all(|entry| entry.source == Source::Extraction));
    let addresses = |found: &lps::find::Found| found.entries.iter().map(|e| e.address.clone()).collect::<Vec<_>>();
    assert_eq!(addresses(&offline), addresses(&found), "the same people in the same order");
    let both = finder.find(&who, Sources::Both, "").await.expect("found");
    assert_eq!(addresses(&both), addresses(&found), "nobody twice");
    assert!(both.entries.iter().all(|entry| entry.source == Source::Api), "the fresher one");
    // A BAL APP is known by the interface only.
    let software = Query { structure: "1750000001".parse().ok(), kinds: vec![MailboxKind::App], ..Query::default() };
    assert_eq!(finder.find(&software, Sources::Extraction, "").await.expect("searched").entries.len(), 0);
    assert_eq!(finder.find(&software, Sources::Auto, "").await.expect("searched").entries.len(), 1);

    let port = world.sandbox.ports().directory;
    // Nobody listens on port 1.
    let dead = |text: String| text.replace(&format!("https://127.0.0.1:{port}/fhir"), "https://127.0.0.1:1/fhir");
    let finder = Finder::open(&world.space_with(dead)).expect("configured");
    let found = finder.find(&who, Sources::Auto, "").await.expect("offline instead");
    assert_eq!(addresses(&found), addresses(&offline));
    assert_eq!(found.doubts.iter().map(|doubt| doubt.code()).collect::<Vec<_>>(), ["find.unreachable"]);
    assert!(!found.complete, "the interface might know more");
    let error = finder.find(&who, Sources::Api, "").await.expect_err("alone");
    assert!(error.is_temporary() && error.code() == "find.unreachable");
    assert_eq!(finder.find(&Query::default(), Sources::Auto, "").await.expect_err("empty").code(), "find.empty");

    std::fs::write(world.path().join("directory/wrong.key"), "0000-wrong\n").expect("written");
    let wrong = Finder::open(&world.space_with(|text| text.replace("directory/api.key", "directory/wrong.key")));
    let found = wrong.expect("configured").find(&who, Sources::Auto, "").await.expect("offline instead");
    assert_eq!(found.doubts.iter().map(|doubt| doubt.code()).collect::<Vec<_>>(), ["find.key"]);

    // SC.MSS/CONF.17, .18: who searched by what, not for whom.
    let traces = kept.0.lock().expect("no panic").clone();
    assert_eq!((traces[0].author.as_str(), traces[0].request.as_str()), ("899700000017", "directory: name"));
    assert!(traces[0].done && traces.iter().any(|trace| !trace.done));
    assert!(traces.iter().all(|trace| !format!("{trace:?}").to_lowercase().contains("leroy")));
    world.sandbox.stop().await;
}
