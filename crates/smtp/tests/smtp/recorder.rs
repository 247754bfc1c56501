//! A backend that records, and a server on a port of its own.
//!
//! Names decide: the sender `refused@` and the recipients `unknown@` (550), `later@` (451), the senders `nodata@` (refused at
//! DATA), `full@` (at the first piece) and `commit@` (at the end).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use smtp::{
    Accepted, AuthFailure, Backend, Config, Credentials, Enhanced, MailFrom, Mechanism, MessageSink, Peer, Rcpt,
    Received, Reply, Role, Sender, Transaction,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::tls::CertificateFault;

use crate::pki;

pub const GOOD: &[u8] = b"user=a@alpha.mssante.fr\x01auth=Bearer good\x01\x01";
pub const SLOW: &[u8] = b"user=a@alpha.mssante.fr\x01auth=Bearer unavailable\x01\x01";

#[derive(Clone, Debug)]
pub struct Message {
    pub from: MailFrom,
    pub to: Vec<Rcpt>,
    pub body: Vec<u8>,
    pub received: Received,
    pub helo: String,
    pub protocol: &'static str,
}

#[derive(Default)]
pub struct Recorder {
    pub messages: Mutex<Vec<Message>>,
    pub credentials: Mutex<Vec<Vec<u8>>>,
    pub identified: AtomicUsize,
}

impl Recorder {
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no panic").clone()
    }
}

struct Recording(Arc<Recorder>);

#[async_trait]
impl Backend for Recording {
    fn mechanisms(&self) -> &[Mechanism] {
        &[Mechanism::XOAuth2, Mechanism::External]
    }

    async fn authenticate(&self, _: &Peer, credentials: Credentials) -> Result<Arc<dyn Sender>, AuthFailure> {
        let (given, ok) = match &credentials {
            Credentials::XOAuth2(response) => (response.to_vec(), response.as_slice() == GOOD),
            Credentials::External(authzid) => (authzid.clone().into_bytes(), authzid == "app@alpha.mssante.fr"),
        };
        let unavailable = given == SLOW;
        self.0.credentials.lock().expect("no panic").push(given);
        match (ok, unavailable) {
            (true, _) => Ok(Arc::new(Known(Arc::clone(&self.0)))),
            (false, true) => Err(AuthFailure::Unavailable),
            (false, false) => Err(AuthFailure::Refused),
        }
    }

    async fn identify(&self, peer: &Peer) -> Result<Arc<dyn Sender>, Reply> {
        self.0.identified.fetch_add(1, Ordering::SeqCst);
        match peer.tls.client() {
            Ok(_) => Ok(Arc::new(Known(Arc::clone(&self.0)))),
            Err(CertificateFault::Missing) => Err(Reply::CERTIFICATE_REQUIRED),
            Err(fault) => Err(Reply::new(550, Enhanced(5, 7, 1), format!("Client certificate refused: {fault}"))),
        }
    }
}

struct Known(Arc<Recorder>);

#[async_trait]
impl Sender for Known {
    async fn mail_from(&self, peer: &Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply> {
        if from.path.to_string().starts_with("refused@") {
            return Err(Reply::NOT_ALLOWED);
        }
        Ok(Box::new(Writing {
            recorder: Arc::clone(&self.0),
            message: Message {
                from: from.clone(),
                to: Vec::new(),
                body: Vec::new(),
                received: Received::default(),
                helo: peer.helo.clone(),
                protocol: peer.protocol(true, from.smtputf8),
            },
        }))
    }
}

struct Writing {
    recorder: Arc<Recorder>,
    message: Message,
}

impl Writing {
    fn from(&self, name: &str) -> bool {
        self.message.from.path.to_string().starts_with(name)
    }
}

#[async_trait]
impl Transaction for Writing {
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply> {
        match to.path.to_string().split('@').next() {
            Some("unknown") => Err(Reply::NO_SUCH_MAILBOX),
            Some("later") => Err(Reply::TRY_AGAIN),
            _ => {
                self.message.to.push(to.clone());
                Ok(())
            }
        }
    }

    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply> {
        if self.from("nodata@") { Err(Reply::STORAGE_FULL) } else { Ok(self) }
    }
}

#[async_trait]
impl MessageSink for Writing {
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        assert!(piece.len() <= 64 * 1024);
        if self.from("full@") {
            return Err(Reply::STORAGE_FULL);
        }
        self.message.body.extend_from_slice(piece);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, received: Received) -> Result<Accepted, Reply> {
        if self.from("commit@") {
            return Err(Reply::TRY_AGAIN);
        }
        self.message.received = received;
        let mut messages = self.recorder.messages.lock().expect("no panic");
        messages.push(self.message);
        Ok(Accepted { id: format!("q{}", messages.len()) })
    }
}

/// A server that stops when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub recorder: Arc<Recorder>,
    pub shutdown: CancellationToken,
}

impl Server {
    pub async fn start(role: Role, change: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::new(role, pki::acceptor(role == Role::Mx), pki::HOST);
        change(&mut config);
        let config = Arc::new(config);
        let recorder = Arc::new(Recorder::default());
        let backend: Arc<dyn Backend> = Arc::new(Recording(Arc::clone(&recorder)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(smtp::serve(stream, peer, Arc::clone(&config), Arc::clone(&backend), token.clone()));
            }
        });
        Server { address, recorder, shutdown }
    }

    pub async fn submission() -> Server {
        Server::start(Role::Submission, |_| {}).await
    }

    pub async fn mx() -> Server {
        Server::start(Role::Mx, |_| {}).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
