//! One message: MAIL, RCPT, then DATA or BDAT, and a result for each recipient.
//!
//! MAIL and RCPT go in groups when the peer takes PIPELINING. DATA is never in the group: if every recipient of it were refused
//! the peer could still answer 354, and would get an empty message. With CHUNKING the whole of a small message goes in one
//! `BDAT … LAST`, which saves the round trip.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::session::Session;
use super::{ClientError, Delivery, Envelope, RecipientResult, Stage};
use crate::command::{needs_utf8, write_mail, write_rcpt};
use crate::data::Encoder;
use crate::envelope::{BodyType, Rcpt, ReversePath};
use crate::reply::{Enhanced, Reply};

/// Octets of the message read at a time, and of one chunk. Encoding at most doubles it.
const BLOCK: usize = 64 * 1024;
/// RCPTs of one group: their replies, of at most about a hundred octets each, always fit in the buffers between the two sides,
/// so that neither waits for the other to read.
const GROUP: usize = 50;

pub(super) async fn send(
    session: &mut Session,
    envelope: &Envelope,
    body: &mut (dyn AsyncRead + Unpin + Send),
) -> Result<Delivery, ClientError> {
    if envelope.to.is_empty() {
        return Err(ClientError::Misuse("a message without recipient"));
    }
    let dsn = session.extensions.dsn;
    let all = |result: RecipientResult| Delivery {
        recipients: vec![result; envelope.to.len()],
        refused_alone: vec![false; envelope.to.len()],
        dsn,
    };
    if let Some(refusal) = beyond_the_peer(session, envelope) {
        return Ok(all(RecipientResult::Permanent(refusal)));
    }
    if session.dirty {
        session.command("RSET\r\n", Stage::Envelope, session.timeouts.command).await?;
        session.dirty = false;
    }
    let mut results = match introduce(session, envelope).await? {
        Introduced::Refused(result) => return Ok(all(result)),
        Introduced::Recipients(results) => results,
    };
    let refused_alone: Vec<bool> = results.iter().map(|r| !matches!(r, RecipientResult::Accepted(_))).collect();
    if refused_alone.iter().all(|refused| *refused) {
        session.dirty = true;
        return Ok(Delivery { recipients: results, refused_alone, dsn });
    }
    let end = if session.extensions.chunking { chunks(session, body).await? } else { data(session, body).await? };
    let end = RecipientResult::from_reply(end);
    for result in &mut results {
        if matches!(result, RecipientResult::Accepted(_)) {
            *result = end.clone();
        }
    }
    Ok(Delivery { recipients: results, refused_alone, dsn })
}

/// What the peer could not take whatever it answered. The message is never converted nor sent as something it is not.
fn beyond_the_peer(session: &Session, envelope: &Envelope) -> Option<Reply> {
    let peer = &session.extensions;
    let from = &envelope.from;
    let utf8 = from.smtputf8
        || matches!(&from.path, ReversePath::Other(text) if !text.is_ascii())
        || envelope.to.iter().any(|to| needs_utf8(&to.path));
    if utf8 && !peer.smtputf8 {
        return Some(Reply::SMTPUTF8_UNSUPPORTED);
    }
    if from.body == BodyType::EightBit && !peer.eight_bit_mime {
        return Some(Reply::EIGHT_BIT_UNSUPPORTED);
    }
    match (from.size, peer.size) {
        (Some(size), Some(Some(limit))) if size > limit => Some(Reply::new(
            552,
            Enhanced(5, 3, 4),
            format!("Message size {size} exceeds the next server's limit of {limit}"),
        )),
        _ => None,
    }
}

/// What MAIL and the RCPTs got.
enum Introduced {
    /// MAIL was refused.
    Refused(RecipientResult),
    /// Each RCPT has its reply.
    Recipients(Vec<RecipientResult>),
}

async fn introduce(session: &mut Session, envelope: &Envelope) -> Result<Introduced, ClientError> {
    let within = session.timeouts.command;
    let dsn = session.extensions.dsn;
    let mut from = envelope.from.clone();
    from.auth = None;
    if session.extensions.size.is_none() {
        from.size = None;
    }
    if !dsn {
        (from.ret, from.envid) = (None, None);
    }
    let rcpt = |to: &Rcpt| {
        let mut to = to.clone();
        if !dsn {
            (to.notify, to.orcpt) = (None, None);
        }
        write_rcpt(&to)
    };
    let group = if session.extensions.pipelining { GROUP } else { 1 };
    let mut results = Vec::with_capacity(envelope.to.len());
    let mut groups = envelope.to.chunks(group);

    session.dirty = true;
    session.wire.queue(write_mail(&from).as_bytes());
    let mut sent: &[Rcpt] = &[];
    if session.extensions.pipelining {
        sent = groups.next().unwrap_or_default();
        sent.iter().for_each(|to| session.wire.queue(rcpt(to).as_bytes()));
    }
    let answer = session.reply(Stage::Envelope, within).await?;
    let refused = match answer.code() {
        250 => None,
        400..=599 => Some(RecipientResult::from_reply(answer)),
        _ => return Err(unexpected(Stage::Envelope)),
    };
    loop {
        for _ in sent {
            results.push(recipient(session.reply(Stage::Envelope, within).await?)?);
        }
        if refused.is_some() {
            break;
        }
        let Some(next) = groups.next() else { break };
        sent = next;
        sent.iter().for_each(|to| session.wire.queue(rcpt(to).as_bytes()));
    }
    Ok(match refused {
        Some(result) => Introduced::Refused(result),
        None => Introduced::Recipients(results),
    })
}

/// What one RCPT got. RFC 5321 §4.5.3.1.10: 552 for too many recipients is to be taken for 452.
fn recipient(reply: Reply) -> Result<RecipientResult, ClientError> {
    match (reply.code(), reply.enhanced()) {
        (552, Some(Enhanced(5, 5, 3))) => Ok(RecipientResult::Temporary(reply)),
        (250..=252 | 400..=599, _) => Ok(RecipientResult::from_reply(reply)),
        _ => Err(unexpected(Stage::Envelope)),
    }
}

fn unexpected(stage: Stage) -> ClientError {
    ClientError::Protocol { stage, what: "an unexpected reply" }
}

/// Reads until `block` has [`BLOCK`] octets or the message ends; whether it ended.
async fn read_block(body: &mut (dyn AsyncRead + Unpin + Send), block: &mut Vec<u8>) -> io::Result<bool> {
    block.clear();
    block.reserve(BLOCK);
    while block.len() < BLOCK {
        let room = (BLOCK - block.len()) as u64;
        if (&mut *body).take(room).read_buf(block).await? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sends what was queued of the message. A peer that closes in the middle usually said why.
async fn flush_block(session: &mut Session) -> Result<(), ClientError> {
    match session.flush(Stage::Message, session.timeouts.data_block).await {
        Err(ClientError::Closed(stage)) => match session.last_words(stage).await {
            Some(reply) => Err(ClientError::Refused { stage, reply }),
            None => Err(ClientError::Closed(stage)),
        },
        other => other,
    }
}

/// DATA: the last reply.
async fn data(session: &mut Session, body: &mut (dyn AsyncRead + Unpin + Send)) -> Result<Reply, ClientError> {
    let start = session.command("DATA\r\n", Stage::Envelope, session.timeouts.data_start).await?;
    match start.code() {
        354 => {}
        400..=599 => return Ok(start),
        _ => return Err(unexpected(Stage::Envelope)),
    }
    let mut encoder = Encoder::data();
    let (mut block, mut encoded) = (Vec::new(), Vec::new());
    loop {
        // An error leaves the message without its dot: the connection is dropped and the peer forgets it.
        let last = read_block(body, &mut block).await.map_err(ClientError::Body)?;
        encoded.clear();
        encoder.encode(&block, &mut encoded);
        if last {
            encoder.finish(&mut encoded);
        }
        session.wire.queue(&encoded);
        flush_block(session).await?;
        if last {
            break;
        }
    }
    finished(session).await
}

/// BDAT: the last reply.
async fn chunks(session: &mut Session, body: &mut (dyn AsyncRead + Unpin + Send)) -> Result<Reply, ClientError> {
    let mut encoder = Encoder::chunks();
    let (mut block, mut encoded) = (Vec::new(), Vec::new());
    loop {
        let last = read_block(body, &mut block).await.map_err(ClientError::Body)?;
        encoded.clear();
        encoder.encode(&block, &mut encoded);
        if last {
            encoder.finish(&mut encoded);
        }
        let mark = if last { " LAST" } else { "" };
        session.wire.queue(format!("BDAT {}{mark}\r\n", encoded.len()).as_bytes());
        session.wire.queue(&encoded);
        flush_block(session).await?;
        if last {
            return finished(session).await;
        }
        let reply = session.reply(Stage::Message, session.timeouts.data_block).await?;
        match reply.code() {
            250 => {}
            // The transaction stays half open: RSET before the next (RFC 3030 §2).
            400..=599 => return Ok(reply),
            _ => return Err(unexpected(Stage::Message)),
        }
    }
}

/// The answer to the whole message.
async fn finished(session: &mut Session) -> Result<Reply, ClientError> {
    let reply = session.reply(Stage::End, session.timeouts.data_end).await?;
    match reply.code() {
        250 => {
            session.dirty = false;
            Ok(reply)
        }
        400..=599 => Ok(reply),
        _ => Err(unexpected(Stage::End)),
    }
}
