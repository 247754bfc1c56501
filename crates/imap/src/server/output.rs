//! What goes to the client: gathered in a small buffer, written with back-pressure.
//!
//! Invariants: never more than [`HIGH_WATER`] octets and one response without its literals wait here; nothing is read from the
//! store for a client that does not take what it was given; a client that takes nothing for the write time-out is
//! dropped; the buffer of a session that waits is given back; what is written before the end of an answer is whole TLS records.

use std::fmt::{self, Write as _};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::Ended;
use super::deflate::Outbound;
use crate::parse::Names;
use crate::response;

/// Octets in a full TLS record. Less in a record costs the same system call, mark and wake-up of the client.
const RECORD: usize = 16 * 1024;
/// Octets gathered before they are written: several TLS records, which [`trust::tls`] sends by one system call.
pub(super) const HIGH_WATER: usize = 4 * RECORD;
/// Capacity kept between commands: most answers fit; thousands of waiting sessions must stay small.
const KEPT: usize = 2 * 1024;

/// The way to the client: boxed, so that commands need no type parameter.
pub(super) type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// The way out.
pub(super) struct Output {
    sink: Sink,
    buffer: Vec<u8>,
    /// How names of folders are written: whoever writes one asks here, or uses [`Output::folder`].
    pub(super) names: Names,
    time_out: Duration,
    shutdown: CancellationToken,
    deflated: Deflated,
}

/// Whether what goes out is deflated (RFC 4978).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deflated {
    No,
    /// Once what was gathered is written.
    Soon,
    Yes,
}

impl Output {
    pub(super) fn new(sink: Sink, time_out: Duration, shutdown: CancellationToken) -> Self {
        Output { sink, buffer: Vec::new(), names: Names::Utf7, time_out, shutdown, deflated: Deflated::No }
    }

    /// The buffer, to which a response is written whole or up to a literal's octets; follow with [`Output::room`].
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Octets as they are.
    pub(super) fn put(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// The name of a folder, as the client wants names.
    #[allow(dead_code, reason = "for responses of extensions")]
    pub(super) fn folder(&mut self, name: &str) {
        response::folder_text(&mut self.buffer, name, self.names);
    }

    /// Formatted text, nothing added.
    pub(super) fn text(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a vector cannot fail.
        let _ = Adapter(&mut self.buffer).write_fmt(text);
    }

    /// Formatted text and a line end.
    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.text(text);
        self.put(b"\r\n");
    }

    /// Whether [`Output::room`] would write.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= HIGH_WATER
    }

    /// Writes out what was gathered when it is a lot.
    pub(super) async fn room(&mut self) -> Result<(), Ended> {
        if self.buffer.len() < HIGH_WATER {
            return Ok(());
        }
        let whole = self.buffer.len() - self.buffer.len() % RECORD;
        let done = write_all(&mut self.sink, &self.buffer[..whole], self.time_out, &self.shutdown).await;
        self.buffer.drain(..whole);
        done
    }

    /// A piece of a message. A stop of the server does not wait for the rest of it.
    pub(super) async fn piece(&mut self, piece: &[u8]) -> Result<(), Ended> {
        if self.shutdown.is_cancelled() {
            return Err(Ended::Stalled);
        }
        if self.buffer.len() + piece.len() < HIGH_WATER {
            self.put(piece);
            return Ok(());
        }
        // Fills the last record of the buffer; whole records of the rest are not copied here.
        let (fill, rest) =
            piece.split_at(self.buffer.len().next_multiple_of(RECORD).abs_diff(self.buffer.len()).min(piece.len()));
        self.put(fill);
        self.room().await?;
        if rest.len() < RECORD {
            self.put(rest);
            return self.room().await;
        }
        self.write_buffer().await?;
        let (whole, rest) = rest.split_at(rest.len() - rest.len() % RECORD);
        write_all(&mut self.sink, whole, self.time_out, &self.shutdown).await?;
        self.put(rest);
        Ok(())
    }

    /// Writes everything out: at the end of each command and before waiting for anything of the client.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        self.write_buffer().await?;
        limited(self.sink.flush(), self.time_out, &self.shutdown).await?;
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        if self.deflated == Deflated::Soon {
            let plain = std::mem::replace(&mut self.sink, Box::new(tokio::io::sink()));
            self.sink = Box::new(Outbound::new(plain));
            self.deflated = Deflated::Yes;
        }
        Ok(())
    }

    /// Whether COMPRESS was done.
    pub(super) fn is_deflated(&self) -> bool {
        self.deflated != Deflated::No
    }

    /// Everything after the next flush goes out deflated.
    pub(super) fn deflate_after_flush(&mut self) {
        self.deflated = Deflated::Soon;
    }

    /// Says the last word, whatever the state of the session, and closes.
    pub(super) async fn close(&mut self) {
        /// Long enough for the last line, short enough not to hold a stop of the server.
        const LAST_WORD: Duration = Duration::from_secs(2);
        let _ = tokio::time::timeout(LAST_WORD, async {
            self.sink.write_all(&self.buffer).await?;
            self.sink.shutdown().await
        })
        .await;
        self.buffer = Vec::new();
    }

    async fn write_buffer(&mut self) -> Result<(), Ended> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let done = write_all(&mut self.sink, &self.buffer, self.time_out, &self.shutdown).await;
        self.buffer.clear();
        done
    }
}

/// Lets `write!` reach a vector.
struct Adapter<'a>(&'a mut Vec<u8>);

impl fmt::Write for Adapter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

async fn write_all(
    sink: &mut Sink,
    mut octets: &[u8],
    time_out: Duration,
    shutdown: &CancellationToken,
) -> Result<(), Ended> {
    while !octets.is_empty() {
        // Progress starts the time-out anew: slow is allowed, stopped is not.
        let n = limited(sink.write(octets), time_out, shutdown).await?;
        if n == 0 {
            return Err(Ended::Gone);
        }
        octets = &octets[n..];
    }
    Ok(())
}

/// One step of writing. A client that is not ready to take anything does not hold a stop of the server.
async fn limited<T>(
    step: impl Future<Output = std::io::Result<T>>,
    time_out: Duration,
    shutdown: &CancellationToken,
) -> Result<T, Ended> {
    tokio::select! {
        biased;
        done = tokio::time::timeout(time_out, step) => match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Stalled),
        },
        () = shutdown.cancelled() => Err(Ended::Stalled),
    }
}
