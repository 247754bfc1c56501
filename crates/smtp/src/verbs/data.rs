//! DATA (RFC 5321 §4.1.1.4): the message goes to the sink as it comes. See [`crate::data`] for where it ends.

use tokio::time::Instant;

use crate::backend::{MessageSink, Received};
use crate::data::{Decoder, Fault};
use crate::reply::{Enhanced, Reply};
use crate::server::{Flow, Open, Session};

/// Octets read beyond [`Config::max_size`](crate::server::Config::max_size) to answer 552 at the end of the message, as RFC
/// 1870 §6 wants; a peer that goes on longer is cut off.
const MAX_EXCESS: u64 = 64 * 1024 * 1024;

pub(crate) async fn data(session: &mut Session) -> Flow {
    if session.tls.is_none() {
        return session.error(&Reply::STARTTLS_FIRST).await;
    }
    // RFC 2920 §3.1: DATA is the last of a group. What is already here may be the text of a client that does not wait, and a
    // refused DATA would make commands of it.
    if !session.wire.lines.pending().is_empty() {
        return session.refuse(&Reply::INJECTION_AFTER_DATA).await;
    }
    let transaction = match session.open.take() {
        Some(Open::Envelope { transaction, recipients, .. }) if recipients > 0 => transaction,
        Some(open @ Open::Envelope { .. }) => {
            session.open = Some(open);
            return session.error(&Reply::RCPT_FIRST).await;
        }
        Some(open @ Open::Chunks(_)) => {
            session.open = Some(open);
            return session.error(&Reply::BAD_SEQUENCE).await;
        }
        None => return session.error(&Reply::MAIL_FIRST).await,
    };
    let sink = match transaction.begin_data().await {
        Ok(sink) => sink,
        Err(reply) => return session.answer(&reply).await,
    };
    session.reply(&Reply::START_INPUT);
    let mut intake = Intake::new(session, sink, Decoder::data(session.config.max_text_line));
    loop {
        let deadline = intake.deadline(session);
        session.fill(deadline).await?;
        let (read, done) = intake.take(session.wire.lines.pending()).await;
        session.wire.lines.pass(read);
        if done {
            break;
        }
        if intake.is_hopeless() {
            return session.refuse(&Reply::MESSAGE_TOO_BIG).await;
        }
    }
    let reply = intake.finish().await;
    session.messages += 1;
    session.idle_commands = 0;
    session.answer(&reply).await
}

/// A message being received, by DATA or BDAT.
pub(crate) struct Intake {
    /// `None` once the message cannot be accepted any more.
    sink: Option<Box<dyn MessageSink>>,
    decoder: Decoder,
    /// Why, when the sink or the size decided.
    refusal: Option<Reply>,
    /// Octets of text.
    octets: u64,
    /// Octets read.
    read: u64,
    max_size: u64,
    started: Instant,
    piece: Vec<u8>,
}

impl Intake {
    pub(crate) fn new(session: &Session, sink: Box<dyn MessageSink>, decoder: Decoder) -> Self {
        Self {
            sink: Some(sink),
            decoder,
            refusal: None,
            octets: 0,
            read: 0,
            max_size: session.config.max_size,
            started: Instant::now(),
            piece: Vec::new(),
        }
    }

    /// When the next piece must have come.
    pub(crate) fn deadline(&self, session: &Session) -> Instant {
        let times = &session.config.timeouts;
        Session::within(times.data_block).min(self.started + times.message)
    }

    /// Takes octets as they came: how many, and whether the message ended (DATA).
    pub(crate) async fn take(&mut self, input: &[u8]) -> (usize, bool) {
        self.piece.clear();
        let (read, done) = self.decoder.decode(input, &mut self.piece);
        self.read = self.read.saturating_add(read as u64);
        self.store().await;
        (read, done)
    }

    /// Gives the sink what was decoded.
    async fn store(&mut self) {
        self.octets = self.octets.saturating_add(self.piece.len() as u64);
        if self.octets > self.max_size || self.read > self.max_size.saturating_mul(2) {
            self.refuse(Reply::MESSAGE_TOO_BIG);
        }
        if let Some(fault) = self.decoder.fault() {
            self.refuse(match fault {
                Fault::BareLineEnd => Reply::BARE_LINE_ENDS,
                Fault::Nul => Reply::NUL_IN_MESSAGE,
                Fault::LongLine => Reply::LONG_TEXT_LINE,
            });
        }
        if let Some(sink) = &mut self.sink
            && !self.piece.is_empty()
            && let Err(reply) = sink.write(&self.piece).await
        {
            self.refuse(reply);
        }
    }

    /// The message will not be accepted: the sink goes, and with it what it had.
    fn refuse(&mut self, reply: Reply) {
        self.sink = None;
        self.refusal.get_or_insert(reply);
    }

    /// Whether waiting for the end of the message is not worth it.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.read > self.max_size.saturating_add(MAX_EXCESS)
    }

    /// Why the message will be refused, if it is so already.
    pub(crate) fn refusal(&self) -> Option<&Reply> {
        self.refusal.as_ref()
    }

    /// The end of the last chunk.
    pub(crate) async fn finish_chunks(&mut self) {
        self.piece.clear();
        self.decoder.finish_chunks(&mut self.piece);
        self.store().await;
    }

    /// Makes the message durable: what the client is told.
    pub(crate) async fn finish(self) -> Reply {
        let sink = match (self.refusal, self.sink) {
            (Some(refusal), _) => return refusal,
            (None, Some(sink)) => sink,
            // `refuse` sets both.
            (None, None) => return Reply::TRY_AGAIN,
        };
        let received = Received { octets: self.octets, eight_bit: self.decoder.eight_bit() };
        match sink.commit(received).await {
            Ok(accepted) => Reply::new(250, Enhanced(2, 0, 0), format!("Ok: queued as {}", accepted.id)),
            Err(reply) => reply,
        }
    }
}
