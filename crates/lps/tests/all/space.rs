//! The space of a sandbox, as its `lps.toml` tells it.

use lps::{Endpoint, Space};
use sandbox::{Options, Sandbox};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_a_sandbox_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::start(Options::new(folder.path())).await.expect("starts");
    let space = Space::load(&folder.path().join(&sandbox.description.lps)).expect("good settings");
    assert_eq!(space.software.nil.as_str(), "3734");
    let imap = &sandbox.description.operators[0].imap;
    let endpoint = Endpoint { host: imap.name.clone(), port: imap.port };
    // By the sandbox's own name server.
    let stream = space.dial(&endpoint).await.expect("a connection");
    assert_eq!(stream.peer_addr().expect("connected").port(), imap.port);
    space.connector(None).expect("a connector");
    sandbox.stop().await;
}
