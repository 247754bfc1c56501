//! The stress test of the IMAP server (`crates/imap/tests/stress`) against the program itself, killed (SIGKILL) in the middle of it
//! again and again: what was told stays true, and QRESYNC gives exactly what was missed.
//!
//! `STRESS_CRASHES` (4) and `STRESS_SEED` say how often and what.

#[path = "../../imap/tests/stress/driver.rs"]
#[allow(dead_code, reason = "what runs without crashes is for the other tests")]
mod driver;
#[path = "../../imap/tests/stress/picture.rs"]
mod picture;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use trust::revocation::Revocation;
use trust::tls::{Anchors, ClientTls, Connector, Identity, Profile, Tls13};

use driver::{Connect, Crash, Plan, Stream};

/// A sandbox on a machine with other work.
const START: Duration = patience::PATIENCE;

/// The program, running a sandbox; killed when dropped.
struct Program {
    folder: PathBuf,
    child: Mutex<Child>,
    port: u16,
    mailbox: String,
    connector: Connector,
}

impl Drop for Program {
    fn drop(&mut self) {
        kill(&self.child);
    }
}

fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

/// Starts it and waits until everything listens.
async fn start(folder: &Path) -> (Child, Value) {
    let json = folder.join("sandbox.json");
    let _ = std::fs::remove_file(&json);
    let mut child = Command::new(env!("CARGO_BIN_EXE_vaguemestre"))
        .args(["sandbox", "--no-self-check", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let up = async {
        loop {
            assert_eq!(child.try_wait().expect("a child"), None, "the sandbox ended");
            if let Ok(text) = std::fs::read(&json) {
                return serde_json::from_slice(&text).expect("written whole");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let description = tokio::time::timeout(START, up).await.expect("it starts in time");
    (child, description)
}

impl Program {
    async fn begin(folder: &Path) -> Program {
        let (child, description) = start(folder).await;
        let text = |pointer: &str| description.pointer(pointer).and_then(Value::as_str).expect("there").to_owned();
        let port = description["operators"][0]["imap_app"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let file = |pointer: &str| folder.join(text(pointer));
        let identity = Identity::from_files(&file("/applications/0/certificate"), &file("/applications/0/key"));
        let connector = Connector::new(ClientTls {
            identity: Some(identity.expect("a certificate")),
            profile: Profile::ApiLps,
            tls13: Tls13::Allowed,
            tls10_until: None,
            anchors: Anchors::from_file(&file("/pki/ca")).expect("authorities"),
            revocation: Arc::new(Revocation::none()),
            clock: trust::SystemClock::shared(),
        });
        Program {
            folder: folder.to_owned(),
            child: Mutex::new(child),
            port: port.expect("a port"),
            mailbox: text("/applications/0/mailbox"),
            connector: connector.expect("a connector"),
        }
    }
}

/// Lines up to the one that begins so.
async fn until(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), start: &str) {
    // Octet by octet: nothing of what follows may be taken.
    let mut line = Vec::new();
    loop {
        let octet = tokio::io::AsyncReadExt::read_u8(stream).await.expect("an answer");
        line.push(octet);
        if octet == b'\n' {
            if line.starts_with(start.as_bytes()) {
                return;
            }
            line.clear();
        }
    }
}

impl Connect for Program {
    async fn connect(&self) -> Stream {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        until(&mut tcp, "* OK").await;
        tcp.write_all(b"s STARTTLS\r\n").await.expect("written");
        until(&mut tcp, "s OK").await;
        let tls = self.connector.connect("127.0.0.1", tcp).await.expect("TLS");
        let mut stream = BufReader::new(tls);
        let response = BASE64_STANDARD.encode(&self.mailbox);
        stream.write_all(format!("l AUTHENTICATE EXTERNAL {response}\r\n").as_bytes()).await.expect("written");
        stream.flush().await.expect("written");
        let mut line = String::new();
        while !line.starts_with("l ") {
            line.clear();
            assert!(stream.read_line(&mut line).await.expect("an answer") > 0, "closed");
        }
        assert!(line.starts_with("l OK"), "{line}");
        Box::pin(stream)
    }
}

impl Crash for Program {
    async fn crash(&self) {
        kill(&self.child);
        let (child, description) = start(&self.folder).await;
        assert_eq!(description["operators"][0]["imap_app"]["port"], self.port, "the same ports again");
        *self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = child;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_stays_true_through_crashes() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::begin(folder.path()).await;
    let crashes = std::env::var("STRESS_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    driver::run_through_crashes(program, Plan::from_environment(), crashes).await;
}
