//! A mailbox as letters, through the running server's admin socket or, when none runs, straight from the data folder.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use mssante::Address;
use operator::Config;
use operator::service::ADMIN_SOCKET;
use operator::transfer::letter::{Frames, line};
use operator::transfer::{Outcome, Post, give, receive};
use store::sqlite::Sqlite;
use store::{MailboxId, Store};
use tokio::net::UnixStream;

use crate::failure::Failure;

/// The way in.
pub enum Mailroom {
    /// The data folder is ours.
    Direct(Arc<dyn Store>, MailboxId),
    /// The server has it.
    Server(SendRequest<Full<Bytes>>, String),
}

impl Mailroom {
    /// By the running server's admin socket, or with the data folder and the keys that the configuration names.
    pub async fn open(config: &Config, address: &Address) -> Result<Self, Failure> {
        let data = &config.operator.data;
        match UnixStream::connect(data.join(ADMIN_SOCKET)).await {
            Ok(stream) => {
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Mailroom::Server(sender, format!("/mailboxes/{address}/letters")))
            }
            // No server: a lock tells if there is one after all.
            Err(_) => {
                let (path, keys) = (data.join("store"), config.store.clone());
                let store = tokio::task::spawn_blocking(move || Sqlite::open_with(&path, keys.options()?)).await??;
                let store: Arc<dyn Store> = Arc::new(store);
                let mailbox = receive::mailbox(&*store, address).await?;
                Ok(Mailroom::Direct(store, mailbox))
            }
        }
    }

    /// Puts letters in; on disk when it answers.
    pub async fn put(&mut self, posts: &[Post]) -> Result<Vec<Outcome>, Failure> {
        match self {
            Mailroom::Direct(store, mailbox) => Ok(receive::receive(store, *mailbox, posts).await?),
            Mailroom::Server(sender, path) => {
                let size = posts.iter().map(|post| post.octets.len() + 1024).sum();
                let mut frames = Vec::with_capacity(size);
                for post in posts {
                    frames.extend(line(&post.letter));
                    frames.extend_from_slice(&post.octets);
                }
                let answer = ask(sender, Method::POST, path, frames.into()).await?;
                let octets = answer.into_body().collect().await?.to_bytes();
                Ok(serde_json::from_slice(&octets)?)
            }
        }
    }

    /// How many messages there are, then each of them in turn to `sink`; answers how many were given.
    pub async fn take(
        &mut self,
        expect: impl FnOnce(u64),
        mut sink: impl FnMut(Post) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        match self {
            Mailroom::Direct(store, mailbox) => {
                let all = store.mailboxes().await?.into_iter().find(|m| m.id == *mailbox);
                expect(all.map_or(0, |m| m.usage.messages));
                let mut failed = None;
                let given = give::give(store, *mailbox, |post| {
                    failed = sink(post).err();
                    std::future::ready(Ok(failed.is_none()))
                });
                let given = given.await?;
                failed.map_or(Ok(given), Err)
            }
            Mailroom::Server(sender, path) => {
                let answer = ask(sender, Method::GET, path, Bytes::new()).await?;
                let count = answer.headers().get("x-messages").and_then(|v| v.to_str().ok()?.parse().ok());
                expect(count.unwrap_or(0));
                let (mut body, mut frames, mut given) = (answer.into_body(), Frames::default(), 0);
                while let Some(frame) = body.frame().await {
                    if let Ok(piece) = frame?.into_data() {
                        frames.push(&piece);
                    }
                    while let Some(post) = frames.next_post()? {
                        sink(post)?;
                        given += 1;
                    }
                }
                frames.end()?;
                Ok(given)
            }
        }
    }

    /// Ends well.
    pub async fn close(self) {
        if let Mailroom::Direct(store, _) = self {
            store.close().await;
        }
    }
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<hyper::Response<hyper::body::Incoming>, Failure> {
    let request = Request::builder().method(method).uri(path).header("host", "admin");
    sender.ready().await?;
    let answer = sender.send_request(request.body(Full::new(body))?).await?;
    if answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    let status = answer.status();
    let text = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(Failure::new(if text.is_empty() { format!("the server answers {status}") } else { text }))
}
