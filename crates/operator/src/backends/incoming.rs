//! A message that streams in: its header is held until it is whole and has been looked at, then everything goes to the store's
//! spool and to the structure scanner at once.
//!
//! Invariants: memory is bounded whatever the size of the message; nothing but our own trace fields is added, and only in
//! front; nothing is taken out but what the gate names ([`Gate::taken_out`]); a message is checked once its header is whole, before its body is taken.

use std::cell::RefCell;
use std::fmt::Write as _;

use mail::date::{Moment, format_rfc5322};
use mail::header;
use mail::mime::{Limits, Scanner};
use openssl::sha::Sha256;
use smtp::{Enhanced, Peer, Reply};
use store::{Content, Spool, StoreError};

use crate::backends::links::links;

/// The longest header block taken: mail in use has a few KiB; the structure scanner keeps no more of it either.
pub const MAX_HEADER: usize = 64 * 1024;
/// The field that tells whom to answer when delivery fails, written first of all by the server that delivers (RFC 5321 §4.4).
pub const RETURN_PATH: &str = "Return-Path: ";
/// RFC 5321 §6.3 wants a large number, at least 100 Received fields, before calling it a loop.
pub const MAX_HOPS: usize = 100;

/// A message on its way to the store.
pub struct Streamed {
    spool: Spool,
    scanner: Scanner,
}

impl Streamed {
    /// Nothing received yet.
    pub fn new(spool: Spool) -> Self {
        Streamed { spool, scanner: Scanner::new(Limits::default()) }
    }

    /// So many octets are about to come, if who sends them keeps its word: room is made for them at once.
    pub fn expect(&mut self, octets: u64) {
        self.spool.expect(octets);
    }

    /// The next octets.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&mut self, piece: &[u8]) -> store::Result<()> {
        self.scanner.push(piece);
        self.spool.write(piece).await
    }

    /// Gives back the memory it takes, to wait for others.
    ///
    /// # Errors
    /// The store's.
    pub async fn spill(&mut self) -> store::Result<()> {
        self.spool.spill().await
    }

    /// All was received.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish(self) -> store::Result<Content> {
        let structure = self.scanner.finish();
        let links = links(&structure.envelope);
        Ok(Content { body: self.spool.finish().await?, structure: structure.encode(), links })
    }
}

/// Looks at a whole header block and answers what goes in front of it.
pub trait Gate: Send {
    /// `header` ends with its empty line (or is the whole message when there is none).
    ///
    /// # Errors
    /// The reply that refuses the message.
    fn pass(&mut self, header: &[u8]) -> Result<Vec<u8>, Reply>;

    /// Fields that do not go on.
    fn taken_out(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A message received over SMTP: gate first, then stream.
pub struct Incoming<G> {
    streamed: Streamed,
    /// The header, until it is whole.
    header: Option<Vec<u8>>,
    /// Who decides what goes in front.
    pub gate: G,
    received: Sha256,
    octets: u64,
    limit: u64,
    /// Octets the peer said the message has (RFC 1870), if it did.
    said: Option<u64>,
}

/// A message received whole.
pub struct Arrived<G> {
    /// What goes to the store.
    pub content: Content,
    /// The gate, with what it learnt.
    pub gate: G,
    /// SHA-256 of the message as the peer sent it, cut to 128 bits.
    pub digest: [u8; 16],
}

impl<G: Gate> Incoming<G> {
    /// Nothing received yet; more than `limit` octets are refused. `said`: how many the peer said will come (RFC 1870), a hint only.
    pub fn new(spool: Spool, gate: G, limit: u64, said: Option<u64>) -> Self {
        Incoming {
            streamed: Streamed::new(spool),
            header: Some(Vec::new()),
            gate,
            received: Sha256::new(),
            octets: 0,
            limit,
            said,
        }
    }

    /// The next octets.
    ///
    /// # Errors
    /// The reply that refuses the message.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.received.update(piece);
        self.octets += piece.len() as u64;
        if self.octets > self.limit {
            return Err(Reply::MESSAGE_TOO_BIG);
        }
        let Some(mut held) = self.header.take() else {
            return self.streamed.write(piece).await.map_err(|e| reply(&e));
        };
        // The empty line may straddle two pieces: look again from a little before the end of what was held.
        let from = held.len().saturating_sub(3);
        held.extend_from_slice(piece);
        if held.starts_with(b"\r\n") || held[from..].windows(4).any(|w| w == b"\r\n\r\n") {
            return self.open(held).await;
        }
        if held.len() > MAX_HEADER {
            return Err(HEADER_TOO_LONG);
        }
        self.header = Some(held);
        Ok(())
    }

    /// All was received.
    ///
    /// # Errors
    /// The reply that refuses the message.
    pub async fn finish(mut self) -> Result<Arrived<G>, Reply> {
        if let Some(held) = self.header.take() {
            self.open(held).await?;
        }
        let content = self.streamed.finish().await.map_err(|e| reply(&e))?;
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.received.finish()[..16]);
        Ok(Arrived { content, gate: self.gate, digest })
    }

    async fn open(&mut self, held: Vec<u8>) -> Result<(), Reply> {
        let end = header::end(&held).unwrap_or(held.len());
        if end > MAX_HEADER {
            return Err(HEADER_TOO_LONG);
        }
        if header::count(&held[..end], "Received") > MAX_HOPS {
            return Err(LOOP);
        }
        let front = self.gate.pass(&held[..end])?;
        let (held, end) = match faults::ARMED {
            false => (held, end),
            true => {
                let changed = super::defects::changed(held, end);
                let end = header::end(&changed).unwrap_or(changed.len());
                (changed, end)
            }
        };
        if let Some(said) = self.said {
            self.streamed.expect(said.saturating_add(front.len() as u64));
        }
        self.streamed.write(&front).await.map_err(|e| reply(&e))?;
        let named = self.gate.taken_out().iter().filter(|name| header::count(&held[..end], name) > 0);
        let lean = named.fold(None, |lean: Option<Vec<u8>>, name| {
            Some(header::remove(lean.as_deref().unwrap_or(&held[..end]), name))
        });
        if let Some(lean) = lean {
            self.streamed.write(&lean).await.map_err(|e| reply(&e))?;
            return self.streamed.write(&held[end..]).await.map_err(|e| reply(&e));
        }
        self.streamed.write(&held).await.map_err(|e| reply(&e))
    }
}

/// A header whose lines other programs may read otherwise.
pub const NO_FIELD: Reply =
    Reply::fixed(550, Some(Enhanced(5, 6, 0)), "The header of the message has a line that is not part of a field");
/// Nothing can be decided without the white list: come back later.
pub const NO_LIST: Reply = Reply::fixed(
    451,
    Some(Enhanced(4, 4, 3)),
    "The white list of the trust space is not available yet, try again later",
);
const HEADER_TOO_LONG: Reply =
    Reply::fixed(554, Some(Enhanced(5, 6, 0)), "The header of the message is longer than 64 KiB");
const LOOP: Reply = Reply::fixed(554, Some(Enhanced(5, 4, 6)), "Too many hops: the message is going round");

/// What went wrong in the store, in SMTP's words. Nothing was acknowledged.
pub fn reply(error: &StoreError) -> Reply {
    match error {
        StoreError::OverQuota => Reply::fixed(452, Some(Enhanced(4, 2, 2)), "The mailbox is full"),
        StoreError::Full => Reply::STORAGE_FULL,
        StoreError::Closed => Reply::SHUTTING_DOWN,
        StoreError::NoSuchMailbox | StoreError::NoSuchFolder => Reply::NO_SUCH_MAILBOX,
        other => {
            tracing::error!("the store cannot answer: {other}");
            Reply::TRY_AGAIN
        }
    }
}

/// A number for a message, unique enough to find it again: in Received, in our 250 and in traces.
pub fn message_number() -> String {
    /// Octets of one number.
    const OCTETS: usize = 10;
    /// Numbers drawn at once: OpenSSL's generator takes as long for a few octets as for some hundreds.
    const TOGETHER: usize = 64;
    thread_local! { static DRAWN: RefCell<Vec<[u8; OCTETS]>> = const { RefCell::new(Vec::new()) } }
    let drawn = DRAWN.with_borrow_mut(|drawn| {
        drawn.pop().unwrap_or_else(|| {
            let mut fresh = [[0; OCTETS]; TOGETHER];
            openssl::rand::rand_bytes(fresh.as_flattened_mut())
                .expect("OpenSSL gives random numbers or nothing here could run");
            let [first, others @ ..] = fresh;
            drawn.extend_from_slice(&others);
            first
        })
    });
    drawn.iter().fold(String::with_capacity(2 * OCTETS), |mut number, octet| {
        // To a text in memory.
        let _ = write!(number, "{octet:02X}");
        number
    })
}

/// Our Received field (RFC 5321 §4.4): who gave it to us, how, under which number, for whom when there is one only.
pub fn received_field(
    peer: &Peer,
    hostname: &str,
    authenticated: bool,
    utf8: bool,
    number: &str,
    only_for: Option<&str>,
    now: i64,
) -> String {
    let tls = &peer.tls;
    let mut field = format!(
        "Received: from {} ([{}])\r\n\t(using {} with cipher {})\r\n\tby {hostname} with {} id {number}",
        peer.helo,
        peer.address.ip(),
        tls.version,
        tls.suite,
        peer.protocol(authenticated, utf8),
    );
    if let Some(address) = only_for {
        field.push_str(&format!("\r\n\tfor <{address}>"));
    }
    field.push_str(&format!(";\r\n\t{}\r\n", format_rfc5322(Moment::utc(now))));
    field
}
