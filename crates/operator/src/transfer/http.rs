//! Letters over the server's admin socket: `POST /mailboxes/{address}/letters` takes frames and answers outcomes, `GET` gives frames.
//!
//! Whoever can open the socket is the administrator: the socket is readable by the server's user only.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use mssante::Address;
use store::{Store, StoreError};
use tokio::sync::mpsc;

use super::letter::{Frames, line};
use super::{MAX_BATCH, MAX_LETTERS, MAX_MESSAGE, TransferError, give, receive};

/// Letters on their way out that wait for the reader: with the largest message each, what a slow reader makes us keep.
const WAITING: usize = 2;
/// Octets of one request: a batch, or one message, and the lines.
const MAX_REQUEST: usize = MAX_MESSAGE as usize + MAX_BATCH;

/// The routes.
pub fn router(store: Arc<dyn Store>) -> Router {
    let limit = axum::extract::DefaultBodyLimit::max(MAX_REQUEST);
    Router::new().route("/mailboxes/{address}/letters", get(letters).post(post_letters)).layer(limit).with_state(store)
}

impl IntoResponse for TransferError {
    fn into_response(self) -> Response {
        let status = match &self {
            TransferError::NoMailbox(_) => StatusCode::NOT_FOUND,
            TransferError::Source(_) => StatusCode::BAD_REQUEST,
            TransferError::Store(StoreError::Full) => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}

fn address(text: &str) -> super::Result<Address> {
    text.parse().map_err(|e| TransferError::Source(format!("{text}: {e}")))
}

async fn post_letters(
    State(store): State<Arc<dyn Store>>,
    Path(to): Path<String>,
    body: Bytes,
) -> Result<Response, TransferError> {
    let mailbox = receive::mailbox(&*store, &address(&to)?).await?;
    let mut frames = Frames::default();
    frames.push(&body);
    drop(body);
    let wrong = |e: super::letter::FrameError| TransferError::Source(e.to_string());
    let mut posts = Vec::new();
    while let Some(post) = frames.next_post().map_err(wrong)? {
        posts.push(post);
        if posts.len() > MAX_LETTERS {
            return Err(TransferError::Source(format!("more than {MAX_LETTERS} letters")));
        }
    }
    frames.end().map_err(wrong)?;
    Ok(Json(receive::receive(&store, mailbox, &posts).await?).into_response())
}

async fn letters(State(store): State<Arc<dyn Store>>, Path(of): Path<String>) -> Result<Response, TransferError> {
    let (mailbox, messages) = give::count(&*store, &address(&of)?).await?;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(WAITING);
    tokio::spawn(async move {
        let out = &sender;
        let given = give::give(&store, mailbox, |post| async move {
            let head = out.send(Ok(line(&post.letter).into())).await;
            Ok(head.is_ok() && out.send(Ok(post.octets)).await.is_ok())
        });
        if let Err(error) = given.await {
            // An error in the middle cuts the answer short, which the reader sees.
            let _ = sender.send(Err(std::io::Error::other(error.to_string()))).await;
        }
    });
    let stream = Receiving(receiver);
    Ok(([("x-messages", messages.to_string())], Body::from_stream(stream)).into_response())
}

/// A channel as a stream.
struct Receiving(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl futures_core::Stream for Receiving {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
