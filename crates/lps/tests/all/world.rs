//! A sandbox with servers of our own beside it: played operators, honest or not, under the sandbox's names and certificates.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lps::Space;
use patience::PATIENCE;
use sandbox::{Options, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trust::SystemClock;
use trust::tls::{Acceptor, Identity, Profile, ServerTls};

pub struct World {
    pub folder: tempfile::TempDir,
    pub sandbox: Sandbox,
}

/// The domain of operator alpha.
pub const ALPHA: &str = "alpha.formation.mssante.fr";

impl World {
    pub async fn start() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::start(Options::new(folder.path())).await.expect("starts");
        World { folder, sandbox }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The space of the sandbox's own settings.
    pub fn space(&self) -> Arc<Space> {
        Space::load(&self.path().join("lps.toml")).expect("good settings")
    }

    /// The same settings changed.
    pub fn space_with(&self, change: impl Fn(String) -> String) -> Arc<Space> {
        let path = self.path().join("lps.toml");
        let text = change(std::fs::read_to_string(&path).expect("written"));
        Space::parse(&text, &path, self.path().to_owned(), SystemClock::shared()).expect("good settings")
    }

    /// Autoconfiguration of alpha taken from our own port, and nothing kept.
    pub fn space_asking(&self, port: u16) -> Arc<Space> {
        let own = self.sandbox.ports().operators[0].autoconfig;
        self.space_with(|text| {
            let text = text.replace("cache = \"lps/cache\"\n", "");
            text.replace(&format!("\"{ALPHA}\" = {own}"), &format!("\"{ALPHA}\" = {port}"))
        })
    }

    /// A certificate of the sandbox by its file name: `alpha`, `negative/revoked`…
    pub fn identity(&self, name: &str) -> Identity {
        let file = |extension: &str| self.path().join(format!("pki/{name}.{extension}"));
        Identity::from_files(&file("pem"), &file("key")).expect("a certificate")
    }

    pub fn acceptor(&self, name: &str, profile: Profile) -> Acceptor {
        Acceptor::new(ServerTls::new(self.identity(name), profile)).expect("an acceptor")
    }

    /// Alpha's autoconfiguration, played: every request gets `answer`, whole as it goes on the wire.
    pub async fn autoconfiguration(&self, certificate: &str, answer: String) -> u16 {
        let acceptor = self.acceptor(certificate, Profile::Https);
        serve(move |tcp| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match tls.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = tls.write_all(answer.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        })
        .await
    }
}

/// Serves each connection with `play`, on a free port.
pub async fn serve<F, P>(play: P) -> u16
where
    F: Future<Output = ()> + Send + 'static,
    P: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(play(tcp));
        }
    });
    port
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Leads to a server and drops every connection now and then: after `every`, then after a little more each time, so that on a
/// machine where nothing is done so quickly a time comes that is enough.
pub async fn dropper(target: (String, u16), every: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (drop_all, _) = tokio::sync::broadcast::channel::<()>(1);
    let dropping = drop_all.clone();
    tokio::spawn(async move {
        let mut pause = every;
        loop {
            tokio::time::sleep(pause).await;
            let _ = dropping.send(());
            pause += every / 8;
        }
    });
    tokio::spawn(async move {
        while let Ok((mut ours, _)) = listener.accept().await {
            let mut dropped = drop_all.subscribe();
            let target = target.clone();
            tokio::spawn(async move {
                let Ok(mut theirs) = TcpStream::connect(target).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
                    _ = dropped.recv() => {
                        // As a firewall does: no farewell.
                        let _ = ours.set_zero_linger();
                    }
                }
            });
        }
    });
    port
}
