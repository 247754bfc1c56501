//! SEARCH of a large folder: what a session does for it beside what the index does.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use imap::backend::{
    Append, Copied, Failure, FlagChange, MessageBody, ObjectId, OpenFolder, Result, Seeking, Vanished,
};
use imap::server::counted::Searching;
use mail::bits::Bits;
use mail::mime::Structure;
use mail::sought::Sought;
use mail::{FolderName, ModSeq, Uid, View};
use tokio::sync::watch;

use super::inputs;

type Outcome = std::result::Result<(), String>;
type Runner<'r> = &'r mut dyn FnMut(&mut dyn FnMut());

/// Messages of the folder.
const COUNT: u32 = 50_000;

/// A folder of which one message in so many has any text.
struct Folder {
    view: watch::Sender<Arc<View>>,
    one_in: usize,
}

#[async_trait]
impl OpenFolder for Folder {
    fn id(&self) -> ObjectId {
        ObjectId { mailbox: 1, folder: 1 }
    }
    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }
    async fn structures(&self, _bodies: &[u64]) -> Result<Vec<Option<Structure>>> {
        Err(Failure::Unavailable)
    }
    async fn body(&self, _body: u64) -> Result<Option<Box<dyn MessageBody>>> {
        Err(Failure::Unavailable)
    }
    async fn seek(&self, sought: &[Sought], bodies: &Arc<Vec<u64>>) -> Result<Seeking> {
        let matching = match self.one_in {
            1 => Bits::all(bodies.len()),
            one_in => Bits::of(bodies.len(), (0..bodies.len() as u32).step_by(one_in)),
        };
        Ok(Seeking { judged: bodies.len(), matching: vec![matching; sought.len()] })
    }
    async fn set_flags(&self, _change: FlagChange) -> Result<Vec<Uid>> {
        Err(Failure::Unavailable)
    }
    async fn expunge(&self, _uids: Option<Vec<Uid>>) -> Result<Vec<Uid>> {
        Err(Failure::Unavailable)
    }
    async fn vanished(&self, _since: ModSeq) -> Result<Vanished> {
        Err(Failure::Unavailable)
    }
    async fn copy(&self, _uids: Vec<Uid>, _to: &FolderName) -> Result<Copied> {
        Err(Failure::Unavailable)
    }
    async fn move_to(&self, _uids: Vec<Uid>, _to: &FolderName) -> Result<Copied> {
        Err(Failure::Unavailable)
    }
    async fn replace(&self, _uid: Uid, _to: &FolderName) -> Result<Box<dyn Append>> {
        Err(Failure::Unavailable)
    }
}

/// Takes everything and counts it.
#[derive(Clone, Default)]
struct Sink(Arc<AtomicUsize>);

impl tokio::io::AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.fetch_add(octets.len(), Ordering::Relaxed);
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Does a search, of which the octets of the answer are known.
fn searched(run: Runner<'_>, one_in: usize, command: &[u8], octets: usize) -> Outcome {
    let folder = Folder { view: watch::channel(Arc::new(inputs::view(COUNT))).0, one_in };
    let sink = Sink::default();
    let mut searching = Searching::new(Arc::new(folder), Box::new(sink.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|e| e.to_string())?;
    let mut done = false;
    run(&mut || done = runtime.block_on(searching.search(command)));
    // The warm-up answered too.
    let answered = sink.0.load(Ordering::Relaxed) / 2;
    if done && answered == octets { Ok(()) } else { Err(format!("the answer has {answered} octets, not {octets}")) }
}

/// `* SEARCH`, the numbers each after a space, the line end.
fn octets(numbers: impl Iterator<Item = u32>) -> usize {
    "* SEARCH\r\n".len() + numbers.map(|n| 1 + n.to_string().len()).sum::<usize>()
}

/// Everything matches.
pub fn all(run: Runner<'_>) -> Outcome {
    searched(run, 1, b"a SEARCH SUBJECT rendu", octets(1..=COUNT))
}

/// Every other message, by UID: nothing follows anything.
pub fn half(run: Runner<'_>) -> Outcome {
    searched(run, 2, b"a UID SEARCH SUBJECT rendu", octets((1..=COUNT).step_by(2)))
}
