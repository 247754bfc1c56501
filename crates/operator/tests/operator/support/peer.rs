//! Another operator that does as it is told: answers recipients as asked, keeps what it takes, loses its answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use smtp::backend::{
    Accepted, AuthFailure, Backend, Credentials, Mechanism, MessageSink, Received, Sender, Transaction,
};
use smtp::{MailFrom, Rcpt, Reply, Role};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use trust::pki::Issued;
use trust::tls::{Acceptor, ClientCertificates, Profile, ServerTls};

use super::{Space, eventually};

/// A message taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub from: MailFrom,
    pub to: Vec<Rcpt>,
    pub octets: Vec<u8>,
    /// The DN of the operator that brought it.
    pub by: String,
}

impl Taken {
    pub fn recipients(&self) -> Vec<String> {
        self.to.iter().map(|to| to.path.to_string()).collect()
    }
}

#[derive(Default)]
struct Script {
    /// What recipients are answered, by local part; 250 else.
    answers: HashMap<String, Reply>,
    /// The connection is cut when the message was taken, before the answer, so many times.
    lose: usize,
    taken: Vec<Taken>,
    connections: usize,
    /// Anything said inside TLS beyond EHLO.
    transactions: usize,
}

/// The operator.
pub struct Peer {
    script: Arc<Mutex<Script>>,
    _running: DropGuard,
}

impl Peer {
    /// Runs as the operator `name`, with its certificate.
    pub async fn start(space: &Space, name: &str) -> Peer {
        Peer::with(space, name, &space.operator_certificate(name), u32::MAX).await
    }

    /// Runs at the place of the operator `name` with any certificate, taking `messages` of a connection.
    pub async fn with(space: &Space, name: &str, certificate: &Issued, messages: u32) -> Peer {
        let address = space.mx(name);
        let listener = eventually("the peer's port", || async { TcpListener::bind(address).await.ok() }).await;
        let tls = ServerTls {
            client_certificates: ClientCertificates::Recorded,
            anchors: space.anchors(),
            clock: space.clock.shared(),
            ..ServerTls::new(certificate.identity().expect("an identity"), Profile::Operator)
        };
        let config = Arc::new(smtp::Config {
            max_messages: messages,
            ..smtp::Config::new(
                Role::Mx,
                Acceptor::new(tls).expect("an acceptor"),
                format!("mx.{}", super::domain(name)),
            )
        });
        let script = Arc::<Mutex<Script>>::default();
        let stop = CancellationToken::new();
        let (peer_script, running) = (script.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = running.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, from)) = accepted else { continue };
                lock(&peer_script).connections += 1;
                let cut = Arc::new(Notify::new());
                let backend = Arc::new(Scripted { script: peer_script.clone(), cut: cut.clone() });
                let serving = smtp::serve(stream, from, config.clone(), backend, running.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serving => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        Peer { script, _running: stop.drop_guard() }
    }

    /// What recipients with this local part are answered.
    pub fn answer(&self, local: &str, reply: Option<Reply>) {
        let mut script = lock(&self.script);
        match reply {
            Some(reply) => script.answers.insert(local.to_owned(), reply),
            None => script.answers.remove(local),
        };
    }

    /// Takes the next `times` messages and says nothing of it.
    pub fn lose_answers(&self, times: usize) {
        lock(&self.script).lose = times;
    }

    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.script).taken.clone()
    }

    pub fn connections(&self) -> usize {
        lock(&self.script).connections
    }

    pub fn transactions(&self) -> usize {
        lock(&self.script).transactions
    }

    /// Waits until so many messages were taken.
    pub async fn wait(&self, count: usize) -> Vec<Taken> {
        eventually("messages at the peer", || async {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
        .await
    }
}

fn lock(script: &Mutex<Script>) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Scripted {
    script: Arc<Mutex<Script>>,
    cut: Arc<Notify>,
}

#[async_trait]
impl Backend for Scripted {
    fn mechanisms(&self) -> &[Mechanism] {
        &[]
    }

    async fn authenticate(&self, _: &smtp::Peer, _: Credentials) -> Result<Arc<dyn Sender>, AuthFailure> {
        Err(AuthFailure::Refused)
    }

    async fn identify(&self, _: &smtp::Peer) -> Result<Arc<dyn Sender>, Reply> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Sender for Scripted {
    async fn mail_from(&self, peer: &smtp::Peer, from: &MailFrom) -> Result<Box<dyn Transaction>, Reply> {
        lock(&self.script).transactions += 1;
        let by = peer.tls.peer.as_ref().map(|peer| peer.subject.to_string()).unwrap_or_default();
        let taken = Taken { from: from.clone(), to: Vec::new(), octets: Vec::new(), by };
        Ok(Box::new(Taking { peer: self.clone(), taken }))
    }
}

struct Taking {
    peer: Scripted,
    taken: Taken,
}

#[async_trait]
impl Transaction for Taking {
    async fn rcpt(&mut self, to: &Rcpt) -> Result<(), Reply> {
        let local = to.path.address().map(|address| address.local().to_owned()).unwrap_or_default();
        let answer = lock(&self.peer.script).answers.get(&local).cloned();
        match answer {
            Some(reply) => Err(reply),
            None => {
                self.taken.to.push(to.clone());
                Ok(())
            }
        }
    }

    async fn begin_data(self: Box<Self>) -> Result<Box<dyn MessageSink>, Reply> {
        Ok(self)
    }
}

#[async_trait]
impl MessageSink for Taking {
    async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.taken.octets.extend_from_slice(piece);
        Ok(())
    }

    async fn commit(self: Box<Self>, _: Received) -> Result<Accepted, Reply> {
        let lost = {
            let mut script = lock(&self.peer.script);
            script.taken.push(self.taken);
            let lost = script.lose > 0;
            script.lose = script.lose.saturating_sub(1);
            lost
        };
        if lost {
            self.peer.cut.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(Accepted { id: "taken".to_owned() })
    }
}
