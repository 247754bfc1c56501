//! BDAT (RFC 3030): the message in counted chunks. Whatever the answer, the octets announced are read first, so that they are
//! never taken for commands.
//!
//! Line ends are checked as for DATA: a bare CR or LF let in here would be smuggled into the next hop's DATA (OPE-09).

use crate::data::Decoder;
use crate::reply::{Enhanced, Reply};
use crate::server::{Flow, Open, Session};
use crate::verbs::data::Intake;

/// Chunks of one message: a client that sends octet by octet costs a reply for each.
const MAX_CHUNKS: u32 = 100_000;

/// A message between two chunks.
pub(crate) struct Chunks {
    intake: Intake,
    count: u32,
}

pub(crate) async fn bdat(session: &mut Session, size: u64, last: bool) -> Flow {
    if session.tls.is_none() {
        // What follows is not commands, and is not worth reading in clear.
        return session.refuse(&Reply::STARTTLS_FIRST).await;
    }
    if size > session.config.max_size {
        // Too many octets to read them only to refuse them.
        session.open = None;
        session.reply(&Reply::MESSAGE_TOO_BIG);
        return session.refuse(&Reply::CHUNK_TOO_BIG).await;
    }
    let mut chunks = match session.open.take() {
        Some(Open::Chunks(chunks)) => chunks,
        Some(Open::Envelope { transaction, recipients, .. }) if recipients > 0 => {
            match transaction.begin_data().await {
                Ok(sink) => {
                    let decoder = Decoder::chunks(session.config.max_text_line);
                    Chunks { intake: Intake::new(session, sink, decoder), count: 0 }
                }
                Err(reply) => {
                    skip(session, size).await?;
                    return session.answer(&reply).await;
                }
            }
        }
        other => {
            let reply = if other.is_some() { Reply::RCPT_FIRST } else { Reply::MAIL_FIRST };
            session.open = other;
            skip(session, size).await?;
            return session.error(&reply).await;
        }
    };
    chunks.count += 1;
    let mut left = size;
    while left > 0 {
        if session.wire.lines.pending().is_empty() {
            let deadline = chunks.intake.deadline(session);
            session.fill(deadline).await?;
        }
        let pending = session.wire.lines.pending();
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(pending.len());
        let (read, _) = chunks.intake.take(&pending[..here]).await;
        session.wire.lines.pass(read);
        left -= read as u64;
    }
    if last {
        chunks.intake.finish_chunks().await;
    }
    // RFC 3030 §2: a refused chunk ends the transaction; those that follow get 503.
    if let Some(refusal) = chunks.intake.refusal().cloned() {
        return session.answer(&refusal).await;
    }
    if last {
        let reply = chunks.intake.finish().await;
        session.messages += 1;
        session.idle_commands = 0;
        return session.answer(&reply).await;
    }
    if chunks.count >= MAX_CHUNKS {
        return session.refuse(&Reply::TOO_MANY_ERRORS).await;
    }
    session.open = Some(Open::Chunks(chunks));
    session.reply(&Reply::new(250, Enhanced(2, 0, 0), format!("{size} octets received")));
    Ok(())
}

/// Reads a chunk and drops it.
async fn skip(session: &mut Session, size: u64) -> Flow {
    let end = Session::within(session.config.timeouts.message);
    let mut left = size;
    while left > 0 {
        if session.wire.lines.pending().is_empty() {
            let deadline = Session::within(session.config.timeouts.data_block).min(end);
            session.fill(deadline).await?;
        }
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(session.wire.lines.pending().len());
        session.wire.lines.pass(here);
        left -= here as u64;
    }
    Ok(())
}
